"""The proof: every way to run the network, its outputs compared with the integer interpreter's by ==.

Also what the simulated board tells about one inference.
"""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from harembed.devices import connect, image
from harembed.errors import HarembedError, HarnessError
from harembed.export.onnx import compare_onnx
from harembed.export.oracles import LITERT_REFUSES, run_litert, run_tflm
from harembed.export.tflite_outside import RESCALES, run_inside
from harembed.harness.client import Device
from harembed.harness.simulate import simulate_board
from harembed.harness.validate import Difference, validate_inputs
from harembed.harness.validate import validate as validate_raw
from harembed.ir.interpreter import Interpreter
from harembed.job import Job
from harembed.progress import Tick

_QEMU, _RENODE = "C on QEMU (mps2-an505)", "Renode"
_HOST, _HOST_DSP = "C on the host, portable", "C on the host, DSP path emulated"
_L552 = "image of the board, simulated STM32L552"
_LITERT = "LiteRT reference kernels"
_INEXACT_LSTM = "CMSIS-NN's LSTM cuts saturating gates in another way; not required to be equal"
_BATCH = 512  # inputs that an interpreter computes at once


@dataclass(frozen=True)
class Outcome:
    """How one target compared.

    Attributes
    ----------
    counts : whether equality is required; LiteRT is known to round one operator in another way
    """

    name: str
    title: str
    windows: int  # recorded or given by the user; from raw samples, where the target can start there
    random: int  # made-up model inputs: full-range random, constant extremes
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
    raw = job.probes.raw
    window = None if raw is None else raw[0]
    simulation = simulate_board(image(job), board, window)
    cycles, model = simulation.cycles, board.cycle_model
    modelled = {n.name: n.ticks for n in cycles.layers} if cycles else {}
    job.run.write_json("profile.json", {
        "instructions": simulation.instructions.median, "quantise_instructions": simulation.instructions.quantise,
        "cycles_modelled": cycles.median if cycles else None,
        "latency_us": cycles.latency_us if cycles else None, "clock_hz": simulation.instructions.clock_hz,
        "cycle_model": None if model is None else {
            **model.model_dump(), "short": model.short, "text": model.text},
        "stack_bytes": simulation.stack_bytes, "arena_bytes_written": simulation.arena_span[1],
        "arena_bytes_touched": simulation.arena_bytes_touched,
        "by_function": {name: instructions for name, (instructions, _) in simulation.by_function.items()},
        "nodes": [{"name": n.name, "instructions": n.ticks, "cycles_modelled": modelled.get(n.name)}
                  for n in simulation.instructions.layers]})
    return (f"{simulation.instructions.median:,} instructions, stack {simulation.stack_bytes:,} bytes, arena written "
            f"up to byte {simulation.arena_span[1]:,}")


def _no_profile() -> dict[str, Any]:
    keys = ("instructions", "quantise_instructions", "cycles_modelled", "latency_us", "clock_hz", "cycle_model",
            "stack_bytes", "arena_bytes_written", "arena_bytes_touched")
    return {**dict.fromkeys(keys), "by_function": {}, "nodes": []}


def prove(job: Job, tick: Tick) -> str:
    """parity.json: all targets that exist here; those that do not are listed with the reason. If any computed other
    bits, parity_failed.json instead.

    Raises
    ------
    HarnessError    a target computed other bits
    """
    probes = job.probes
    outcomes, skipped = _run_all(job, tick)
    # Where there are recordings, they say more about classes than noise does.
    inputs = job.graph.input_spec.quantise(probes.raw) if job.graph.input_spec and probes.raw is not None else None
    onnx = compare_onnx(job.graph, probes.model_inputs(job.graph) if inputs is None else [inputs])
    mismatches = sum(o.mismatches for o in outcomes if o.counts)
    # A stage counts as finished once its file is there: a failed proof shall be tried again.
    job.run.write_json("parity_failed.json" if mismatches else "parity.json", {
        "windows": probes.recorded, "random": probes.random, "extremes": probes.extremes, "seed": probes.seed,
        "start": "raw samples" if probes.raw is not None else "model inputs", "mismatches": mismatches,
        "targets": [asdict(o) for o in outcomes], "skipped": skipped, "onnx": asdict(onnx)})
    if mismatches:
        worst = next(o for o in outcomes if o.counts and o.mismatches)
        raise HarnessError(worst.text + ".", "This is a defect of harembed: please report it with the run folder; "
                           "parity_failed.json has all targets.")
    return f"0 of {probes.total:,} inputs differ on {sum(o.counts for o in outcomes)} targets"


