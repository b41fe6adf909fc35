"""The proof: every way to run the network, its outputs compared with the integer interpreter's by ==.

Also what the simulated board tells about one inference.
"""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from harembed.devices import connect, image
from harembed.errors import HarembedError, HarnessError
from harembed.export.onnx import compare_onnx
from harembed.export.oracles import run_litert, run_tflm
from harembed.export.tflite import write_tflite
from harembed.harness.client import Device
from harembed.harness.simulate import simulate_board
from harembed.harness.validate import Difference, ParityReport, random_inputs, validate_inputs
from harembed.harness.validate import validate as validate_raw
from harembed.ir.interpreter import Interpreter
from harembed.job import Job
from harembed.progress import Tick

RANDOM_INPUTS = 200
RANDOM_SEED = 2024
_QEMU, _RENODE = "C on QEMU (mps2-an505)", "Renode"
_HOST, _HOST_DSP = "C on the host, portable", "C on the host, DSP path emulated"
_L552 = "image of the board, simulated STM32L552"


@dataclass(frozen=True)
class Outcome:
    """How one target compared.

    Attributes
    ----------
    counts : whether equality is required; LiteRT is known to round one operator in another way
    """

    name: str
    title: str
    windows: int  # from raw samples
    random: int  # full-range model inputs
    mismatches: int
    counts: bool = True
    note: str = ""
    first_difference: Difference | None = None

    @property
    def text(self) -> str:
        d = self.first_difference
        head = f"{self.mismatches} of {self.windows + self.random:,} differ on {self.title}"
        return head if d is None else (f"{head}; first: window {d.window}, node {d.node!r}, element {d.index}, "
                                       f"expected {d.expected}, got {d.got}")


def profile(job: Job, tick: Tick) -> str:
    """profile.json: one window on the simulated board: instructions, modelled cycles, stack, arena."""
    tick(0, 1, "running the image")
    board = job.board
    if board.simulators.unicorn is None:
        job.run.write_json("profile.json", _no_profile())
        return f"{board.name} has no instruction-level simulator: no counts"
    window = job.parity_windows.raw[0]
    simulation = simulate_board(image(job), board, window)
    cycles, model = simulation.cycles, board.cycle_model
    modelled = {n.name: n.ticks for n in cycles.layers} if cycles else {}
    job.run.write_json("profile.json", {
        "instructions": simulation.instructions.median, "quantise_instructions": simulation.instructions.quantise,
        "cycles_modelled": cycles.median if cycles else None,
        "latency_us": cycles.latency_us if cycles else None, "clock_hz": simulation.instructions.clock_hz,
        "cycle_model": None if model is None else {
            **model.model_dump(), "short": f"cycle model, ±{model.new_kernels_error_percent:.0f} %",
            "text": f"Cycle model: {model.source}. {model.validity} Error on the convolutions it was fitted to: "
                    f"{model.mean_error_percent} % (mean), {model.p95_error_percent} % (95th percentile)."},
        "stack_bytes": simulation.stack_bytes, "arena_bytes_written": simulation.arena_span[1],
        "arena_bytes_touched": simulation.arena_bytes_touched, "by_function": simulation.by_function,
        "nodes": [{"name": n.name, "instructions": n.ticks, "cycles_modelled": modelled.get(n.name)}
                  for n in simulation.instructions.layers]})
    return (f"{simulation.instructions.median:,} instructions, stack {simulation.stack_bytes:,} bytes, arena written "
            f"up to byte {simulation.arena_span[1]:,}")


def _no_profile() -> dict[str, Any]:
    keys = ("instructions", "quantise_instructions", "cycles_modelled", "latency_us", "clock_hz", "cycle_model",
            "stack_bytes", "arena_bytes_written", "arena_bytes_touched")
    return {**dict.fromkeys(keys), "by_function": {}, "nodes": []}


def prove(job: Job, tick: Tick) -> str:
    """parity.json: all targets that exist here; those that do not are listed with the reason.

    Raises
    ------
    HarnessError    a target computed other bits
    """
    raw = job.parity_windows.raw
    outcomes, skipped = _run_all(job, raw, tick)
    onnx = compare_onnx(job.graph, [_quantised(job, raw)])
    mismatches = sum(o.mismatches for o in outcomes if o.counts)
    job.run.write_json("parity.json", {
        "windows": len(raw), "random": RANDOM_INPUTS, "mismatches": mismatches,
        "targets": [asdict(o) for o in outcomes], "skipped": skipped, "onnx": asdict(onnx)})
    if mismatches:
        worst = next(o for o in outcomes if o.counts and o.mismatches)
        raise HarnessError(worst.text + ".", "This is a defect of harembed: please report it with the run folder.")
    return f"0 of {len(raw) + RANDOM_INPUTS:,} inputs differ on {sum(o.counts for o in outcomes)} targets"


