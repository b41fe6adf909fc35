"""Fitting a board's latency model to simulated runs of designed layers, and trying it on whole networks."""

import itertools
import json
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

import harembed
from harembed.board import Board, CycleModel
from harembed.build import build_firmware
from harembed.cost.latency import FORMAT_VERSION, UNITS, LatencyModel, kernels_digest, latency_file
from harembed.cost.latency_design import SEED, designed_layers, side_by_side
from harembed.cost.latency_fit import Observation, fit_goal, summarise
from harembed.cost.memory import plan_memory
from harembed.cost.work import work_of
from harembed.errors import BoardError
from harembed.export.csource import generate
from harembed.harness.client import Device
from harembed.harness.measure import full_range
from harembed.harness.simulator_l552 import SimulatedL552
from harembed.ir.code_goals import code_goals
from harembed.ir.graph import IntGraph
from harembed.ir.ops import OPS
from harembed.ir.ops.base import GOALS, Goal
from harembed.progress import Tick, stage
from harembed.rundir import dump_json, write_atomic

LAYERS_AT_ONCE = 90  # in one image
EVERY: dict[Goal, int] = {"speed": 1, "balanced": 1, "size": 2}  # one code for all layers needs fewer of them
BACKEND = "own"
TAP = "profile_tap"  # of the firmware: called after each node


@dataclass(frozen=True)
class Trial:
    """A network that was predicted and simulated."""

    name: str
    instructions: int
    cycles: int
    predicted_instructions: float
    predicted_cycles: float

    @property
    def errors(self) -> tuple[float, float]:
        return (self.predicted_instructions / self.instructions - 1.0, self.predicted_cycles / self.cycles - 1.0)


def fit(board: Board, console: Console, out: Path | None = None, toolchain: str | None = None) -> Path:
    """Simulate the designed layers with every goal, fit, write <board>.latency.json and print the errors.

    Raises
    ------
    BoardError    no simulator of this board counts cycles
    """
    model = _require(board)
    path = out or latency_file(board)
    document = _document(board, path)
    entries: dict[str, Any] = {}
    compiler = ""
    layers = designed_layers()
    for layer, goal in itertools.product(layers, GOALS):
        work_of(layer, layer.nodes[0], goal)  # whatever cannot be counted says so before the long part
    ticks: dict[int, tuple[int, int]] = {}
    portable: set[int] = set()  # layers whose ticks are of the portable kernel, which is the same with every goal
    for goal in GOALS:
        chosen = range(0, len(layers), EVERY[goal])
        with_dsp = {j for j in chosen if _has_dsp_form(layers[j], goal)}
        new = [j for j in chosen if j in with_dsp or j not in portable]
        portable = (portable | set(new)) - with_dsp
        with stage(console, f"fit {goal}") as tick, tempfile.TemporaryDirectory() as folder:
            found, compiler = _observe([layers[j] for j in new], goal, board, model, Path(folder), toolchain, tick)
            for j, counted in zip(new, found, strict=True):
                ticks.pop(j, None)
                ticks |= {} if counted is None else {j: counted}
            entries[goal] = fit_goal([_observation(layers[j], goal, ticks[j]) for j in chosen if j in ticks])
            e = entries[goal]["held_out"]
            tick(1, 1, f"held-out error of cycles {e['cycles']['mean_percent']} % (mean)")
    document["backends"][BACKEND] = {
        "source": f"harembed {harembed.__version__}, fit-latency: {len(layers)} designed layers (seed {SEED}) on the "
                  f"simulated {board.mcu}; executed instructions, and cycles by the board's cycle model",
        "provenance": "estimated", "compiler": f"{compiler} -O2", "kernels_sha256": kernels_digest(),
        "cycle_model": model.short, "goals": entries}
    write_atomic(path, dump_json(document))
    console.print(held_out_table(entries))
    console.print(f"wrote {path}", highlight=False)
    return path


def _require(board: Board) -> CycleModel:
    if board.simulators.unicorn != "stm32l552" or board.cycle_model is None or not (board.core and board.core.dsp):
        raise BoardError(f"Board {board.name} has no simulator that counts cycles of a core with DSP instructions.",
                         "Fit on --board nucleo_l552ze_q.")
    return board.cycle_model


def _document(board: Board, path: Path) -> dict[str, Any]:
    """The file with what other backends have in it, or a new one."""
    backends: dict[str, Any] = {}
    if path.is_file():
        try:
            backends = json.loads(path.read_text())["backends"]
        except (ValueError, KeyError, TypeError) as e:
            raise BoardError(f"{path} is damaged: {e!r}.", "Delete it and fit again.") from e
    return {"format_version": FORMAT_VERSION, "board": board.name, "clock_hz": board.clock_hz, "backends": backends}


def _has_dsp_form(layer: IntGraph, goal: Goal) -> bool:
    return OPS[layer.nodes[0].op].dsp(layer, layer.nodes[0], goal) is not None


def _observation(layer: IntGraph, goal: Goal, ticks: tuple[int, int]) -> Observation:
    work = work_of(layer, layer.nodes[0], goal)
    assert work is not None
    return Observation(work, *ticks)


def _observe(layers: Sequence[IntGraph], goal: Goal, board: Board, model: CycleModel, folder: Path,
             toolchain: str | None, tick: Tick) -> tuple[list[tuple[int, int] | None], str]:
    """(instructions, cycles) of all layers, and the compiler. None: a layer that had code for another goal."""
    images = _images(layers, goal)
    ticks: list[tuple[int, int] | None] = [None] * len(layers)
    compiler = ""
    for i, chosen in enumerate(images):
        tick(i, len(images), f"image {i + 1} of {len(images)}")
        graph, names = side_by_side(f"layers_{i}", [layers[j] for j in chosen])
        plan = plan_memory(graph, max_steps=0)  # any plan will do
        image = build_firmware(generate(graph, plan, goal), board, folder, toolchain)
        compiler = image.toolchain
        by_name = _ticks(graph, image.elf, model)
        goals = code_goals(graph, goal)
        for j, name in zip(chosen, names, strict=True):
            ticks[j] = by_name[name] if goals[name] == goal else None
    return ticks, compiler


