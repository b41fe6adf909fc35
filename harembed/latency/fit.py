"""Fitting a board's latency model to simulated runs of designed layers."""

import json
from collections.abc import Iterator, Mapping, Sequence
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
    entries = {goal: fit_goal([_observation(chosen, layers[j], goal, ticks[j]) for j in sorted(ticks)])
               for goal, ticks in _observed(layers, name, board, model, console, toolchain, measure)}
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


def _observed(layers: Sequence[IntGraph], name: str, board: Board, model: CycleModel, console: Console,
              toolchain: str | None, measure: Measure | None) -> Iterator[tuple[Goal, dict[int, Ticks]]]:
    """Ticks by layer, for each goal of a backend; the portable kernel runs once for all goals."""
    ticks: dict[int, Ticks] = {}
    portable: set[int] = set()  # layers whose ticks are of the portable kernel
    for goal in backend(name).goals:
        with_dsp = {j for j, layer in enumerate(layers) if name != "own" or _has_dsp_form(layer, goal)}
        new = [j for j in range(len(layers)) if j in with_dsp or j not in portable]
        portable = (portable | set(new)) - with_dsp
        with _progress(console, goal, measure) as tick:
            found = observe([layers[j] for j in new], name, goal, board, model, toolchain, tick, measure)
            for j, counted in zip(new, found, strict=True):
                ticks.pop(j, None)
                ticks |= {} if counted is None else {j: counted}
            tick(1, 1, f"{len(ticks)} layers")
        yield goal, dict(ticks)


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


def held_out_table(entries: Mapping[Goal, Any]) -> Table:
    """Errors on single layers that the fit did not see, by goal and kind."""
    table = Table("kind of layer", box=None, header_style="bold", pad_edge=False, caption_justify="left",
                  caption="Layers fitted and held out; errors on the latter in percent: mean, 95th percentile.")
    for title in ("fitted", "held", "instructions", "cycles"):
        table.add_column(title, justify="right", no_wrap=True)
    for goal, entry in entries.items():
        together = {"held_out": entry["held_out"], "layers": sum(k["layers"] for k in entry["kinds"].values())}
        for kind, k in [*entry["kinds"].items(), (f"[bold]all, {goal}[/bold]", together)]:
            e = k["held_out"]
            errors = [f"{e[u]['mean_percent']:.1f} {e[u]['p95_percent']:5.1f}" if u in e else "" for u in UNITS]
            table.add_row(kind, str(k["layers"]), str(e["layers"]), *errors)
    return table
