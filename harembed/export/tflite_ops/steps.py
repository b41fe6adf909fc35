"""How an operator of a file becomes nodes of the graph: mostly one to one, else by the functions of foreign.py.

The graph's axis 0 is always the batch, of length 1. A file may move it, split along it or join along it (time in
front, as unrolled recurrent networks have it); then the operator works behind a batch axis put in front, and its
operands are seen through reshapes, which cost nothing.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from harembed.errors import GraphError
from harembed.export.tflite_ops.base import FileOperator, Step, batched
from harembed.ir.graph import Kind, TensorSpec
from harembed.ir.ops.concatenation import ConcatenationAttrs
from harembed.ir.ops.mean import MeanAttrs
from harembed.ir.ops.rearrange import PadAttrs, PadV2Attrs, ReshapeAttrs, TransposeAttrs
from harembed.ir.ops.slice import StridedSliceAttrs


@dataclass(frozen=True)
class Axes:
    """How attributes that name axes are seen from behind another axis.

    Attributes
    ----------
    keeps : (attrs, rank) -> whether axis 0 stays as it is
    behind : (attrs, rank) -> the attributes with one more axis in front
    """

    keeps: Callable[[Any, int], bool]
    behind: Callable[[Any, int], Any]


def _pad_behind(a: Any, rank: int) -> Any:
    return replace(a, before=(0, *a.before), after=(0, *a.after))


def _slice_behind(a: StridedSliceAttrs, rank: int) -> StridedSliceAttrs:
    return StridedSliceAttrs((0, *a.begin), (1, *a.size), (1, *a.stride), tuple(axis + 1 for axis in a.squeeze))


# By the type of the attributes; what is not here knows no axes.
AXES: dict[type, Axes] = {
    TransposeAttrs: Axes(lambda a, rank: a.perm[:1] == (0,),
                         lambda a, rank: TransposeAttrs((0, *(p + 1 for p in a.perm)))),
    MeanAttrs: Axes(lambda a, rank: 0 not in a.axes,
                    lambda a, rank: MeanAttrs(tuple(axis + 1 for axis in a.axes), a.keep_dims)),
    ConcatenationAttrs: Axes(lambda a, rank: a.axis % rank > 0,
                             lambda a, rank: ConcatenationAttrs(a.axis % rank + 1)),
    StridedSliceAttrs: Axes(lambda a, rank: a.begin[:1] + a.size[:1] == (0, 1) and 0 not in a.squeeze, _slice_behind),
    PadAttrs: Axes(lambda a, rank: a.before[:1] + a.after[:1] == (0, 0), _pad_behind),
    PadV2Attrs: Axes(lambda a, rank: a.before[:1] + a.after[:1] == (0, 0), _pad_behind),
}


class Steps:
    """Collects the nodes of one operator. Tensors are given in the file's shapes."""

    def __init__(self, op: FileOperator) -> None:
        self.op = op
        self.steps: list[Step] = []

    def input(self, index: int) -> TensorSpec:
        spec = self.op.inputs[index] if index < len(self.op.inputs) else None
        if spec is None:
            raise GraphError(f"{self.op.where}: input {index} is absent.")
        return spec

    def add(self, op: str, inputs: Sequence[TensorSpec | None], output: TensorSpec, attrs: Any = None) -> None:
        """Add a node, behind a batch axis where it does not leave axis 0 alone."""
        given = [x for x in inputs if x is not None]
        axes = AXES.get(type(attrs))
        rank = len(given[0].shape)
        if rank == 0 and axes is not None:
            raise GraphError(f"{self.op.where}: a number without axes cannot be rearranged.")
        if axes is None or (all(x.shape[:1] == (1,) for x in (*given, output)) and axes.keeps(attrs, rank)):
            self.steps.append(Step(op, tuple(x and batched(x) for x in inputs), batched(output), attrs))
            return
        target = self.shaped(output, (1, *output.shape))
        seen = [self.view(x, (1, *x.shape)) for x in given]
        self.steps.append(Step(op, tuple(seen), target, axes.behind(attrs, rank)))
        self.finish(target, output)

    def shaped(self, output: TensorSpec, shape: tuple[int, ...]) -> TensorSpec:
        """What a node that computes `shape` writes: the output, or a tensor that finish() turns into it."""
        seen = replace(output, shape=shape)
        return seen if batched(seen).shape == batched(output).shape else self.temporary(seen)

    def finish(self, target: TensorSpec, output: TensorSpec) -> None:
        if target.name != output.name:
            self.reshape(target, output)

    def view(self, x: TensorSpec, shape: tuple[int, ...]) -> TensorSpec:
        """A tensor under another shape: itself, a reshaped copy of a constant, or the output of a reshape."""
        seen = replace(x, shape=shape)
        if x.data is not None:
            return x if x.shape == shape else replace(seen, name=self.op.fresh(x.name), data=x.data.reshape(shape))
        if batched(seen).shape == batched(x).shape:
            return seen
        seen = self.temporary(seen)
        self.reshape(x, seen)
        return seen

    def reshape(self, x: TensorSpec, output: TensorSpec) -> None:
        self.steps.append(Step("reshape", (batched(x),), batched(output), ReshapeAttrs(batched(output).shape)))

    def temporary(self, like: TensorSpec) -> TensorSpec:
        """A tensor that the file does not have."""
        return replace(like, name=self.op.fresh(like.name), kind=Kind.ACTIVATION, data=None)


def positive(axis: int, rank: int, where: str) -> int:
    """An axis that a file may count from the back.

    Raises
    ------
    GraphError    if there is no such axis
    """
    if not -rank <= axis < rank:
        raise GraphError(f"{where}: axis {axis} of {rank} does not exist: damaged file.")
    return axis % rank


def one_number(values: np.ndarray, where: str) -> int:
    if values.size != 1:
        raise GraphError(f"{where}: expected one number, found {values.size}: damaged file.")
    return int(values.ravel()[0])