def _images(layers: Sequence[IntGraph], goal: Goal) -> list[list[int]]:
    """Which layers share an image: with "size" those of one operator, so that they share code, else all sorts."""
    count = -(-len(layers) // LAYERS_AT_ONCE)
    if goal == "size":
        order = sorted(range(len(layers)), key=lambda j: layers[j].nodes[0].op)
        return [order[i : i + LAYERS_AT_ONCE] for i in range(0, len(layers), LAYERS_AT_ONCE)]
    return [list(range(i, len(layers), count)) for i in range(count)]


def _ticks(graph: IntGraph, elf: Path, model: CycleModel) -> dict[str, tuple[int, int]]:
    """(instructions, cycles) by node, less what the tap itself takes: a reshape has no code but is tapped."""
    simulator = SimulatedL552(elf, "cycles", model, hang_s=600.0)
    with Device(simulator, patience_s=600.0) as device:
        device.load_input(*(full_range(np.random.default_rng(0), t) for t in device.info().inputs))
        with simulator.trace_calls(TAP) as calls:
            device.profile_from(0)
    # The first node begins where its page does; it is a slice that no observation needs.
    counts = [after - before for before, after in itertools.pairwise([calls[0], *calls])]
    ticks = [(c.instructions, round(c.cycles(model))) for c in counts]
    views = [t for n, t in zip(graph.nodes, ticks, strict=True) if n.op == "reshape"]
    tap = [int(median(t[i] for t in views)) for i in range(2)]
    return {node.name: (max(t[0] - tap[0], 1), max(t[1] - tap[1], 1))
            for node, t in zip(graph.nodes, ticks, strict=True)}


def held_out_table(entries: dict[str, Any]) -> Table:
    """Errors on single layers that the fit did not see, by goal and kind."""
    table = Table("goal", "kind", box=None, header_style="bold", pad_edge=False)
    for title in ("layers", "held out", "instructions: mean %", "95th %", "cycles: mean %", "95th %"):
        table.add_column(title, justify="right")
    for goal, entry in entries.items():
        together = {"held_out": entry["held_out"], "layers": sum(k["layers"] for k in entry["kinds"].values())}
        for kind, k in [*entry["kinds"].items(), ("all", together)]:
            e = k["held_out"]
            figures = [f"{e[u][p]:.1f}" if u in e else "" for u in UNITS for p in ("mean_percent", "p95_percent")]
            table.add_row(goal, f"[bold]{kind}[/bold]" if kind == "all" else kind, str(k["layers"]), str(e["layers"]),
                          *figures)
    return table


def check(graphs: Iterable[tuple[str, IntGraph]], model: LatencyModel, board: Board, goal: Goal, console: Console,
          toolchain: str | None = None) -> list[Trial]:
    """Predict whole networks, simulate each as an image of its own, and print both.

    A network with a layer that the model was fitted to would prove less: it is left out.
    """
    cycle_model = _require(board)
    known = {signature(g, 0) for g in designed_layers()}
    trials = []
    table = Table("network", box=None, header_style="bold", pad_edge=False)
    for title in ("instructions", "predicted", "error %", "modelled cycles", "predicted", "error %"):
        table.add_column(title, justify="right")
    for name, graph in graphs:
        seen = [n.name for i, n in enumerate(graph.nodes) if signature(graph, i) in known]
        if seen:
            console.print(f"{name} left out: the model was fitted to a layer like {', '.join(seen)}", highlight=False)
            continue
        trials.append(_try(name, graph, model, board, cycle_model, goal, toolchain))
        t = trials[-1]
        table.add_row(name, f"{t.instructions:,}", f"{t.predicted_instructions:,.0f}", f"{100 * t.errors[0]:+.1f}",
                      f"{t.cycles:,}", f"{t.predicted_cycles:,.0f}", f"{100 * t.errors[1]:+.1f}")
    console.print(table)
    e = summarise(t.errors for t in trials)
    for unit in ("instructions", "cycles"):
        console.print(f"{unit}: error {e[unit]['mean_percent']:.1f} % (mean), {e[unit]['p95_percent']:.1f} % (95th "
                      f"percentile), {e[unit]['worst_percent']:.1f} % (worst) of {len(trials)} networks, --optimize "
                      f"{goal}", highlight=False)
    return trials


def _try(name: str, graph: IntGraph, model: LatencyModel, board: Board, cycle_model: CycleModel, goal: Goal,
         toolchain: str | None) -> Trial:
    predicted = model.predict(graph, goal)
    with tempfile.TemporaryDirectory() as folder:
        elf = build_firmware(generate(graph, optimize=goal), board, Path(folder), toolchain).elf
        simulated = []
        for count in ("instructions", "cycles"):
            with Device(SimulatedL552(elf, count, cycle_model)) as device:
                device.load_input(*(full_range(np.random.default_rng(0), t) for t in device.info().inputs))
                simulated.append(device.infer())
    return Trial(name, simulated[0], simulated[1], predicted.instructions, predicted.cycles)


def signature(graph: IntGraph, index: int) -> tuple[Any, ...]:
    """What a layer is without its weights: two layers that differ in nothing of this are the same to a kernel."""
    node = graph.nodes[index]
    return (node.op, node.attrs, *(t.shape if t else None for t in graph.input_tensors(node)),
            *(t.shape for t in graph.output_tensors(node)))
