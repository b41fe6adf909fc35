"""Fitting a board's latency model to simulated runs of designed layers."""

import json
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

import harembed
from harembed.backend_build import outside_facts
from harembed.backends import Backend, backend, need_libraries
from harembed.board import Board, CycleModel
from harembed.cost.latency import FORMAT_VERSION, UNITS, kernels_digest, latency_file
from harembed.cost.latency_design import SEED, designed_layers
from harembed.cost.latency_fit import Observation, fit_goal
from harembed.errors import BoardError
from harembed.ir.graph import IntGraph
from harembed.ir.ops import OPS
from harembed.ir.ops.base import Goal
from harembed.latency.observe import Measure, Ticks, compiler, observe
from harembed.progress import Tick, stage
from harembed.rundir import dump_json, write_atomic

EVERY: dict[Goal, int] = {"speed": 1, "balanced": 1, "size": 2}  # one code for all layers needs fewer of them


def fit(board: Board, console: Console, out: Path | None = None, toolchain: str | None = None,
        name: str = "own", measure: Measure | None = None) -> Path:
    """Run the designed layers with every goal, fit, write <board>.latency.json and print the errors.

    Parameters
    ----------
    name : of a backend that the latency model counts
    measure : takes cycles on a real board; None takes them from the simulator

    Raises
    ------
    BoardError    no simulator of this board counts cycles; nobody counts what this backend does
    BuildError    foreign sources are not here
    """
    model = require_cycles(board)
    chosen = counted_backend(name)
    need_libraries(name)
    path = out or latency_file(board)
    document = _document(board, path)
    layers = designed_layers(name)
    for goal in chosen.goals:  # whatever cannot be counted says so before the long part
        for layer in layers:
            _observation(chosen, layer, goal, (1, 1))
    entries: dict[str, Any] = {}
    ticks: dict[int, Ticks] = {}
    portable: set[int] = set()  # layers whose ticks are of the portable kernel, which is the same with every goal
    for goal in chosen.goals:
        wanted = range(0, len(layers), EVERY[goal])
        with_dsp = {j for j in wanted if name != "own" or _has_dsp_form(layers[j], goal)}
        new = [j for j in wanted if j in with_dsp or j not in portable]
        portable = (portable | set(new)) - with_dsp
        with _progress(console, goal, measure) as tick:
            found = observe([layers[j] for j in new], name, goal, board, model, toolchain, tick, measure)
            for j, counted in zip(new, found, strict=True):
                ticks.pop(j, None)
                ticks |= {} if counted is None else {j: counted}
            entries[goal] = fit_goal([_observation(chosen, layers[j], goal, ticks[j]) for j in wanted if j in ticks])
            e = entries[goal]["held_out"]
            tick(1, 1, f"held-out error of cycles {e['cycles']['mean_percent']} % (mean)")
    document["backends"][name] = {
        "source": f"harembed {harembed.__version__}, fit-latency: {len(layers)} designed layers (seed {SEED}) on the "
                  f"simulated {board.mcu}; executed instructions, and cycles by " +
                  ("the board's cycle model" if measure is None else "the counter of a real board"),
        "provenance": "estimated", "compiler": f"{compiler(toolchain)} -O2", "kernels_sha256": kernels_digest(name),
        **({"sources": outside_facts(chosen.outside(layers[0]))} if chosen.libraries else {}),
        "cycle_model": model.short if measure is None else None, "goals": entries}
    write_atomic(path, dump_json(document))
    console.print(held_out_table(entries))
    console.print(f"wrote {path}", highlight=False)
    return path


def _progress(console: Console, goal: Goal, measure: Measure | None) -> AbstractContextManager[Tick]:
    """A bar, but for where the user is asked for something."""
    if measure is None:
        return stage(console, f"fit {goal}")
    return nullcontext(lambda done, total, note="": console.print(f"fit {goal}: {note}", highlight=False))


def require_cycles(board: Board) -> CycleModel:
    """The model of cycles of a board that is simulated with it.

    Raises
    ------
    BoardError    there is none
    """
    if board.simulators.unicorn != "stm32l552" or board.cycle_model is None or not (board.core and board.core.dsp):
        raise BoardError(f"Board {board.name} has no simulator that counts cycles of a core with DSP instructions.",
                         "Fit on --board nucleo_l552ze_q.")
    return board.cycle_model


def counted_backend(name: str) -> Backend:
    """A backend that the latency model knows.

    Raises
    ------
    BoardError    nobody counts what it does
    """
    chosen = backend(name)
    if chosen.work is None:
        raise BoardError(f"The latency model does not know what {chosen.title} does.",
                         "Choose --backend own or cmsis_nn.")
    return chosen


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


def _observation(chosen: Backend, layer: IntGraph, goal: Goal, ticks: Ticks) -> Observation:
    assert chosen.work is not None
    work = chosen.work(layer, layer.nodes[0], goal)
    assert work is not None
    return Observation(work, *ticks)


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
