"""depthwise_conv_2d: each input channel is filtered alone, int8 activations, per-channel int8 weights.

inputs: input [1, H, W, C] int8, filter [1, KH, KW, O] int8 with O a multiple of C, bias [O] int32 or absent
output: [1, OH, OW, O] int8; output channel o reads input channel o // (O / C)
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np

from harembed.errors import GraphError
from harembed.ir.fixedpoint import requantize
from harembed.ir.graph import GraphBuilder, IntGraph, Kind, Node, QParams
from harembed.ir.ops.base import Case, DspForm, Goal, Op, Prepared
from harembed.ir.ops.conv import (
    Conv2DAttrs,
    Conv2DParams,
    activation_range,
    channel_multipliers,
    constant_weights,
    output_length,
    output_plane,
)
from harembed.ir.ops.conv_dsp import conv_dsp, conv_scratch_bytes
from harembed.ir.ops.depthwise_3x3_dsp import depthwise_3x3_dsp, strips_bytes, takes_3x3
from harembed.ir.ops.depthwise_dsp import depthwise_dsp
from harembed.ir.ops.windows import taps


@dataclass(frozen=True, eq=False)
class DepthwiseConv2DParams:
    input_h: int
    input_w: int
    input_c: int
    filter_h: int
    filter_w: int
    output_h: int
    output_w: int
    output_c: int
    depth_multiplier: int  # output channels per input channel
    stride_h: int
    stride_w: int
    dilation_h: int
    dilation_w: int
    pad_top: int
    pad_left: int
    input_zero_point: int
    output_zero_point: int
    act_min: int
    act_max: int
    multiplier: np.ndarray  # [O] int32, Q0.31
    shift: np.ndarray  # [O] int32


def _as_convolution(p: DepthwiseConv2DParams) -> Conv2DParams:
    """The same arithmetic as a convolution, with one input channel."""
    return Conv2DParams(**{f.name: getattr(p, f.name) for f in fields(Conv2DParams)})


class DepthwiseConv2D(Op):
    name = "depthwise_conv_2d"
    Attrs = Conv2DAttrs

    def output_shapes(self, graph: IntGraph, node: Node) -> list[tuple[int, ...]]:
        x, w = graph.input_tensors(node)[:2]
        if (x is None or w is None or len(x.shape) != 4 or len(w.shape) != 4 or w.shape[0] != 1
                or w.shape[3] % x.shape[3] != 0):
            raise GraphError(f"Node {node.name!r}: depthwise_conv_2d needs input [1,H,W,C] and filter [1,KH,KW,C*m], "
                             f"got {x and x.shape} and {w and w.shape}.")
        (oh, _), (ow, _) = output_plane(node, x, w)
        return [(x.shape[0], oh, ow, w.shape[3])]

    def prepare(self, graph: IntGraph, node: Node) -> Prepared:
        x, w = graph[node.inputs[0]], graph[node.inputs[1]]
        y = graph[node.outputs[0]]
        a = node.attrs
        assert w.qparams is not None
        (oh, pad_top), (ow, pad_left) = output_plane(node, x, w)
        multiplier, shift = channel_multipliers(x.scale, w.qparams.scale, y.scale, w.shape[3])
        act_min, act_max = activation_range(a.activation, y.scale, y.zero_point)
        params = DepthwiseConv2DParams(
            input_h=x.shape[1], input_w=x.shape[2], input_c=x.shape[3], filter_h=w.shape[1], filter_w=w.shape[2],
            output_h=oh, output_w=ow, output_c=w.shape[3], depth_multiplier=w.shape[3] // x.shape[3],
            stride_h=a.stride[0], stride_w=a.stride[1], dilation_h=a.dilation[0], dilation_w=a.dilation[1],
            pad_top=pad_top, pad_left=pad_left, input_zero_point=x.zero_point, output_zero_point=y.zero_point,
            act_min=act_min, act_max=act_max, multiplier=multiplier, shift=shift,
        )
        return Prepared("he_depthwise_conv_2d_s8", params)

    def dsp_scratch_bytes(self, graph: IntGraph, node: Node) -> int:
        p = self.prepare(graph, node).params
        if p.input_c == 1:
            return conv_scratch_bytes(p.filter_h * p.filter_w, 1)
        return strips_bytes(p) if takes_3x3(p) else 0

    def dsp(self, graph: IntGraph, node: Node, goal: Goal) -> DspForm | None:
        return self.dsp_within(graph, node, goal, self.dsp_scratch_bytes(graph, node))

    def dsp_within(self, graph: IntGraph, node: Node, goal: Goal, room: int) -> DspForm | None:
        p = self.prepare(graph, node).params
        weights, bias = constant_weights(graph, node)
        if p.input_c == 1:
            return conv_dsp(_as_convolution(p), weights.transpose(3, 1, 2, 0), bias, goal)
        if takes_3x3(p):
            return depthwise_3x3_dsp(p, weights, bias, goal, room)
        return depthwise_dsp(p, weights, bias, goal) if p.depth_multiplier == 1 else None

    def reference(self, params: DepthwiseConv2DParams, inputs: Sequence[np.ndarray | None]) -> list[np.ndarray]:
        x, w, bias = inputs
        assert x is not None and w is not None
        p = params
        centred = x.astype(np.int32) - p.input_zero_point
        acc = np.zeros((len(x), p.output_h, p.output_w, p.output_c), np.int64)
        for i, j, patch in taps(centred, p, 0, (p.dilation_h, p.dilation_w)):
            acc += np.repeat(patch, p.depth_multiplier, axis=3) * w[0, i, j].astype(np.int32)
        if bias is not None:
            acc += bias
        return [requantize(acc, p.multiplier, p.shift, p.output_zero_point, p.act_min, p.act_max)]

    def macs(self, graph: IntGraph, node: Node) -> int:
        _, kh, kw, _ = graph[node.inputs[1]].shape
        return graph[node.outputs[0]].elements * kh * kw

    def weights(self, node: Node) -> tuple[str, ...]:
        return node.inputs[1:]

    @staticmethod
    def case(name: str, h: int, w: int, c: int, m: int, kh: int, kw: int, attrs: Conv2DAttrs = Conv2DAttrs(),
             zero_points: tuple[int, int] = (-3, 5), scales: tuple[float, float] = (0.05, 0.03),
             bias: bool = True) -> Case:
        """A one-node graph with random weights and depth multiplier m."""

        def build(rng: np.random.Generator) -> IntGraph:
            g = GraphBuilder(f"depthwise_conv_2d_{name}")
            g.tensor("input", (1, h, w, c), kind=Kind.INPUT, qparams=QParams((scales[0],), zero_points[0]))
            weight_scales = tuple(rng.uniform(0.002, 0.02, c * m))
            g.constant("filter", rng.integers(-127, 128, (1, kh, kw, c * m)).astype(np.int8),
                       QParams(weight_scales, 0, 3))
            if bias:
                g.constant("bias", rng.integers(-3000, 3000, c * m).astype(np.int32),
                           QParams(tuple(scales[0] * s for s in weight_scales), 0, 0))
            oh, _ = output_length(h, kh, attrs.stride[0], attrs.dilation[0], attrs.padding)
            ow, _ = output_length(w, kw, attrs.stride[1], attrs.dilation[1], attrs.padding)
            g.tensor("output", (1, oh, ow, c * m), qparams=QParams((scales[1],), zero_points[1]))
            g.node("depthwise_conv_2d", ["input", "filter", "bias" if bias else ""], ["output"], attrs)
            return g.build(["input"], ["output"])

        return Case(name, build)


_same = Conv2DAttrs(padding="same", activation="relu")
DepthwiseConv2D.CASES = (
    DepthwiseConv2D.case("temporal_k5", 1, 32, 9, 1, 1, 5, _same),
    DepthwiseConv2D.case("temporal_stride2_valid", 6, 31, 4, 1, 1, 5, Conv2DAttrs((1, 2))),
    DepthwiseConv2D.case("multiplier3", 1, 12, 5, 3, 1, 3, _same),
    DepthwiseConv2D.case("two_dimensional", 7, 6, 3, 2, 3, 3, Conv2DAttrs((2, 2), (1, 1), "same", "relu6")),
    DepthwiseConv2D.case("dilated", 1, 20, 3, 1, 1, 3, Conv2DAttrs(dilation=(1, 4), padding="same")),
    DepthwiseConv2D.case("kernel_beyond_input", 2, 3, 2, 1, 1, 7, _same),
    DepthwiseConv2D.case("one", 1, 1, 1, 1, 1, 1),
    DepthwiseConv2D.case("saturating", 1, 9, 8, 1, 1, 3, _same, scales=(0.5, 0.01)),
    DepthwiseConv2D.case("zero_points_extreme", 1, 9, 4, 1, 1, 3, Conv2DAttrs(padding="same"), (-128, 127)),
    DepthwiseConv2D.case("zero_points_extreme_2", 1, 9, 4, 1, 1, 3, Conv2DAttrs(padding="same"), (127, -128)),
    DepthwiseConv2D.case("no_bias", 1, 9, 4, 1, 1, 3, bias=False),
    DepthwiseConv2D.case("one_channel_many_filters", 8, 6, 1, 7, 3, 3, _same),
    DepthwiseConv2D.case("seven_sensors_stride_beyond_kernel", 1, 23, 7, 1, 1, 2, Conv2DAttrs((1, 3))),
    DepthwiseConv2D.case("square_same", 7, 5, 6, 1, 3, 3, _same),
    DepthwiseConv2D.case("square_valid", 6, 7, 9, 1, 3, 3, zero_points=(127, -128)),
    DepthwiseConv2D.case("square_saturating", 4, 4, 4, 1, 3, 3, _same, (-128, 127), (0.5, 0.01)),
    DepthwiseConv2D.case("square_stride2", 9, 8, 8, 1, 3, 3, Conv2DAttrs((2, 2), padding="same", activation="relu6")),
)
