"""A run's firmware on a device: connect, validate, bench, profile."""

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from harembed import harness
from harembed.backend_build import build_backend, host_program
from harembed.board import Board, load_board
from harembed.harness import measure
from harembed.harness.client import Device
from harembed.harness.profile import Profile, make_profile, simulated_profile
from harembed.harness.validate import ParityReport, validate_inputs
from harembed.harness.validate import validate as validate_raw
from harembed.job import Job
from harembed.progress import Tick
from harembed.rundir import dump_json, write_atomic

QEMU_BOARD = "mps2_an505"
_BENCH_SEED = 2024


def image(job: Job) -> Path:
    """The firmware that the stage Build made."""
    return job.run.file(job.run.read_json("firmware.json")["elf"])


def connect(job: Job, simulator: str | None = None, port: str | None = None, count: str = "nothing") -> Device:
    """Open a device that runs the run's network; what a simulator needs is built first.

    Parameters
    ----------
    simulator : str    a key of harembed.harness.SIMULATORS; None takes the board's default
    port : str         of a real board; wins over `simulator`
    count : str        what the simulated STM32L552 counts: nothing, instructions or cycles

    Raises
    ------
    HarnessError    nothing answers, or it runs another model
    """
    if port is not None:
        return _expected(job, harness.connect(job.board, port=port))
    return open_device(job, firmware(job, simulator or harness.default_simulator(job.board)), count)


@dataclass(frozen=True)
class Firmware:
    """Something to start, that is built."""

    simulator: str
    board: Board
    path: Path


def open_device(job: Job, started: Firmware, count: str = "nothing") -> Device:
    """Start it; see connect()."""
    return _expected(job, harness.connect(started.board, started.path, simulator=started.simulator, count=count))


def _expected(job: Job, device: Device) -> Device:
    try:
        device.expect(model_id=job.graph.id())
    except BaseException:
        device.close()
        raise
    return device


def firmware(job: Job, simulator: str, dsp_emulation: bool = False) -> Firmware:
    """What a simulator starts; built, unless the stage Build made it.

    Parameters
    ----------
    dsp_emulation : bool    for the host: the kernels' DSP form, its instructions emulated
    """
    if simulator == "host":
        folder = job.run.file("build/host_dsp" if dsp_emulation else "build/host")
        program = host_program(job.graph, job.backend, folder, job.optimize, dsp_emulation)
        return Firmware(simulator, load_board("host"), program)
    if simulator == "qemu":
        board, folder = load_board(QEMU_BOARD), job.run.file("build/qemu")
        built = build_backend(job.graph, job.backend, board, folder, job.toolchain, job.optimize)
        return Firmware(simulator, board, built.image.elf)
    return Firmware(simulator, job.board, image(job))


def validate(job: Job, simulator: str | None, port: str | None, windows: int | None, tick: Tick) -> ParityReport:
    """The recorded windows, from raw samples on, through one device; without an input spec, all model inputs."""
    raw = job.probes.raw
    with connect(job, simulator, port) as device:
        if raw is not None:
            raw = raw[:windows]
            return validate_raw(device, job.graph, raw, lambda n: tick(n, len(raw), "windows"))
        inputs = tuple(a[:windows] for a in job.probes.model_inputs(job.graph))
        return validate_inputs(device, job.graph, *inputs, progress=lambda n: tick(n, len(inputs[0]), "inputs"))


def bench(job: Job, simulator: str | None, port: str | None, repeats: int, json_out: Path | None) -> None:
    """Time the firmware on one device and print it; the simulated board tells instructions and modelled cycles."""
    name = simulator or harness.default_simulator(job.board)
    counts = ("instructions", "cycles") if port is None and name == "l552" else ("nothing",)
    reports = [_timed(job, simulator, port, repeats, count) for count in counts]
    for report in reports:
        job.console.print(_overview(report), highlight=False, soft_wrap=True)
    if json_out is not None:
        write_atomic(json_out, dump_json([{**asdict(r), "latency_us": r.latency_us} for r in reports]))


def profile(job: Job, simulator: str | None, port: str | None, repeats: int) -> Profile:
    """Where the time goes, on one device; what a real board measured stands beside the simulation of its image."""
    name = simulator or harness.default_simulator(job.board)
    measured = _timed(job, None, port, repeats) if port is not None else None
    if name == "l552":
        return simulated_profile(job.graph, image(job), job.board, bench_window(job), measured)
    return make_profile(job.graph, [measured or _timed(job, simulator, None, repeats)])


def _timed(job: Job, simulator: str | None, port: str | None, repeats: int,
           count: str = "nothing") -> measure.LatencyReport:
    """One report; a simulator's counts repeat exactly, so it is asked once."""
    name = simulator or harness.default_simulator(job.board)
    with connect(job, simulator, port, count) as device:
        return measure.bench(device, 1 if port is None and name != "host" else repeats, bench_window(job))


def bench_window(job: Job) -> np.ndarray | None:
    """A fixed window of raw samples [window, raw_channels] int16; None for a model that does not start there."""
    spec = job.graph.input_spec
    if spec is None:
        return None
    rng = np.random.default_rng(_BENCH_SEED)
    return rng.integers(-2000, 2000, (spec.window, spec.raw_channels)).astype(np.int16)


def _overview(report: measure.LatencyReport) -> str:
    """One figure in words, with how it was got."""
    unit = report.unit.replace("_", " ")
    spread = "" if report.repeats == 1 else f" (p95 {report.p95:,}, least {report.least:,}, {report.repeats} runs)"
    clock = f" at {report.clock_hz / 1e6:.0f} MHz" if report.clock_hz else ""
    duration = f", {report.latency_us / 1000:.3f} ms{clock}" if report.latency_us is not None else ""
    figure = f"[bold]{report.median:,} {unit}[/bold]{spread}{duration}"
    return f"{report.device}: {figure}   [dim]{report.provenance}[/dim]"
