"""strided_slice: TFLite's STRIDED_SLICE on int8, with everything known beforehand.

inputs: input, rank 2 to 5, int8
output: int8, the same integers, whatever its quantisation says: TFLM copies them, and TensorFlow's converter gives a
    reversed tensor another scale than its source

The slice is held in one canonical form, free of masks and of negative indices: along axis a it takes the elements
begin[a] + i * stride[a], i = 0 .. size[a] - 1. Axes in `squeeze` have size 1 and vanish from the output.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from harembed.errors import GraphError
from harembed.ir.graph import DType, GraphBuilder, IntGraph, Kind, Node, QParams
from harembed.ir.ops.base import Case, Op, Prepared

AXES = 4  # behind the batch; kernels see shorter shapes with axes of length 1 in front


@dataclass(frozen=True)
class StridedSliceAttrs:
    begin: tuple[int, ...]
    size: tuple[int, ...]
    stride: tuple[int, ...]  # may be negative, not 0
    squeeze: tuple[int, ...] = ()  # axes


@dataclass(frozen=True, eq=False)
class StridedSliceParams:
    offset: int  # of the first element that is taken
    size: tuple[int, ...]  # [4]
    stride: tuple[int, ...]  # [4] in elements of the input
    kept_axes: int  # bit a is set where axis a of `size` is an axis of the output; the kernel needs it not


def last_step(shape: tuple[int, ...], axis: int = 1) -> StridedSliceAttrs:
    """The last element along one axis, which vanishes: an LSTM's output after the whole window."""
    begin = tuple(n - 1 if a == axis else 0 for a, n in enumerate(shape))
    size = tuple(1 if a == axis else n for a, n in enumerate(shape))
    return StridedSliceAttrs(begin, size, (1,) * len(shape), (axis,))


class StridedSlice(Op):
    name = "strided_slice"
    Attrs = StridedSliceAttrs

    def output_shapes(self, graph: IntGraph, node: Node) -> list[tuple[int, ...]]:
        x, y = graph[node.inputs[0]], graph[node.outputs[0]]
        a = node.attrs
        where = f"Node {node.name!r}: strided_slice"
        rank = len(x.shape)
        if x.dtype is not DType.INT8 or y.dtype is not DType.INT8 or not 2 <= rank <= AXES + 1:
            raise GraphError(f"{where} needs int8 of rank 2 to {AXES + 1}, got {x.dtype.value} {x.shape}.")
        if not len(a.begin) == len(a.size) == len(a.stride) == rank:
            raise GraphError(f"{where}: begin, size and stride must have {rank} entries, one per axis.")
        for axis, (n, begin, size, stride) in enumerate(zip(x.shape, a.begin, a.size, a.stride, strict=True)):
            last = begin + (size - 1) * stride
            if size < 1 or stride == 0 or not (0 <= begin < n and 0 <= last < n):
                raise GraphError(f"{where}: axis {axis} has {n} elements; from {begin}, {size} in steps of {stride} "
                                 "is not inside.")
        if (a.begin[0], a.size[0]) != (0, 1) or 0 in a.squeeze:
            raise GraphError(f"{where}: axis 0 is the batch and must stay.")
        if any(a.size[axis] != 1 for axis in a.squeeze):
            raise GraphError(f"{where}: only axes of size 1 can be squeezed, not {a.squeeze} of {a.size}.")
        return [tuple(n for axis, n in enumerate(a.size) if axis not in a.squeeze)]

    def prepare(self, graph: IntGraph, node: Node) -> Prepared:
        shape = graph[node.inputs[0]].shape
        a = node.attrs
        steps = [int(np.prod(shape[i + 1 :], dtype=np.int64)) for i in range(1, len(shape))]
        front = AXES + 1 - len(shape)
        params = StridedSliceParams(
            offset=sum(b * s for b, s in zip(a.begin[1:], steps, strict=True)), size=(1,) * front + tuple(a.size[1:]),
            stride=(0,) * front + tuple(n * s for n, s in zip(a.stride[1:], steps, strict=True)),
            kept_axes=sum(1 << (front + axis - 1) for axis in range(1, len(shape)) if axis not in a.squeeze),
        )
        return Prepared("he_strided_slice_s8", params)

    def reference(self, params: StridedSliceParams, inputs: Sequence[np.ndarray | None]) -> list[np.ndarray]:
        x = inputs[0]
        assert x is not None
        p = params
        index = np.full(1, p.offset)
        for n, stride in zip(p.size, p.stride, strict=True):
            index = (index[:, None] + np.arange(n) * stride).ravel()
        kept = [n for axis, n in enumerate(p.size) if p.kept_axes >> axis & 1]
        return [x.reshape(len(x), -1)[:, index].reshape(len(x), *kept)]

    @staticmethod
    def case(name: str, shape: tuple[int, ...], attrs: StridedSliceAttrs, declared: QParams | None = None) -> Case:
        """A one-node graph; the output is quantised as the input, if it is not declared otherwise."""

        def build(rng: np.random.Generator) -> IntGraph:
            g = GraphBuilder(f"strided_slice_{name}")
            qparams = QParams((0.05,), -3)
            g.tensor("input", shape, kind=Kind.INPUT, qparams=qparams)
            output = tuple(n for axis, n in enumerate(attrs.size) if axis not in attrs.squeeze)
            g.tensor("output", output, qparams=declared or qparams)
            g.node("strided_slice", ["input"], ["output"], attrs)
            return g.build(["input"], ["output"])

        return Case(name, build)


StridedSlice.CASES = (
    StridedSlice.case("last_time_step", (1, 9, 7), last_step((1, 9, 7))),
    StridedSlice.case("first_half", (1, 9, 7), StridedSliceAttrs((0, 0, 0), (1, 4, 7), (1, 1, 1))),
    StridedSlice.case("every_second", (1, 4, 9, 3), StridedSliceAttrs((0, 0, 1, 0), (1, 4, 4, 3), (1, 1, 2, 1))),
    StridedSlice.case("backwards", (1, 9, 3), StridedSliceAttrs((0, 8, 0), (1, 9, 3), (1, -1, 1))),
    StridedSlice.case("other_output", (1, 9, 3), StridedSliceAttrs((0, 8, 0), (1, 9, 3), (1, -1, 1)),
                      QParams((0.04,), 9)),
    StridedSlice.case("backwards_by_three", (1, 9, 3), StridedSliceAttrs((0, 7, 2), (1, 2, 3), (1, -3, -1))),
    StridedSlice.case("one_channel", (1, 5, 4, 3), StridedSliceAttrs((0, 0, 0, 1), (1, 5, 4, 1), (1,) * 4, (3,))),
    StridedSlice.case("two_axes_vanish", (1, 5, 4, 3),
                      StridedSliceAttrs((0, 2, 3, 0), (1, 1, 1, 3), (1,) * 4, (1, 2))),
    StridedSlice.case("rank2", (1, 9), StridedSliceAttrs((0, 1), (1, 3), (1, 3))),
    StridedSlice.case("length_one", (1, 1), StridedSliceAttrs((0, 0), (1, 1), (1, 1))),
)