def _run_all(job: Job, tick: Tick) -> tuple[list[Outcome], list[dict[str, str]]]:
    """Run two targets at a time: QEMU is a process of its own that takes longest."""
    targets = _targets(job)
    _ = job.graph, job.probes  # loaded once, before threads ask for them
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
        return compare(job, part)

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
    """Whether an error says that a program is not installed here, that LiteRT, which is not required to agree, does
    not take the model, or that the given file cannot be fed with int8: no failure of the proof."""
    return any(words in error.message
               for words in ("not installed", "no `renode` program", LITERT_REFUSES, RESCALES))


Compare = Callable[[Job, Tick], Outcome]


def _targets(job: Job) -> list[tuple[str, Compare]]:
    """(title, comparison) of what is compared with the interpreter: the slowest first, since two run at a time."""
    files = job.oracle_files()
    own_kernels = [(_HOST, _device("host", _HOST, "host")),
                   (_HOST_DSP, _device("host", _HOST_DSP, "host_dsp", dsp=True))]
    board_image = [(_L552, _device("l552", _L552, "l552")), (_RENODE, _device("renode", _RENODE, "renode"))]
    return [
        (_QEMU, _device("qemu", _QEMU, "qemu")),
        *((title, _oracle(name, title, tflite, run_tflm)) for name, title, tflite in files),
        (_LITERT, _litert(files[-1][2])),
        # Other backends are built for boards only.
        *(own_kernels if job.backend == "own" else []),
        *(board_image if job.board.simulators.unicorn else []),
    ]


def _oracle(name: str, title: str, tflite: bytes,
            run: Callable[[bytes, Sequence[np.ndarray]], list[np.ndarray]]) -> Compare:
    """A foreign interpreter of a .tflite; it starts at the model's inputs."""

    def compare(job: Job, tick: Tick) -> Outcome:
        probes = job.probes
        inputs = probes.model_inputs(job.graph)
        interpreter = Interpreter(job.graph)
        mismatches = 0
        for begin in range(0, probes.total, _BATCH):
            part = tuple(a[begin : begin + _BATCH] for a in inputs)
            n = len(part[0])
            wrong = np.zeros(n, bool)
            for e, a in zip(interpreter.run(*part), run_inside(tflite, job.graph, part, run), strict=True):
                wrong |= (e.reshape(n, -1) != a.reshape(n, -1)).any(axis=1)
            mismatches += int(wrong.sum())
            tick(begin + n, probes.total, title)
        return Outcome(name, title, probes.recorded, probes.random, mismatches)

    return compare


def _litert(tflite: bytes) -> Compare:
    note = ("a second opinion: rounds FULLY_CONNECTED once where TFLM rounds twice, and has other LSTM tables; "
            "not required to be equal")
    plain = _oracle("litert", _LITERT, tflite, run_litert)
    return lambda job, tick: replace(plain(job, tick), counts=False, note=note)


def _device(simulator: str, title: str, name: str, dsp: bool = False) -> Compare:
    """A target that runs the firmware and speaks the protocol."""
    return lambda job, tick: _on_device(job, tick, name, title, connect(job, simulator, dsp_emulation=dsp))


def _on_device(job: Job, tick: Tick, name: str, title: str, device: Device) -> Outcome:
    """Speak the protocol to whatever runs the firmware: raw windows first if there are any, then model inputs."""
    probes, total = job.probes, job.probes.total
    inputs, raw = probes.model_inputs(job.graph), probes.raw
    reports = []
    with device:
        if raw is not None:
            reports.append(validate_raw(device, job.graph, raw, lambda n: tick(n, total, title)))
            inputs = probes.made
        offset = total - len(inputs[0])
        reports.append(validate_inputs(device, job.graph, *inputs,
                                       progress=lambda n: tick(offset + n, total, title)))
    exact = job.backend == "own" or all(node.op != "lstm" for node in job.graph.nodes)
    return Outcome(name, title, probes.recorded, probes.random, sum(r.mismatches for r in reports), exact,
                   "" if exact else _INEXACT_LSTM,
                   first_difference=next((r.first_difference for r in reports if r.first_difference), None))
