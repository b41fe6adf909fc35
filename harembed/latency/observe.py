"""What designed layers take on the simulated board, or on a real one: many in one image, each between two taps.

What an image takes is kept in the user's cache folder, under a hash of all that it was built from: a fit that was
interrupted goes on where it stopped, and one whose layers did not change only fits.
"""

import hashlib
import itertools
import json
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

import numpy as np
import pooch

from harembed import harness
from harembed.backends import backend
from harembed.board import Board, CycleModel
from harembed.build import build_firmware
from harembed.cost.latency_design import side_by_side
from harembed.cost.memory import plan_memory
from harembed.export.cmsis_nn import scratch_bytes
from harembed.export.csource import generate
from harembed.harness.client import Device
from harembed.harness.measure import full_range
from harembed.harness.simulator_l552 import SimulatedL552
from harembed.ir.code_goals import code_goals
from harembed.ir.graph import IntGraph
from harembed.ir.ops.base import Goal
from harembed.libraries import Collected
from harembed.progress import Tick
from harembed.resources import resource_dir
from harembed.rundir import dump_json, write_atomic
from harembed.toolchain import find_toolchain

LAYERS_AT_ONCE = 90  # in one image
TAP = "profile_tap"  # of the firmware: called after each node

Ticks = tuple[int, int]  # instructions, cycles
Measure = Callable[[IntGraph, Path, Board], list[int]]  # cycles of each node of an image


def observe(layers: Sequence[IntGraph], name: str, goal: Goal, board: Board, model: CycleModel, toolchain: str | None,
            tick: Tick, measure: Measure | None = None) -> list[Ticks | None]:
    """Ticks of every layer on a backend; None for a layer that had code for another goal.

    Parameters
    ----------
    measure : takes the cycles on a real board; None: cycles are modelled. Instructions are always simulated
    """
    images = _images(layers, goal)
    ticks: list[Ticks | None] = [None] * len(layers)
    for i, chosen in enumerate(images):
        tick(i, len(images), f"image {i + 1} of {len(images)}")
        graph, names = side_by_side(f"layers_{i}", [layers[j] for j in chosen])
        by_name = _image(graph, name, goal, board, model, toolchain, measure)
        goals = code_goals(graph, goal)
        for j, node in zip(chosen, names, strict=True):
            ticks[j] = by_name[node] if goals[node] == goal else None
    return ticks


def compiler(toolchain: str | None) -> str:
    """What images are built by."""
    found = find_toolchain(toolchain)
    return f"{found.name} {found.version}"


def _images(layers: Sequence[IntGraph], goal: Goal) -> list[list[int]]:
    """Which layers share an image: with "size" those of one operator, so that they share code, else all sorts."""
    count = -(-len(layers) // LAYERS_AT_ONCE)
    if goal == "size":
        order = sorted(range(len(layers)), key=lambda j: layers[j].nodes[0].op)
        return [order[i : i + LAYERS_AT_ONCE] for i in range(0, len(layers), LAYERS_AT_ONCE)]
    return [list(range(i, len(layers), count)) for i in range(count)]


def _image(graph: IntGraph, name: str, goal: Goal, board: Board, model: CycleModel, toolchain: str | None,
           measure: Measure | None) -> dict[str, Ticks]:
    """Ticks by node of one image, from the cache if it is known."""
    if name == "cmsis_nn":  # any plan will do
        plan = plan_memory(graph, max_steps=0, scratch_bytes=scratch_bytes(graph), in_place=False)
        sources = generate(graph, plan, kernels="cmsis_nn")
    else:
        sources = generate(graph, plan_memory(graph, max_steps=0), goal)
    outside = backend(name).outside(graph)
    key = _key(sources, outside, compiler(toolchain), board.model_dump_json(exclude={"path"}), str(bool(measure)))
    kept = Path(pooch.os_cache("harembed")) / "observations" / f"{key}.json"
    if not kept.is_file():
        with tempfile.TemporaryDirectory() as folder:
            elf = build_firmware(sources, board, Path(folder), toolchain, outside=outside).elf
            ticks = _simulate(graph, elf, model)
            if measure is not None:
                cycles = measure(graph, elf, board)
                ticks = [(t[0], measured) for t, measured in zip(ticks, cycles, strict=True)]
            write_atomic(kept, dump_json(_less_tap(graph, ticks)))
    return {node: (t[0], t[1]) for node, t in json.loads(kept.read_text()).items()}


def _key(sources: dict[str, str], outside: Sequence[Collected], *facts: str) -> str:
    """Of everything that decides what an image takes, and of what observes it."""
    digest = hashlib.sha256()
    for folder in (resource_dir("firmware"), resource_dir("templates") / "pio", Path(harness.__file__).parent):
        for path in sorted(p for p in folder.rglob("*") if p.is_file() and p.suffix != ".pyc"):
            digest.update(path.relative_to(folder).as_posix().encode() + b"\0" + path.read_bytes())
    for file, text in sorted(sources.items()):
        digest.update(f"{file}\0{text}".encode())
    digest.update(repr([library.sha256 for library in outside] + list(facts)).encode())
    return digest.hexdigest()


def _simulate(graph: IntGraph, elf: Path, model: CycleModel) -> list[Ticks]:
    """Ticks between taps, by node."""
    simulator = SimulatedL552(elf, "cycles", model, hang_s=600.0)
    with Device(simulator, patience_s=600.0) as device:
        load_full_range(device)
        with simulator.trace_calls(TAP) as calls:
            device.profile_from(0)
    # The first node begins where its page does; it is a slice that no observation needs.
    counts = [after - before for before, after in itertools.pairwise([calls[0], *calls])]
    return [(c.instructions, round(c.cycles(model))) for c in counts]


def load_full_range(device: Device) -> None:
    """The same random inputs on every device."""
    rng = np.random.default_rng(0)
    device.load_input(*(full_range(rng, t) for t in device.info().inputs))


def _less_tap(graph: IntGraph, ticks: Sequence[Ticks]) -> dict[str, Ticks]:
    """Ticks by node, less what the tap itself takes: a reshape has no code but is tapped."""
    views = [t for n, t in zip(graph.nodes, ticks, strict=True) if n.op == "reshape"]
    tap = [int(median(t[i] for t in views)) for i in range(2)]
    return {node.name: (max(t[0] - tap[0], 1), max(t[1] - tap[1], 1))
            for node, t in zip(graph.nodes, ticks, strict=True)}
