"""The proof: every way to run the network, its outputs compared with the integer interpreter's by ==.

Also what the simulated board tells about one inference, and the verbs that talk to a device.
"""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

from harembed.board import load_board
from harembed.build import build_firmware, build_host
from harembed.errors import HarembedError, HarnessError
from harembed.export.csource import generate
from harembed.export.onnx import compare_onnx
from harembed.export.oracles import run_litert, run_tflm
from harembed.export.tflite import write_tflite
from harembed.harness import measure
from harembed.harness.client import Device
from harembed.harness.renode import RenodeTransport, missing_reason
from harembed.harness.simulate import simulate_board
from harembed.harness.simulator_l552 import SimulatedL552
from harembed.harness.simulator_qemu import QemuTransport
from harembed.harness.transport import ProcessTransport, Transport, open_port
from harembed.harness.validate import Difference, ParityReport, random_inputs, validate_inputs
from harembed.harness.validate import validate as validate_raw
from harembed.ir.interpreter import Interpreter
from harembed.job import Job
from harembed.progress import Tick
from harembed.rundir import dump_json, write_atomic

# A title, and what compares raw windows [N, T, C] and random inputs on it.
Target = tuple[str, Callable[[np.ndarray, Tick], "Outcome"]]

RANDOM_INPUTS = 200
RANDOM_SEED = 2024
QEMU_BOARD = "mps2_an505"


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
    simulation = simulate_board(job.run.file(_elf(job)), board, window)
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
    outcomes, skipped = _run_all(_targets(job), raw, tick)
    onnx = compare_onnx(job.graph, [_quantised(job, raw)])
    mismatches = sum(o.mismatches for o in outcomes if o.counts)
    job.run.write_json("parity.json", {
        "windows": len(raw), "random": RANDOM_INPUTS, "mismatches": mismatches,
        "targets": [asdict(o) for o in outcomes], "skipped": skipped, "onnx": asdict(onnx)})
    if mismatches:
        worst = next(o for o in outcomes if o.counts and o.mismatches)
        raise HarnessError(worst.text + ".", "This is a defect of harembed: please report it with the run folder.")
    return f"0 of {len(raw) + RANDOM_INPUTS:,} inputs differ on {sum(o.counts for o in outcomes)} targets"


def _run_all(targets: list[Target], raw: np.ndarray, tick: Tick) -> tuple[list[Outcome], list[dict[str, str]]]:
    """Run two targets at a time: QEMU mostly waits for its serial line, the others compute."""
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
        return compare(raw, part)

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


def _targets(job: Job) -> list[Target]:
    """What is compared with the interpreter; the slowest first."""
    targets: list[Target] = [
        ("C on QEMU (mps2-an505)", lambda raw, tick: _qemu(job, raw, tick)),
        ("TFLM interpreter", lambda raw, tick: _oracle(job, raw, "tflm", "TFLM interpreter", run_tflm)),
        ("LiteRT reference kernels", lambda raw, tick: _litert(job, raw)),
        ("C on the host, portable", lambda raw, tick: _host(job, raw, tick, dsp=False)),
        ("C on the host, DSP path emulated", lambda raw, tick: _host(job, raw, tick, dsp=True)),
    ]
    if job.board.simulators.unicorn is not None:
        targets.append((f"{job.board.title} image, simulated",
                        lambda raw, tick: _on_device(job, raw, tick, "l552", f"{job.board.title} image, simulated",
                                                     SimulatedL552(job.run.file(_elf(job))))))
    if job.board.simulators.renode is not None:
        targets.append(("Renode", lambda raw, tick: _renode(job, raw, tick)))
    return targets


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


def _host(job: Job, raw: np.ndarray, tick: Tick, dsp: bool) -> Outcome:
    name = "host_dsp" if dsp else "host"
    title = "C on the host, DSP path emulated" if dsp else "C on the host, portable"
    program = build_host(generate(job.graph), job.run.file(f"build/{name}"), dsp_emulation=dsp)
    return _on_device(job, raw, tick, name, title, ProcessTransport([str(program)]))


def _qemu(job: Job, raw: np.ndarray, tick: Tick) -> Outcome:
    board = load_board(QEMU_BOARD)
    image = build_firmware(generate(job.graph), board, job.run.file("build/qemu"), job.toolchain)
    return _on_device(job, raw, tick, "qemu", "C on QEMU (mps2-an505)", QemuTransport(image.elf, board))


def _renode(job: Job, raw: np.ndarray, tick: Tick) -> Outcome:
    reason = missing_reason(job.board)
    if reason is not None:
        raise HarnessError(f"Cannot use Renode: {reason}.")
    return _on_device(job, raw, tick, "renode", "Renode", RenodeTransport(job.run.file(_elf(job)), job.board))


