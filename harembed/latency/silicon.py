"""Predictions beside the cycles of a real board, operator by operator, from a table that others measured.

The table's cycles are those of an operator called by TFLite Micro, so its call comes on top of the kernel's time: one
of many different ones, which all run cold. Nothing is fitted to the table.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from harembed.board import Board
from harembed.cost.latency import LatencyModel
from harembed.errors import BoardError, DataError
from harembed.ir.graph import IntGraph
from harembed.latency.check import predict, simulate
from harembed.latency.fit import require_cycles
from harembed.latency.silicon_rows import OPERATORS, Row, graph_of, read_rows
from harembed.progress import stage

# Cycles of a call of an operator by TFLite Micro, cold; found with the cycle model of boards/nucleo_l552ze_q.toml
# against the same measurements (King et al., MicroNAS, 2025).
DISPATCH_CYCLES = 2600


@dataclass(frozen=True)
class Compared:
    """A row beside what the model says, in cycles, the call included."""

    row: Row
    predicted: float
    simulated: int | None = None

    @property
    def error(self) -> float:
        return self.predicted / self.row.cycles - 1.0


def compare(path: Path, model: LatencyModel, board: Board, console: Console, dispatch: int = DISPATCH_CYCLES,
            simulated: int = 0, toolchain: str | None = None) -> list[Compared]:
    """Predict every row from its shapes, and print the errors.

    Parameters
    ----------
    dispatch : int     cycles that a call of an operator takes on top
    simulated : int    rows of each kind to simulate as well: what the model misses, apart from what other sources,
                       flags and silicon differ by

    Raises
    ------
    DataError     as read_rows; no row can be predicted
    BoardError    the model is of another backend
    """
    if model.backend != "cmsis_nn":
        raise BoardError(f"A table of TFLite Micro with CMSIS-NN says nothing about the backend {model.backend}.",
                         "Type --backend cmsis_nn.")
    graphs = [(row, graph_of(row)) for row in read_rows(path)]
    rows = [(row, graph) for row, graph in graphs if isinstance(graph, IntGraph)]
    if not rows:
        raise DataError(f"No row of {path} can be predicted.", f"Operators are {', '.join(OPERATORS)}.")
    chosen = _spread([row for row, _ in rows], simulated)
    cycle_model, found = require_cycles(board), []
    with stage(console, "predict") as tick:
        for i, (row, graph) in enumerate(rows):
            cycles = None
            if row.line in chosen:
                tick(i, len(rows), f"line {row.line}")
                cycles = dispatch + simulate(graph, model.backend, board, cycle_model, toolchain=toolchain)[1]
            found.append(Compared(row, predict(graph, model).cycles + dispatch, cycles))
    console.print(error_table(found))
    if chosen:
        console.print(simulated_table([c for c in found if c.simulated is not None]))
    for row, reason in graphs:
        if isinstance(reason, str):
            console.print(f"line {row.line} not predicted: {row.op} {row.cycles:,} cycles: {reason}", highlight=False,
                          soft_wrap=True)
    console.print(f"{model.backend} on {model.board}, estimated, {dispatch:,} cycles for each call included; the "
                  "model was not fitted to this table.", highlight=False, soft_wrap=True)
    return found


def _spread(rows: Sequence[Row], count: int) -> set[int]:
    """Lines of `count` rows of each kind, spread evenly."""
    kinds: dict[str, list[int]] = {}
    for row in rows:
        kinds.setdefault(row.kind, []).append(row.line)
    return {lines[(2 * i + 1) * len(lines) // (2 * n)] for lines in kinds.values() for n in [min(count, len(lines))]
            for i in range(n)}


def error_table(compared: Sequence[Compared]) -> Table:
    """Errors of the prediction by kind of operator; the mean with its sign tells what differs systematically."""
    table = Table("operator", box=None, header_style="bold", pad_edge=False)
    for title in ("rows", "mean error %", "95th %", "worst %", "mean with sign %"):
        table.add_column(title, justify="right")
    kinds = sorted({c.row.kind for c in compared}, key=lambda k: (not k.startswith("conv2d"), _natural(k)))
    for kind in [*kinds, "all"]:
        errors = 100 * np.array([c.error for c in compared if kind in ("all", c.row.kind)])
        size = np.abs(errors)
        table.add_row(f"[bold]{kind}[/bold]" if kind == "all" else kind, str(len(errors)), f"{size.mean():.1f}",
                      f"{np.percentile(size, 95):.1f}", f"{size.max():.1f}", f"{errors.mean():+.1f}")
    return table


def _natural(kind: str) -> tuple[int, str]:
    digits = [word for word in kind.split() if word.isdigit()]
    return (int(digits[0]) if digits else -1, kind)


def simulated_table(compared: Sequence[Compared]) -> Table:
    """Rows that were simulated: the model against the simulation, and the simulation against the board."""
    table = Table("line", "operator", box=None, header_style="bold", pad_edge=False)
    for title in ("cycles on\nthe board", "simulated", "off by\n%", "predicted", "off simu-\nlation by %"):
        table.add_column(title, justify="right", no_wrap=True)
    for c in compared:
        assert c.simulated is not None
        what = c.row.op + (f" {c.row.kernel[0]}x{c.row.kernel[1]}" if c.row.kernel != (0, 0) else "")
        table.add_row(str(c.row.line), f"{what} {'x'.join(map(str, c.row.output))}", f"{c.row.cycles:,}",
                      f"{c.simulated:,}", f"{100 * (c.simulated / c.row.cycles - 1):+.1f}", f"{c.predicted:,.0f}",
                      f"{100 * (c.predicted / c.simulated - 1):+.1f}")
    return table
