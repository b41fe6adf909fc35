"""mean: the average over one or several neighbouring axes, rescaled into the output's quantisation.

inputs: input int8
output: int8; the reduced axes are gone, or 1 with keep_dims
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from harembed.errors import GraphError
from harembed.ir.fixedpoint import quantize_multiplier, requantize, wrap_int32
from harembed.ir.graph import IntGraph, Node
from harembed.ir.ops.base import DspForm, Goal, Op, Prepared
from harembed.ir.ops.mean_dsp import mean_dsp
from harembed.ir.ops.unary import unary_case


@dataclass(frozen=True)
class MeanAttrs:
    axes: tuple[int, ...] = (1, 2)  # neighbours, ascending, none of them the batch
    keep_dims: bool = False


@dataclass(frozen=True, eq=False)
class MeanParams:
    outer: int  # elements before the reduced axes
    reduced: int  # elements averaged
    inner: int  # elements behind them
    input_zero_point: int
    output_zero_point: int
    multiplier: int  # Q0.31
    shift: int


def mean_multiplier(real: float, count: int) -> tuple[int, int]:
    """Fold 1/count into the multiplier for real = input scale / output scale.

    As TFLite's QuantizedMeanOrSum: the mantissa gains floor(log2(count)) bits before it is divided, and the
    quotient is truncated.
    """
    multiplier, shift = quantize_multiplier(real)
    bits = min(count.bit_length() - 1, 32, 31 + shift)
    return (multiplier << bits) // count, shift - bits


class Mean(Op):
    name = "mean"
    Attrs = MeanAttrs

    def output_shapes(self, graph: IntGraph, node: Node) -> list[tuple[int, ...]]:
        x = graph[node.inputs[0]]
        axes = node.attrs.axes
        neighbours = bool(axes) and axes == tuple(range(axes[0], axes[0] + len(axes)))
        if not neighbours or axes[0] < 1 or axes[-1] >= len(x.shape):
            raise GraphError(f"Node {node.name!r}: mean over axes {axes} of shape {x.shape} is not supported.",
                             "Axes must be neighbours, ascending, and leave out axis 0, the batch.")
        if node.attrs.keep_dims:
            return [tuple(1 if i in axes else d for i, d in enumerate(x.shape))]
        return [tuple(d for i, d in enumerate(x.shape) if i not in axes)]

    def prepare(self, graph: IntGraph, node: Node) -> Prepared:
        x, y = graph[node.inputs[0]], graph[node.outputs[0]]
        axes = node.attrs.axes
        count = math.prod(x.shape[a] for a in axes)
        multiplier, shift = mean_multiplier(x.scale / y.scale, count)
        return Prepared("he_mean_s8", MeanParams(
            outer=math.prod(x.shape[: axes[0]]), reduced=count, inner=math.prod(x.shape[axes[-1] + 1 :]),
            input_zero_point=x.zero_point, output_zero_point=y.zero_point, multiplier=multiplier, shift=shift,
        ))

    def dsp(self, graph: IntGraph, node: Node, goal: Goal) -> DspForm | None:
        return mean_dsp(self.prepare(graph, node).params, goal)

    def reference(self, params: MeanParams, inputs: Sequence[np.ndarray | None]) -> list[np.ndarray]:
        x = inputs[0]
        assert x is not None
        p = params
        total = x.reshape(len(x), p.outer, p.reduced, p.inner).sum(axis=2, dtype=np.int64)
        centred = wrap_int32(total - p.input_zero_point * p.reduced)
        return [requantize(centred, p.multiplier, p.shift, p.output_zero_point, -128, 127)]


Mean.CASES = (
    unary_case(Mean(), "global", (1, 1, 8, 24), MeanAttrs(), (0.0065, 0.0037), (-128, -128)),
    unary_case(Mean(), "keep_dims", (1, 3, 5, 7), MeanAttrs(keep_dims=True), (0.05, 0.02), (4, -9)),
    unary_case(Mean(), "time_only", (1, 6, 13, 4), MeanAttrs((2,)), (0.05, 0.02), (4, -9)),
    unary_case(Mean(), "sensors_only", (1, 9, 5, 4), MeanAttrs((1,)), (0.05, 0.03), (-4, 0)),
    unary_case(Mean(), "channels", (1, 4, 9), MeanAttrs((2,)), (0.05, 0.01), (4, -9)),
    unary_case(Mean(), "of_one", (1, 1, 1, 5), MeanAttrs(), (0.05, 0.04), (4, -9)),
    unary_case(Mean(), "saturating", (1, 2, 3, 16), MeanAttrs(), (0.5, 0.1), (0, 127)),
    unary_case(Mean(), "long", (1, 5, 200, 3), MeanAttrs(), (0.02, 0.001), (3, -60)),
)
