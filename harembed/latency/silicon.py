"""Predictions beside the cycles of a real board, operator by operator, from a table that others measured.

The table is a .csv with the columns of COLUMNS: shapes as 1xHxWxC (those of several inputs one behind the other),
filter and stride of a convolution, cycles of one operator called by TFLite Micro. Its call itself comes on top of the
kernel's time: the first of many that runs cold. Nothing here is fitted to the table.
"""

import csv
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from harembed.board import Board
from harembed.cost.latency import LatencyModel
from harembed.errors import BoardError, DataError
from harembed.ir.graph import IntGraph
from harembed.ir.ops.base import Case
from harembed.ir.ops.conv import Conv2D, Conv2DAttrs
from harembed.ir.ops.elementwise import Add
from harembed.ir.ops.softmax import Softmax
from harembed.latency.check import predict, simulate
from harembed.latency.fit import require_cycles
from harembed.progress import stage

COLUMNS = ("op", "input", "output", "kh", "kw", "sh", "sw", "padding", "act", "cycles")
# Cycles of a call of an operator by TFLite Micro, cold; found with the cycle model of boards/nucleo_l552ze_q.toml
# against the same measurements (King et al., MicroNAS, 2025).
DISPATCH_CYCLES = 2600

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Row:
    """One operator that ran on a board.

    Attributes
    ----------
    line : of the file
    kernel, stride : (down, along); (0, 0) where the operator has none
    """

    line: int
    op: str
    input: Shape
    output: Shape
    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: str
    activation: str
    cycles: int

    @property
    def kind(self) -> str:
        """The group that its error is told in."""
        if self.op != "conv2d":
            return self.op
        if self.kernel == (1, 1):
            return "conv2d 1x1"
        channels = self.input[-1]
        return f"conv2d, {channels} input channel{'s' if channels > 1 else ''}"


@dataclass(frozen=True)
class Compared:
    """A row beside what the model says, in cycles, the call included."""

    row: Row
    predicted: float
    simulated: int | None = None

    @property
    def error(self) -> float:
        return self.predicted / self.row.cycles - 1.0


def read_rows(path: Path) -> list[Row]:
    """Read a table.

    Raises
    ------
    DataError    it cannot be read, lacks a column, or a row is no operator with shapes and cycles
    """
    try:
        with open(path, newline="", encoding="utf-8") as f:
            reader = csv.DictReader(f)
            missing = [name for name in COLUMNS if name not in (reader.fieldnames or ())]
            if missing:
                raise DataError(f"{path} has no column {missing[0]!r}.", f"Its columns must be {', '.join(COLUMNS)}.")
            rows = [_row(path, i, values) for i, values in enumerate(reader, 2)]
    except (OSError, UnicodeDecodeError, csv.Error) as e:
        raise DataError(f"Cannot read {path}: {e}.", f"Give a .csv with the columns {', '.join(COLUMNS)}.") from e
    if not rows:
        raise DataError(f"{path} has no rows.", "Give a table of operators.")
    return rows


def _row(path: Path, line: int, values: dict[str, str]) -> Row:
    try:
        given, made = (tuple(int(n) for n in values[name].split("x")) for name in ("input", "output"))
        numbers = [int(float(values[name])) if values[name] else 0 for name in ("kh", "kw", "sh", "sw")]
        row = Row(line, values["op"], given, made, (numbers[0], numbers[1]), (numbers[2], numbers[3]),
                  values["padding"], values["act"] or "none", int(float(values["cycles"])))
    except (ValueError, TypeError, AttributeError) as e:
        raise DataError(f"{path}, line {line}: {e}.", "A row is conv2d,1x128x9x1,1x64x9x8,3,1,2,1,same,relu,…,503490."
                        ) from e
    if row.cycles <= 0 or min(*row.input, *row.output) <= 0:
        raise DataError(f"{path}, line {line}: shapes and cycles must be positive.", "Mend or delete this row.")
    return row


def _conv(row: Row) -> Case | str:
    if len(row.input) != 4 or row.padding not in ("same", "valid") or row.activation not in ("none", "relu", "relu6"):
        return f"no convolution of {row.input}, padding {row.padding!r}, activation {row.activation!r}"
    (_, h, w, c), o = row.input, row.output[-1]
    return Conv2D.case("row", h, w, c, o, *row.kernel,
                       Conv2DAttrs(row.stride, (1, 1), row.padding, row.activation))


def _add(row: Row) -> Case | str:
    if row.input != row.output * 2:
        return "arm_elementwise_add_s8 does not broadcast"
    return Add.case("row", row.output, row.output)


def _softmax(row: Row) -> Case | str:
    return Softmax.case("row", row.input, 0.05)


def _lacking(row: Row) -> Case | str:
    return "CMSIS-NN has none: TFLite Micro computes it itself"


OPERATORS: dict[str, Callable[[Row], Case | str]] = {
    "conv2d": _conv, "add": _add, "softmax": _softmax, "global_average_pooling2d": _lacking}


def graph_of(row: Row) -> IntGraph | str:
    """The operator of a row as a graph, or why there is none."""
    if row.op not in OPERATORS:
        return "an operator that this comparison does not know"
    case = OPERATORS[row.op](row)
    if isinstance(case, str):
        return case
    graph = case.build(np.random.default_rng(0))
    shape = graph[graph.outputs[0]].shape
    return graph if shape == row.output else f"its output would be {shape}"


def compare(path: Path, model: LatencyModel, board: Board, console: Console, dispatch: int = DISPATCH_CYCLES,
            simulated: int = 0, toolchain: str | None = None) -> list[Compared]:
    """Predict every row from its shapes, and print the errors.

    Parameters
    ----------
    dispatch : int     cycles that a call of an operator takes on top
    simulated : int    rows to simulate as well, spread evenly: what the model misses apart from what other sources,
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
    chosen = {(2 * i + 1) * len(rows) // (2 * simulated) for i in range(min(simulated, len(rows)))}
    cycle_model, found = require_cycles(board), []
    with stage(console, "predict") as tick:
        for i, (row, graph) in enumerate(rows):
            cycles = None
            if i in chosen:
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
    for title in ("board", "simulated", "% of board", "predicted", "% of simulated"):
        table.add_column(title, justify="right")
    for c in compared:
        assert c.simulated is not None
        what = f"{c.row.op} {'x'.join(map(str, c.row.input))} {c.row.kernel[0]}x{c.row.kernel[1]}"
        table.add_row(str(c.row.line), what, f"{c.row.cycles:,}", f"{c.simulated:,}",
                      f"{100 * (c.simulated / c.row.cycles - 1):+.1f}", f"{c.predicted:,.0f}",
                      f"{100 * (c.predicted / c.simulated - 1):+.1f}")
    return table
