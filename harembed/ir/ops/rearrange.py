"""reshape, transpose, pad and pad_v2: values move, none is computed, so input and output share their quantisation.

inputs: input int8
output: int8; axis 0, the batch, stays where it is
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from harembed.errors import GraphError
from harembed.ir.graph import DType, IntGraph, Kind, Node
from harembed.ir.ops.base import Op, Prepared
from harembed.ir.ops.unary import unary_case

AXES = 4  # behind the batch; kernels see shorter shapes with axes of length 1 in front


@dataclass(frozen=True)
class ReshapeAttrs:
    shape: tuple[int, ...]  # of the output, batch included


@dataclass(frozen=True)
class TransposeAttrs:
    perm: tuple[int, ...]  # output axis i is input axis perm[i]; perm[0] is 0


@dataclass(frozen=True)
class PadAttrs:
    before: tuple[int, ...]  # elements added in front of each axis, batch included (0)
    after: tuple[int, ...]


@dataclass(frozen=True)
class PadV2Attrs:
    before: tuple[int, ...]
    after: tuple[int, ...]
    value: int = 0  # what is added, int8 in the input's quantisation


@dataclass(frozen=True, eq=False)
class TransposeParams:
    output_dims: tuple[int, ...]  # [4]
    input_strides: tuple[int, ...]  # [4] elements between two steps of an output axis in the input


@dataclass(frozen=True, eq=False)
class PadParams:
    input_dims: tuple[int, ...]  # [4]
    before: tuple[int, ...]  # [4]
    after: tuple[int, ...]  # [4]
    pad_value: int  # of pad the zero_point: real 0


def _check_unchanged(graph: IntGraph, node: Node) -> None:
    x, y = graph[node.inputs[0]], graph[node.outputs[0]]
    if (x.dtype, x.qparams) != (y.dtype, y.qparams):
        raise GraphError(f"Node {node.name!r}: {node.op} does not rescale, but its input is {x.dtype.value} "
                         f"{x.qparams}, its output {y.dtype.value} {y.qparams}.")
    if x.kind is Kind.CONSTANT:
        raise GraphError(f"Node {node.name!r}: {node.op} of a constant must be folded before.")


def _four(values: Sequence[int], fill: int) -> tuple[int, ...]:
    return (fill,) * (AXES - len(values)) + tuple(values)


def _need_int8(graph: IntGraph, node: Node) -> None:
    x = graph[node.inputs[0]]
    if x.dtype is not DType.INT8 or len(x.shape) > AXES + 1:
        raise GraphError(f"Node {node.name!r}: {node.op} needs int8 of rank at most {AXES + 1}, got "
                         f"{x.dtype.value} {x.shape}.")


class Reshape(Op):
    """No code and no copy: the output is the input's storage."""

    name = "reshape"
    Attrs = ReshapeAttrs
    view = True

    def output_shapes(self, graph: IntGraph, node: Node) -> list[tuple[int, ...]]:
        x, shape = graph[node.inputs[0]], tuple(node.attrs.shape)
        if math.prod(shape) != x.elements or not shape or shape[0] != x.shape[0]:
            raise GraphError(f"Node {node.name!r}: cannot reshape {x.shape} to {shape}.",
                             "The number of elements and axis 0, the batch, must stay.")
        return [shape]

    def prepare(self, graph: IntGraph, node: Node) -> Prepared:
        _check_unchanged(graph, node)
        return Prepared("", None)

    def reference(self, params: None, inputs: Sequence[np.ndarray | None]) -> list[np.ndarray]:
        # The interpreter gives every result its declared shape.
        return [x for x in inputs if x is not None]


class Transpose(Op):
    name = "transpose"
    Attrs = TransposeAttrs

    def output_shapes(self, graph: IntGraph, node: Node) -> list[tuple[int, ...]]:
        x, perm = graph[node.inputs[0]], node.attrs.perm
        if sorted(perm) != list(range(len(x.shape))) or perm[0] != 0:
            raise GraphError(f"Node {node.name!r}: cannot permute {x.shape} by {perm}.",
                             "Name each axis once and leave axis 0, the batch, in front.")
        return [tuple(x.shape[i] for i in perm)]

    def prepare(self, graph: IntGraph, node: Node) -> Prepared:
        _check_unchanged(graph, node)
        _need_int8(graph, node)
        shape, perm = graph[node.inputs[0]].shape, node.attrs.perm
        strides = [math.prod(shape[i + 1 :]) for i in range(len(shape))]
        return Prepared("he_transpose_s8", TransposeParams(
            output_dims=_four([shape[i] for i in perm[1:]], 1),
            input_strides=_four([strides[i] for i in perm[1:]], 0),
        ))

    def reference(self, params: TransposeParams, inputs: Sequence[np.ndarray | None]) -> list[np.ndarray]:
        x = inputs[0]
        assert x is not None
        flat = x.reshape(len(x), -1)
        index = np.zeros(params.output_dims, np.int64)
        for axis, (dim, stride) in enumerate(zip(params.output_dims, params.input_strides, strict=True)):
            index += (np.arange(dim) * stride).reshape([-1 if a == axis else 1 for a in range(AXES)])
        return [flat[:, index]]