def _on_device(job: Job, raw: np.ndarray, tick: Tick, name: str, title: str, transport: Transport) -> Outcome:
    """Speak the protocol to whatever runs the firmware: raw windows first, then random inputs."""
    total = len(raw) + RANDOM_INPUTS
    with Device(transport) as device:
        first = validate_raw(device, job.graph, raw, lambda n: tick(n, total, title))
        second = validate_inputs(device, job.graph, *random_inputs(job.graph, RANDOM_INPUTS, RANDOM_SEED),
                                 progress=lambda n: tick(len(raw) + n, total, title))
    return _outcome(name, title, first, second)


def _outcome(name: str, title: str, raw: ParityReport, inputs: ParityReport | None) -> Outcome:
    random, mismatches, difference = 0, raw.mismatches, raw.first_difference
    if inputs is not None:
        random, mismatches = inputs.windows, mismatches + inputs.mismatches
        difference = difference or inputs.first_difference
    return Outcome(name, title, raw.windows, random, mismatches, first_difference=difference)


def _elf(job: Job) -> str:
    return job.run.read_json("firmware.json")["elf"]


def connect(job: Job, on: str, port: str | None, count: str = "nothing") -> Transport:
    """The line to a run's firmware: a port if one is given, else a simulator or the host."""
    if port is not None:
        return open_port(port, job.board.serial.baud if job.board.serial else 115200)
    if on == "host" or job.board.kind == "host":
        return ProcessTransport([str(build_host(generate(job.graph), job.run.file("build/host")))])
    if on == "qemu":
        board = load_board(QEMU_BOARD)
        return QemuTransport(build_firmware(generate(job.graph), board, job.run.file("build/qemu")).elf, board)
    if job.board.simulators.unicorn is None:
        raise HarnessError(f"{job.board.name} has no simulator in this process.", "Use --on qemu or --on host.")
    return SimulatedL552(job.run.file(_elf(job)), count, job.board.cycle_model)


def validate(job: Job, on: str, port: str | None, windows: int | None, tick: Tick) -> Outcome:
    """The test windows on one device."""
    raw = job.parity_windows.raw[:windows]
    with Device(connect(job, on, port)) as device:
        device.expect(job.graph.id())
        report = validate_raw(device, job.graph, raw, lambda n: tick(n, len(raw), "windows"))
        return _outcome(on, device.transport.name, report, None)


def bench(job: Job, on: str, port: str | None, repeats: int, layers: bool, json_out: Path | None) -> None:
    """Time the firmware on one device and print it; on the simulated board, instructions and modelled cycles."""
    counts = ["instructions", "cycles"] if on == "l552" and port is None else ["nothing"]
    reports = []
    for count in counts:
        with Device(connect(job, on, port, count)) as device:
            device.expect(job.graph.id())
            raw = random_raw(job)
            reports.append(measure.bench(device, 1 if port is None and on != "host" else repeats, raw))
    table = Table("device", "unit", "median", "p95", "least", "repeats", "clock", "time", "provenance", box=None,
                  header_style="bold")
    for r in reports:
        time = f"{r.latency_us / 1000:.3f} ms" if r.latency_us is not None else ""
        clock = f"{r.clock_hz / 1e6:.0f} MHz" if r.clock_hz else ""
        table.add_row(r.device, r.unit, f"{r.median:,}", f"{r.p95:,}", f"{r.least:,}", str(r.repeats), clock, time,
                      _provenance(r))
    job.console.print(table)
    if layers:
        for r in reports:
            by_layer = Table("layer", "op", "MACs", r.unit, f"{r.unit} per MAC", box=None, header_style="bold")
            for n in r.layers:
                by_layer.add_row(n.name, n.op, f"{n.macs:,}", f"{n.ticks:,}",
                                 f"{n.ticks / n.macs:.2f}" if n.macs else "")
            job.console.print(by_layer)
    if json_out is not None:
        write_atomic(json_out, dump_json([{**asdict(r), "provenance": _provenance(r), "latency_us": r.latency_us}
                                          for r in reports]))


def _provenance(report: measure.LatencyReport) -> str:
    # Modelled cycles come out of a simulator, but as a formula over its counts.
    return "estimated" if report.unit == "modelled_cycles" else report.provenance


def random_raw(job: Job) -> np.ndarray:
    """A fixed window of raw samples that needs no dataset."""
    spec = job.graph.input_spec
    assert spec is not None
    rng = np.random.default_rng(RANDOM_SEED)
    return rng.integers(-2000, 2000, (spec.window, spec.raw_channels)).astype(np.int16)
