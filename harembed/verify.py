"""The proof: every way to run the network, its outputs compared with the integer interpreter's by ==.

Also what the simulated board tells about one inference.
"""

import os
import signal
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from multiprocessing import active_children, get_context, parent_process
from typing import Any

import numpy as np

from harembed.devices import Firmware, firmware, image, open_device
from harembed.errors import HarembedError, HarnessError
from harembed.export.onnx import compare_onnx
from harembed.export.oracles import LITERT_REFUSES, run_litert, run_tflm
from harembed.export.tflite_outside import RESCALES, run_inside
from harembed.harness.simulate import simulate_board
from harembed.harness.validate import Difference, validate_inputs
from harembed.harness.validate import validate as validate_raw
from harembed.ir.interpreter import Interpreter
from harembed.job import Job, Probes
from harembed.progress import Tick

_QEMU, _RENODE = "C on QEMU (mps2-an505)", "Renode"
_HOST, _HOST_DSP = "C on the host, portable", "C on the host, DSP path emulated"
_L552 = "image of the board, simulated STM32L552"
_LITERT = "LiteRT reference kernels"
_INEXACT_LSTM = "CMSIS-NN's LSTM cuts saturating gates in another way; not required to be equal"
_SECOND_OPINION = ("a second opinion: rounds FULLY_CONNECTED once where TFLM rounds twice, and has other LSTM "
                   "tables; not required to be equal")