class Pad(Op):
    name = "pad"
    Attrs: type | None = PadAttrs

    def output_shapes(self, graph: IntGraph, node: Node) -> list[tuple[int, ...]]:
        x, a = graph[node.inputs[0]], node.attrs
        fits = len(x.shape) == len(a.before) == len(a.after)
        if not fits or min(a.before + a.after) < 0 or a.before[0] + a.after[0] > 0:
            raise GraphError(f"Node {node.name!r}: cannot pad {x.shape} by {a.before} and {a.after}.",
                             "One number >= 0 per axis, 0 for axis 0, the batch.")
        return [tuple(b + d + e for b, d, e in zip(a.before, x.shape, a.after, strict=True))]

    def prepare(self, graph: IntGraph, node: Node) -> Prepared:
        _check_unchanged(graph, node)
        _need_int8(graph, node)
        x, a = graph[node.inputs[0]], node.attrs
        return Prepared("he_pad_s8", PadParams(input_dims=_four(x.shape[1:], 1), before=_four(a.before[1:], 0),
                                               after=_four(a.after[1:], 0), pad_value=self._value(graph, node)))

    def _value(self, graph: IntGraph, node: Node) -> int:
        return graph[node.inputs[0]].zero_point

    def reference(self, params: PadParams, inputs: Sequence[np.ndarray | None]) -> list[np.ndarray]:
        x = inputs[0]
        assert x is not None
        widths = [(0, 0), *zip(params.before, params.after, strict=True)]
        return [np.pad(x.reshape(len(x), *params.input_dims), widths, constant_values=params.pad_value)]


class PadV2(Pad):
    """Padding by any value."""

    name = "pad_v2"
    Attrs = PadV2Attrs

    def output_shapes(self, graph: IntGraph, node: Node) -> list[tuple[int, ...]]:
        if not -128 <= node.attrs.value <= 127:
            raise GraphError(f"Node {node.name!r}: {node.attrs.value} is no int8 to pad with.")
        return super().output_shapes(graph, node)

    def _value(self, graph: IntGraph, node: Node) -> int:
        return node.attrs.value


Reshape.CASES = (
    unary_case(Reshape(), "flatten", (1, 3, 4, 5), ReshapeAttrs((1, 60))),
    unary_case(Reshape(), "sensors_into_channels", (1, 8, 9, 8), ReshapeAttrs((1, 1, 8, 72))),
)
Transpose.CASES = (
    unary_case(Transpose(), "sensors_behind_time", (1, 9, 8, 8), TransposeAttrs((0, 2, 1, 3))),
    unary_case(Transpose(), "rotate", (1, 3, 4, 5), TransposeAttrs((0, 3, 1, 2))),
    unary_case(Transpose(), "rank3", (1, 7, 5), TransposeAttrs((0, 2, 1))),
    unary_case(Transpose(), "rank5", (1, 2, 3, 4, 5), TransposeAttrs((0, 4, 2, 1, 3))),
    unary_case(Transpose(), "identity", (1, 1, 3), TransposeAttrs((0, 1, 2))),
)
Pad.CASES = (
    unary_case(Pad(), "time", (1, 6, 9, 3), PadAttrs((0, 0, 2, 0), (0, 0, 2, 0))),
    unary_case(Pad(), "uneven", (1, 2, 3, 4), PadAttrs((0, 1, 0, 3), (0, 0, 2, 1)), zero_points=(127, 127)),
    unary_case(Pad(), "causal_rank3", (1, 5, 4), PadAttrs((0, 4, 0), (0, 0, 0)), zero_points=(-128, -128)),
    unary_case(Pad(), "nothing", (1, 2, 3, 1), PadAttrs((0, 0, 0, 0), (0, 0, 0, 0))),
)
PadV2.CASES = (
    unary_case(PadV2(), "time", (1, 6, 9, 3), PadV2Attrs((0, 0, 2, 0), (0, 0, 2, 0), 17)),
    unary_case(PadV2(), "lowest", (1, 2, 3, 4), PadV2Attrs((0, 1, 0, 3), (0, 0, 2, 1), -128)),
    unary_case(PadV2(), "highest_rank2", (1, 5), PadV2Attrs((0, 4), (0, 1), 127)),
)
