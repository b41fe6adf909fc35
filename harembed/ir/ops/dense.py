"""fully_connected: a matrix of int8 weights applied to the last axis.

inputs: input int8, filter [O, I] int8, bias [O] int32 or absent
output: [1, O] int8; with keep_num_dims the input's shape with its last axis (I) replaced by O
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from harembed.errors import GraphError
from harembed.ir.fixedpoint import requantize
from harembed.ir.graph import GraphBuilder, IntGraph, Kind, Node, QParams
from harembed.ir.ops.base import Case, DspForm, Goal, Op, Prepared
from harembed.ir.ops.conv import Conv2DParams, activation_range, channel_multipliers, constant_weights
from harembed.ir.ops.conv_dsp import conv_dsp
from harembed.ir.ops.dense_dsp import dense_dsp, dense_scratch_bytes
from harembed.ir.ops.dot_dsp import TILE_POSITIONS


@dataclass(frozen=True)
class FullyConnectedAttrs:
    activation: str = "none"  # "none", "relu", "relu6"
    keep_num_dims: bool = False


@dataclass(frozen=True, eq=False)
class FullyConnectedParams:
    rows: int  # vectors that the matrix is applied to
    input_c: int
    output_c: int
    input_zero_point: int
    output_zero_point: int
    act_min: int
    act_max: int
    multiplier: np.ndarray  # [O] int32, Q0.31
    shift: np.ndarray  # [O] int32


def _as_convolution(p: FullyConnectedParams) -> Conv2DParams:
    """The same arithmetic as a 1x1 convolution over rows."""
    return Conv2DParams(
        input_h=1, input_w=p.rows, input_c=p.input_c, filter_h=1, filter_w=1, output_h=1, output_w=p.rows,
        output_c=p.output_c, stride_h=1, stride_w=1, dilation_h=1, dilation_w=1, pad_top=0, pad_left=0,
        input_zero_point=p.input_zero_point, output_zero_point=p.output_zero_point, act_min=p.act_min,
        act_max=p.act_max, multiplier=p.multiplier, shift=p.shift)


class FullyConnected(Op):
    name = "fully_connected"
    Attrs = FullyConnectedAttrs

    def output_shapes(self, graph: IntGraph, node: Node) -> list[tuple[int, ...]]:
        x, w = graph.input_tensors(node)[:2]
        if x is None or w is None or len(w.shape) != 2 or w.data is None:
            raise GraphError(f"Node {node.name!r}: fully_connected needs an input and a constant filter [O,I], got "
                             f"{x and x.shape} and {w and w.shape}.")
        if node.attrs.keep_num_dims:
            if x.shape[-1] != w.shape[1]:
                raise GraphError(f"Node {node.name!r}: the input's last axis is {x.shape[-1]}, the filter has "
                                 f"{w.shape[1]} columns.")
            return [(*x.shape[:-1], w.shape[0])]
        if x.elements != w.shape[1]:
            raise GraphError(f"Node {node.name!r}: {x.elements} inputs per window, the filter has {w.shape[1]} "
                             "columns.", "Several rows need keep_num_dims, so that axis 0 stays the batch.")
        return [(1, w.shape[0])]

    def prepare(self, graph: IntGraph, node: Node) -> Prepared:
        x, w = graph[node.inputs[0]], graph[node.inputs[1]]
        y = graph[node.outputs[0]]
        assert w.qparams is not None
        multiplier, shift = channel_multipliers(x.scale, w.qparams.scale, y.scale, w.shape[0])
        act_min, act_max = activation_range(node.attrs.activation, y.scale, y.zero_point)
        params = FullyConnectedParams(
            rows=x.elements // w.shape[1], input_c=w.shape[1], output_c=w.shape[0],
            input_zero_point=x.zero_point, output_zero_point=y.zero_point, act_min=act_min, act_max=act_max,
            multiplier=multiplier, shift=shift,
        )
        return Prepared("he_fully_connected_s8", params)

    def dsp_scratch_bytes(self, graph: IntGraph, node: Node) -> int:
        p = self.prepare(graph, node).params
        return dense_scratch_bytes(p.rows, p.input_c)

    def dsp(self, graph: IntGraph, node: Node, goal: Goal) -> DspForm:
        p = self.prepare(graph, node).params
        weights, bias = constant_weights(graph, node)
        if p.rows >= TILE_POSITIONS:
            return conv_dsp(_as_convolution(p), weights, bias, goal)
        return dense_dsp(p, weights, bias, goal)

    def reference(self, params: FullyConnectedParams, inputs: Sequence[np.ndarray | None]) -> list[np.ndarray]:
        x, w, bias = inputs
        assert x is not None and w is not None
        p = params
        rows = x.reshape(len(x), p.rows, p.input_c).astype(np.float64) - p.input_zero_point
        # Sums of int8 products are exact in float64.
        acc = (rows @ w.T.astype(np.float64)).astype(np.int64)
        if bias is not None:
            acc += bias
        return [requantize(acc, p.multiplier, p.shift, p.output_zero_point, p.act_min, p.act_max)]

    def macs(self, graph: IntGraph, node: Node) -> int:
        return graph[node.outputs[0]].elements * graph[node.inputs[1]].shape[1]

    def weights(self, node: Node) -> tuple[str, ...]:
        return node.inputs[1:]

    @staticmethod
    def case(name: str, shape: tuple[int, ...], o: int, attrs: FullyConnectedAttrs = FullyConnectedAttrs(),
             zero_points: tuple[int, int] = (-3, 5), scales: tuple[float, float] = (0.05, 0.1),
             bias: bool = True, per_channel: bool = True, weight_scale: float | None = None,
             largest_bias: int = 3000) -> Case:
        """A one-node graph with random weights over an input of `shape`; weight_scale only if not per_channel."""

        def build(rng: np.random.Generator) -> IntGraph:
            g = GraphBuilder(f"fully_connected_{name}")
            g.tensor("input", shape, kind=Kind.INPUT, qparams=QParams((scales[0],), zero_points[0]))
            depth = shape[-1] if attrs.keep_num_dims else int(np.prod(shape))
            axis = 0 if per_channel else None
            weight_scales = tuple(rng.uniform(0.002, 0.02, o if per_channel else 1))
            weight_scales = (weight_scale,) if weight_scale else weight_scales
            g.constant("filter", rng.integers(-127, 128, (o, depth)).astype(np.int8), QParams(weight_scales, 0, axis))
            if bias:
                g.constant("bias", rng.integers(-largest_bias, largest_bias, o).astype(np.int32),
                           QParams(tuple(scales[0] * s for s in weight_scales), 0, axis))
            out = (*shape[:-1], o) if attrs.keep_num_dims else (1, o)
            g.tensor("output", out, qparams=QParams((scales[1],), zero_points[1]))
            g.node("fully_connected", ["input", "filter", "bias" if bias else ""], ["output"], attrs)
            return g.build(["input"], ["output"])

        return Case(name, build)


_rows = FullyConnectedAttrs(keep_num_dims=True)
FullyConnected.CASES = (
    FullyConnected.case("classifier", (1, 24), 6),
    FullyConnected.case("flattens", (1, 2, 3, 5), 7, FullyConnectedAttrs("relu")),
    FullyConnected.case("rows", (1, 9, 13), 11, _rows),
    FullyConnected.case("rows_rank4", (1, 3, 4, 8), 5, FullyConnectedAttrs("relu6", True)),
    FullyConnected.case("one", (1, 1), 1),
    FullyConnected.case("per_tensor", (1, 33), 9, per_channel=False),
    FullyConnected.case("per_tensor_no_bias", (1, 33), 9, per_channel=False, bias=False),
    # The product of the two scales is 1.5 output scales in float32 and a hair less in double, which TFLM uses.
    FullyConnected.case("per_tensor_double_product", (1, 1), 64, zero_points=(-128, 0), scales=(0.03, 2.0**-12),
                        per_channel=False, weight_scale=0.01220703125, largest_bias=60),
    FullyConnected.case("no_bias", (1, 17), 4, bias=False),
    FullyConnected.case("saturating", (1, 40), 12, scales=(0.5, 0.01)),
    FullyConnected.case("zero_points_extreme", (1, 40), 6, zero_points=(-128, 127), scales=(0.05, 0.5)),
    FullyConnected.case("zero_points_extreme_2", (1, 40), 6, zero_points=(127, -128), scales=(0.05, 0.5)),
)
