"""A table of operators that TFLite Micro ran on a real board, each with the cycles that it took.

It is a .csv with the columns of COLUMNS: shapes as 1xHxWxC (those of several inputs one behind the other), filter and
stride of a convolution.
"""

import csv
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from harembed.errors import DataError
from harembed.ir.graph import IntGraph
from harembed.ir.ops.base import Case
from harembed.ir.ops.conv import Conv2D, Conv2DAttrs
from harembed.ir.ops.elementwise import Add
from harembed.ir.ops.softmax import Softmax

COLUMNS = ("op", "input", "output", "kh", "kw", "sh", "sw", "padding", "act", "cycles")

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
