"""Trying a latency model on whole networks: predicted, then simulated."""

import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from harembed.backend_build import build_backend, outside_facts
from harembed.backends import need_libraries
from harembed.board import Board, CycleModel
from harembed.cost.latency import LatencyModel, Prediction, fit_command
from harembed.cost.latency_design import designed_layers
from harembed.cost.latency_fit import summarise
from harembed.errors import BoardError
from harembed.harness.client import Device
from harembed.harness.simulator_l552 import SimulatedL552
from harembed.ir.graph import IntGraph
from harembed.ir.ops.base import Goal
from harembed.latency.fit import counted_backend, require_cycles
from harembed.latency.observe import Ticks, load_full_range


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


def predict(graph: IntGraph, model: LatencyModel, goal: Goal = "balanced") -> Prediction:
    """What a model says of a graph on its backend.

    Raises
    ------
    GraphError    an operator has no counter
    BoardError    the model has no coefficients for a kind of kernel, or for this goal
    """
    chosen = counted_backend(model.backend)
    assert chosen.work is not None
    return model.predict(graph, goal, chosen.work)


def check(graphs: Iterable[tuple[str, IntGraph]], model: LatencyModel, board: Board, goal: Goal, console: Console,
          toolchain: str | None = None) -> list[Trial]:
    """Predict whole networks, simulate each as an image of its own, and print both.

    A network with a layer that the model was fitted to would prove less: it is left out.
    """
    cycle_model = require_cycles(board)
    chosen = counted_backend(model.backend)
    if goal not in chosen.goals:
        raise BoardError(f"{chosen.title} has one form, there is none with --optimize {goal}.",
                         "Leave --optimize out.")
    need_libraries(model.backend)
    designed = designed_layers(model.backend)
    _tell_if_stale(model, outside_facts(chosen.outside(designed[0])), console)
    known = {signature(g, 0) for g in designed}
    trials = []
    table = Table("network", box=None, header_style="bold", pad_edge=False)
    for title in ("instructions", "predicted", "error %", "modelled\ncycles", "predicted", "error %"):
        table.add_column(title, justify="right", no_wrap=True)
    for name, graph in graphs:
        seen = [n.name for i, n in enumerate(graph.nodes) if signature(graph, i) in known]
        if seen:
            console.print(f"{name} left out: the model was fitted to a layer like {', '.join(seen)}", highlight=False)
            continue
        predicted = predict(graph, model, goal)
        trials.append(Trial(name, *simulate(graph, model.backend, board, cycle_model, goal, toolchain),
                            predicted.instructions, predicted.cycles))
        t = trials[-1]
        table.add_row(name, f"{t.instructions:,}", f"{t.predicted_instructions:,.0f}", f"{100 * t.errors[0]:+.1f}",
                      f"{t.cycles:,}", f"{t.predicted_cycles:,.0f}", f"{100 * t.errors[1]:+.1f}")
    console.print(table)
    if not trials:
        raise BoardError("No network was left to try.", "Name folders of other searches, or more with --count.")
    e = summarise(t.errors for t in trials)
    of = f"--optimize {goal}" if len(chosen.goals) > 1 else chosen.title
    for unit in ("instructions", "cycles"):
        console.print(f"{unit}: error {e[unit]['mean_percent']:.1f} % (mean), {e[unit]['p95_percent']:.1f} % (95th "
                      f"percentile), {e[unit]['worst_percent']:.1f} % (worst) of {len(trials)} networks, {of}",
                      highlight=False)
    return trials


def simulate(graph: IntGraph, name: str, board: Board, model: CycleModel, goal: Goal = "balanced",
             toolchain: str | None = None) -> Ticks:
    """(instructions, modelled cycles) of an inference of a graph on a backend, as an image of its own."""
    with tempfile.TemporaryDirectory() as folder:
        elf = build_backend(graph, name, board, Path(folder), toolchain, goal).image.elf
        simulated = []
        for count in ("instructions", "cycles"):
            with Device(SimulatedL552(elf, count, model)) as device:
                load_full_range(device)
                simulated.append(device.infer())
    return simulated[0], simulated[1]


def signature(graph: IntGraph, index: int) -> tuple[Any, ...]:
    """What a layer is without its weights: two layers that differ in nothing of this are the same to a kernel."""
    node = graph.nodes[index]
    return (node.op, node.attrs, *(t.shape if t else None for t in graph.input_tensors(node)),
            *(t.shape for t in graph.output_tensors(node)))


def _tell_if_stale(model: LatencyModel, sources: dict[str, dict[str, Any]], console: Console) -> None:
    """One line if the model was fitted to other kernels than those here."""
    fitted = {name: facts["sha256"] for name, facts in model.facts.get("sources", {}).items()}
    if model.stale or fitted != {name: facts["sha256"] for name, facts in sources.items()}:
        console.print(f"[yellow]The latency model was fitted to other kernels; renew it with "
                      f"`{fit_command(model.board, model.backend)}`.[/yellow]", highlight=False)