_PARTS, _LEAST_PART = 8, 100  # of the inputs, for each target
_PROCESSES_FROM = 1_000  # inputs; to start two processes takes three seconds


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
    """All targets, in parts, two parts at a time. Returns what was compared, and what could not be."""
    targets = _targets(job)
    total = job.probes.total
    count = max(1, min(_PARTS, total // _LEAST_PART))
    bounds = [round(total * i / count) for i in range(count + 1)]
    parts = [(target, begin, end) for target in range(len(targets)) for begin, end in pairwise(bounds)]
    found: dict[int, list[Part]] = {target: [] for target in range(len(targets))}
    reasons: dict[int, str] = {}
    with _pool(job, targets) as pool:
        futures = {pool.submit(_compare, *part): part[0] for part in parts}
        for done, future in enumerate(as_completed(futures), start=1):
            target = futures[future]
            try:
                found[target].append(future.result())
            except HarembedError as e:
                if not _missing(e):
                    raise
                reasons[target] = e.message
            except BrokenProcessPool as e:
                raise HarnessError("A process of the proof was lost: killed, or out of memory.",
                                   "Free some memory; the same command goes on where it stopped.") from e
            tick(done, len(parts), targets[target].title)
    outcomes = [_outcome(t, found[i], job.probes) for i, t in enumerate(targets) if i not in reasons]
    return outcomes, [{"title": t.title, "reason": reasons[i]} for i, t in enumerate(targets) if i in reasons]


def _outcome(target: "Target", parts: "Sequence[Part]", probes: Probes) -> Outcome:
    differences = [p.first_difference for p in parts if p.first_difference]
    return Outcome(target.name, target.title, probes.recorded, probes.random, sum(p.mismatches for p in parts),
                   target.counts, target.note, min(differences, key=lambda d: d.window, default=None))


def _missing(error: HarembedError) -> bool:
    """Whether an error says that a program is not installed here, that LiteRT, which is not required to agree, does
    not take the model, or that the given file cannot be fed with int8: no failure of the proof."""
    return any(words in error.message
               for words in ("not installed", "no `renode` program", LITERT_REFUSES, RESCALES))


# Two at a time: by threads, which start at once, or by processes, because a simulator is Python for the most part.

_work: "tuple[Job, list[Target]] | None" = None  # of this process


def _compare(target: int, begin: int, end: int) -> "Part":
    assert _work is not None
    job, targets = _work
    return targets[target].compare(job, begin, end)


@contextmanager
def _pool(job: Job, targets: "list[Target]") -> Iterator[Executor]:
    """What computes _compare(); its work ends at once where the body raises."""
    global _work
    _ = job.graph, job.probes  # loaded once, before others ask for them
    if job.probes.total < _PROCESSES_FROM:
        _work = job, targets
        pool: Executor = ThreadPoolExecutor(2)
    else:
        pool = ProcessPoolExecutor(2, get_context("spawn"), _begin, (job, targets))
    try:
        yield pool
    except BaseException:
        for process in active_children():
            process.kill()
        pool.shutdown(wait=isinstance(pool, ProcessPoolExecutor), cancel_futures=True)  # a thread cannot be killed
        raise
    pool.shutdown()


def _begin(job: Job, targets: "list[Target]") -> None:
    """Prepare a process: Ctrl-C is for the parent, and if that is killed the process ends by itself."""
    global _work
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _work = job, targets


def _end_with_parent() -> None:
    parent = parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


@dataclass(frozen=True)
class Part:
    """How some of the inputs compared on one target."""

    mismatches: int
    first_difference: Difference | None = None


@dataclass(frozen=True, kw_only=True)
class Target(ABC):
    """What is compared with the interpreter."""

    name: str
    title: str
    counts: bool = True
    note: str = ""

    @abstractmethod
    def compare(self, job: Job, begin: int, end: int) -> Part:
        """Compare the inputs [begin, end)."""


@dataclass(frozen=True, kw_only=True)
class Oracle(Target):
    """A foreign interpreter of a .tflite; it starts at the model's inputs."""

    tflite: bytes
    run: Callable[[bytes, Sequence[np.ndarray]], list[np.ndarray]]

    def compare(self, job: Job, begin: int, end: int) -> Part:
        inputs = tuple(a[begin:end] for a in job.probes.model_inputs(job.graph))
        n = len(inputs[0])
        wrong = np.zeros(n, bool)
        for e, a in zip(Interpreter(job.graph).run(*inputs), run_inside(self.tflite, job.graph, inputs, self.run),
                        strict=True):
            wrong |= (e.reshape(n, -1) != a.reshape(n, -1)).any(axis=1)
        return Part(int(wrong.sum()))


@dataclass(frozen=True, kw_only=True)
class OnDevice(Target):
    """Whatever runs a firmware and speaks the protocol: from raw windows on if there are any, then from the model's
    inputs.

    Attributes
    ----------
    started : what to start, from harembed.devices.firmware
    """

    started: Firmware

    def compare(self, job: Job, begin: int, end: int) -> Part:
        probes, parts = job.probes, []
        raw = probes.raw
        first = 0 if raw is None else len(raw)  # of those that start at the model's inputs
        with open_device(job, self.started) as device:
            if raw is not None and begin < first:
                parts.append((begin, validate_raw(device, job.graph, raw[begin:end])))
            if end > first:
                skip = max(begin - first, 0)
                given = probes.made if raw is not None else probes.model_inputs(job.graph)
                report = validate_inputs(device, job.graph, *(a[skip : end - first] for a in given))
                parts.append((first + skip, report))
        differences = [replace(r.first_difference, window=offset + r.first_difference.window)
                       for offset, r in parts if r.first_difference]
        return Part(sum(r.mismatches for _, r in parts), next(iter(differences), None))


def _targets(job: Job) -> list[Target]:
    """What is compared with the interpreter; what runs a firmware is built."""
    own = job.backend == "own"
    exact = own or all(node.op != "lstm" for node in job.graph.nodes)
    devices = [
        ("qemu", _QEMU, "qemu", False),
        # Other backends are built for boards only.
        *([("host", _HOST, "host", False), ("host_dsp", _HOST_DSP, "host", True)] if own else []),
        *([("l552", _L552, "l552", False), ("renode", _RENODE, "renode", False)]
          if job.board.simulators.unicorn else []),
    ]
    with ThreadPoolExecutor(2) as pool:  # compilers are processes of their own
        built = list(pool.map(lambda device: firmware(job, *device[2:]), devices))
    qemu, *others = (
        OnDevice(name=name, title=title, counts=exact, note="" if exact else _INEXACT_LSTM, started=started)
        for (name, title, *_), started in zip(devices, built, strict=True))
    files = job.oracle_files()
    return [
        qemu,
        *(Oracle(name=name, title=title, tflite=tflite, run=run_tflm) for name, title, tflite in files),
        Oracle(name="litert", title=_LITERT, counts=False, note=_SECOND_OPINION, tflite=files[-1][2], run=run_litert),
        *others,
    ]