def _run_all(job: Job, raw: np.ndarray, tick: Tick) -> tuple[list[Outcome], list[dict[str, str]]]:
    """Run two targets at a time: QEMU is a process of its own that takes longest."""
    targets = [t for t in TARGETS if not (t[0] in (_L552, _RENODE) and job.board.simulators.unicorn is None)]
    _ = job.graph, job.parity_windows  # loaded once, before threads ask for them
    done = [0.0] * len(targets)
    stop = threading.Event()

    def run(index: int) -> Outcome:
        title, compare = targets[index]

        def part(now: float, total: float, note: str = "") -> None:
            if stop.is_set():
                raise HarnessError("The proof was interrupted.")
            done[index] = now / total
            tick(sum(done), len(targets), note)

        part(0, 1, title)
        return compare(job, raw, part)

    outcomes, skipped = [], []
    with ThreadPoolExecutor(2) as pool:
        futures = [pool.submit(run, i) for i in range(len(targets))]
        try:
            for (title, _), future in zip(targets, futures, strict=True):
                try:
                    outcomes.append(future.result())
                except HarembedError as e:
                    if not _missing(e):
                        raise
                    skipped.append({"title": title, "reason": e.message})
        except BaseException:
            stop.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return outcomes, skipped


def _missing(error: HarembedError) -> bool:
    """Whether an error says that a program is not installed here, which is no failure of the proof."""
    return "not installed" in error.message or "no `renode` program" in error.message


def _quantised(job: Job, raw: np.ndarray) -> np.ndarray:
    assert job.graph.input_spec is not None
    return job.graph.input_spec.quantise(raw)


def _oracle(job: Job, raw: np.ndarray, name: str, title: str, run: Callable[..., list[np.ndarray]]) -> Outcome:
    """A foreign interpreter of the .tflite; it starts at the model's input."""
    tflite = write_tflite(job.graph)
    mismatches = 0
    for inputs in ((_quantised(job, raw),), random_inputs(job.graph, RANDOM_INPUTS, RANDOM_SEED)):
        expected = Interpreter(job.graph).run(*inputs)
        actual = run(tflite, inputs)
        n = len(inputs[0])
        wrong = np.zeros(n, bool)
        for e, a in zip(expected, actual, strict=True):
            wrong |= (e.reshape(n, -1) != a.reshape(n, -1)).any(axis=1)
        mismatches += int(wrong.sum())
    return Outcome(name, title, len(raw), RANDOM_INPUTS, mismatches)


def _litert(job: Job, raw: np.ndarray) -> Outcome:
    outcome = _oracle(job, raw, "litert", "LiteRT reference kernels", run_litert)
    note = ("a second opinion: rounds FULLY_CONNECTED once where TFLM rounds twice, and has other LSTM tables; "
            "not required to be equal")
    return replace(outcome, counts=False, note=note)


def _device(simulator: str, title: str, name: str, dsp: bool = False) -> Callable[[Job, np.ndarray, Tick], Outcome]:
    """A target that runs the firmware and speaks the protocol."""

    def compare(job: Job, raw: np.ndarray, tick: Tick) -> Outcome:
        return _on_device(job, raw, tick, name, title, connect(job, simulator, dsp_emulation=dsp))

    return compare


def _on_device(job: Job, raw: np.ndarray, tick: Tick, name: str, title: str, device: Device) -> Outcome:
    """Speak the protocol to whatever runs the firmware: raw windows first, then random inputs."""
    total = len(raw) + RANDOM_INPUTS
    with device:
        first = validate_raw(device, job.graph, raw, lambda n: tick(n, total, title))
        second = validate_inputs(device, job.graph, *random_inputs(job.graph, RANDOM_INPUTS, RANDOM_SEED),
                                 progress=lambda n: tick(len(raw) + n, total, title))
    return _outcome(name, title, first, second)


def _outcome(name: str, title: str, raw: ParityReport, inputs: ParityReport) -> Outcome:
    return Outcome(name, title, raw.windows, inputs.windows, raw.mismatches + inputs.mismatches,
                   first_difference=raw.first_difference or inputs.first_difference)


# What is compared with the interpreter: the slowest first, since two run at a time.
TARGETS: tuple[tuple[str, Callable[[Job, np.ndarray, Tick], Outcome]], ...] = (
    (_QEMU, _device("qemu", _QEMU, "qemu")),
    ("TFLM interpreter", lambda job, raw, tick: _oracle(job, raw, "tflm", "TFLM interpreter", run_tflm)),
    ("LiteRT reference kernels", lambda job, raw, tick: _litert(job, raw)),
    (_HOST, _device("host", _HOST, "host")),
    (_HOST_DSP, _device("host", _HOST_DSP, "host_dsp", dsp=True)),
    (_L552, _device("l552", _L552, "l552")),
    (_RENODE, _device("renode", _RENODE, "renode")),
)
