"""conv_2d: the convolution of TFLite, int8 activations, per-channel int8 weights.

inputs: input [1, H, W, C] int8, filter [O, KH, KW, C] int8, bias [O] int32 or absent
output: [1, OH, OW, O] int8
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from harembed.errors import GraphError
from harembed.ir.fixedpoint import quantize_multiplier, requantize
from harembed.ir.graph import DType, GraphBuilder, IntGraph, Kind, Node, QParams, TensorSpec
from harembed.ir.ops.base import Case, DspForm, Goal, Op, Prepared
from harembed.ir.ops.conv_dsp import conv_dsp, conv_scratch_bytes


@dataclass(frozen=True)
class Conv2DAttrs:
    stride: tuple[int, int] = (1, 1)  # height, width
    dilation: tuple[int, int] = (1, 1)
    padding: str = "valid"  # "same" or "valid", TFLite's meaning
    activation: str = "none"  # "none", "relu", "relu6", "relu_n1_to_1"


@dataclass(frozen=True, eq=False)
class Conv2DParams:
    input_h: int
    input_w: int
    input_c: int
    filter_h: int
    filter_w: int
    output_h: int
    output_w: int
    output_c: int
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


def output_length(length: int, kernel: int, stride: int, dilation: int, padding: str) -> tuple[int, int]:
    """(output length, padding before) of one axis, as TFLite computes them."""
    extent = (kernel - 1) * dilation + 1
    if padding == "valid":
        return (length - extent) // stride + 1 if length >= extent else 0, 0
    if padding == "same":
        out = -(-length // stride)
        return out, max((out - 1) * stride + extent - length, 0) // 2
    raise GraphError(f"Padding must be 'same' or 'valid', not {padding!r}.")


def output_plane(node: Node, x: TensorSpec, w: TensorSpec) -> tuple[tuple[int, int], tuple[int, int]]:
    """((output height, padding on top), (output width, padding on the left)) of a convolution; the filter has its
    height and width in axes 1 and 2."""
    a = node.attrs
    rows = output_length(x.shape[1], w.shape[1], a.stride[0], a.dilation[0], a.padding)
    columns = output_length(x.shape[2], w.shape[2], a.stride[1], a.dilation[1], a.padding)
    if rows[0] < 1 or columns[0] < 1:
        raise GraphError(f"Node {node.name!r}: a {w.shape[1]}x{w.shape[2]} kernel does not fit into "
                         f"{x.shape[1]}x{x.shape[2]} with valid padding.")
    return rows, columns


def activation_range(activation: str, scale: float, zero_point: int) -> tuple[int, int]:
    """Clamp limits of an int8 output under a fused activation (TFLite's CalculateActivationRange)."""
    low, high = -128, 127

    def quantise(x: float) -> int:
        # float32 division and rounding half away from zero, as TFLite does.
        v = float(np.float32(x) / np.float32(scale))
        return zero_point + int(np.floor(abs(v) + 0.5) * (1 if v >= 0 else -1))

    if activation == "none":
        return low, high
    if activation == "relu":
        return max(low, quantise(0.0)), high
    if activation == "relu6":
        return max(low, quantise(0.0)), min(high, quantise(6.0))
    if activation == "relu_n1_to_1":
        return max(low, quantise(-1.0)), min(high, quantise(1.0))
    raise GraphError(f"Fused activation {activation!r} is not supported.", "Use none, relu, relu6 or relu_n1_to_1.")


def channel_multipliers(input_scale: float, filter_scales: Sequence[float], output_scale: float,
                        channels: int) -> tuple[np.ndarray, np.ndarray]:
    """Requantisation of each output channel: input_scale * filter_scale / output_scale, in double."""
    scales = list(filter_scales) * channels if len(filter_scales) == 1 else list(filter_scales)
    pairs = [quantize_multiplier(input_scale * s / output_scale) for s in scales]
    return np.array([p[0] for p in pairs], np.int32), np.array([p[1] for p in pairs], np.int32)


def constant_weights(graph: IntGraph, node: Node) -> tuple[np.ndarray, np.ndarray | None]:
    """(filter, bias or None) of a convolution or a fully connected layer."""
    filter_, bias = (graph[t].data if t else None for t in node.inputs[1:3])
    if filter_ is None or (bias is None and node.inputs[2]):
        raise GraphError(f"Node {node.name!r}: filter and bias must be constants.")
    return filter_, bias


class Conv2D(Op):
    name = "conv_2d"
    Attrs = Conv2DAttrs

    def output_shapes(self, graph: IntGraph, node: Node) -> list[tuple[int, ...]]:
        x, w = graph.input_tensors(node)[:2]
        if x is None or w is None or len(x.shape) != 4 or len(w.shape) != 4 or x.shape[3] != w.shape[3]:
            raise GraphError(f"Node {node.name!r}: conv_2d needs input [1,H,W,C] and filter [O,KH,KW,C], got "
                             f"{x and x.shape} and {w and w.shape}.")
        (oh, _), (ow, _) = output_plane(node, x, w)
        return [(x.shape[0], oh, ow, w.shape[0])]

    def prepare(self, graph: IntGraph, node: Node) -> Prepared:
        x, w = graph[node.inputs[0]], graph[node.inputs[1]]
        y = graph[node.outputs[0]]
        a = node.attrs
        assert w.qparams is not None
        (oh, pad_top), (ow, pad_left) = output_plane(node, x, w)
        multiplier, shift = channel_multipliers(x.scale, w.qparams.scale, y.scale, w.shape[0])
        act_min, act_max = activation_range(a.activation, y.scale, y.zero_point)
        params = Conv2DParams(
            input_h=x.shape[1], input_w=x.shape[2], input_c=x.shape[3], filter_h=w.shape[1], filter_w=w.shape[2],
            output_h=oh, output_w=ow, output_c=w.shape[0], stride_h=a.stride[0], stride_w=a.stride[1],
            dilation_h=a.dilation[0], dilation_w=a.dilation[1], pad_top=pad_top, pad_left=pad_left,
            input_zero_point=x.zero_point, output_zero_point=y.zero_point, act_min=act_min, act_max=act_max,
            multiplier=multiplier, shift=shift,
        )
        return Prepared("he_conv_2d_s8", params)

    def dsp_scratch_bytes(self, graph: IntGraph, node: Node) -> int:
        _, kh, kw, c = graph[node.inputs[1]].shape
        return conv_scratch_bytes(kh * kw, c)

    def dsp(self, graph: IntGraph, node: Node, goal: Goal) -> DspForm | None:
        weights, bias = constant_weights(graph, node)
        return conv_dsp(self.prepare(graph, node).params, weights, bias, goal)

    def dsp_within(self, graph: IntGraph, node: Node, goal: Goal, room: int) -> DspForm | None:
        weights, bias = constant_weights(graph, node)
        return conv_dsp(self.prepare(graph, node).params, weights, bias, goal, room)

    def reference(self, params: Conv2DParams, inputs: Sequence[np.ndarray | None]) -> list[np.ndarray]:
        x, w, bias = inputs
        assert x is not None and w is not None
        p = params
        # Sums of int8 products are exact in float64 and BLAS is quick: |acc| < 2^53 by far.
        bottom = max((p.output_h - 1) * p.stride_h + (p.filter_h - 1) * p.dilation_h + 1 - p.input_h - p.pad_top, 0)
        right = max((p.output_w - 1) * p.stride_w + (p.filter_w - 1) * p.dilation_w + 1 - p.input_w - p.pad_left, 0)
        centred = np.pad(x.astype(np.float64) - p.input_zero_point,
                         ((0, 0), (p.pad_top, bottom), (p.pad_left, right), (0, 0)))
        acc = np.zeros((len(x), p.output_h, p.output_w, p.output_c))
        for i in range(p.filter_h):
            for j in range(p.filter_w):
                top, left = i * p.dilation_h, j * p.dilation_w
                patch = centred[:, top : top + (p.output_h - 1) * p.stride_h + 1 : p.stride_h,
                                left : left + (p.output_w - 1) * p.stride_w + 1 : p.stride_w]
                acc += patch @ w[:, i, j, :].T.astype(np.float64)
        acc_int = acc.astype(np.int64)
        if bias is not None:
            acc_int += bias
        return [requantize(acc_int, p.multiplier, p.shift, p.output_zero_point, p.act_min, p.act_max)]

    def macs(self, graph: IntGraph, node: Node) -> int:
        _, kh, kw, c = graph[node.inputs[1]].shape
        return graph[node.outputs[0]].elements * kh * kw * c

    def weights(self, node: Node) -> tuple[str, ...]:
        return node.inputs[1:]

    @staticmethod
    def case(name: str, h: int, w: int, c: int, o: int, kh: int, kw: int, attrs: Conv2DAttrs = Conv2DAttrs(),
             zero_points: tuple[int, int] = (-3, 5), scales: tuple[float, float] = (0.05, 0.1),
             bias: bool = True, per_channel: bool = True) -> Case:
        """A one-node graph with random weights; `scales` are those of input and output."""

        def build(rng: np.random.Generator) -> IntGraph:
            g = GraphBuilder(f"conv_2d_{name}")
            g.tensor("input", (1, h, w, c), kind=Kind.INPUT, qparams=QParams((scales[0],), zero_points[0]))
            weight_scales = tuple(rng.uniform(0.002, 0.02, o)) if per_channel else (0.01,)
            g.constant("filter", rng.integers(-127, 128, (o, kh, kw, c)).astype(np.int8),
                       QParams(weight_scales, 0, 0 if per_channel else None))
            inputs = ["input", "filter"]
            if bias:
                bias_scales = tuple(scales[0] * s for s in weight_scales)
                g.constant("bias", rng.integers(-3000, 3000, o).astype(np.int32),
                           QParams(bias_scales, 0, 0 if per_channel else None))
                inputs.append("bias")
            oh, _ = output_length(h, kh, attrs.stride[0], attrs.dilation[0], attrs.padding)
            ow, _ = output_length(w, kw, attrs.stride[1], attrs.dilation[1], attrs.padding)
            g.tensor("output", (1, oh, ow, o), DType.INT8, qparams=QParams((scales[1],), zero_points[1]))
            g.node("conv_2d", [*inputs, ""][:3], ["output"], attrs)
            return g.build(["input"], ["output"])

        return Case(name, build)


_same = Conv2DAttrs(padding="same", activation="relu")
Conv2D.CASES = (
    Conv2D.case("temporal_one_channel", 6, 32, 1, 4, 1, 5, Conv2DAttrs((1, 2), padding="same", activation="relu")),
    Conv2D.case("temporal_valid", 6, 31, 4, 8, 1, 5, Conv2DAttrs((1, 2), activation="relu")),
    Conv2D.case("sensors_fused", 6, 9, 5, 7, 6, 1),
    Conv2D.case("pointwise", 1, 8, 13, 6, 1, 1, _same),
    Conv2D.case("odd_channels_k3", 1, 7, 9, 11, 1, 3, _same),
    Conv2D.case("two_dimensional", 7, 6, 3, 5, 3, 3, Conv2DAttrs((2, 2), padding="same", activation="relu6")),
    Conv2D.case("dilated", 1, 20, 3, 4, 1, 3, Conv2DAttrs(dilation=(1, 3), padding="same")),
    Conv2D.case("kernel_beyond_input", 2, 3, 2, 3, 1, 7, _same),
    Conv2D.case("stride_beyond_kernel", 1, 11, 2, 3, 1, 1, Conv2DAttrs((1, 3))),
    Conv2D.case("length_one", 1, 1, 1, 1, 1, 1),
    Conv2D.case("saturating", 1, 9, 8, 8, 1, 3, _same, scales=(0.5, 0.01)),
    Conv2D.case("zero_points_extreme", 1, 9, 4, 4, 1, 3, Conv2DAttrs(padding="same"), zero_points=(-128, 127)),
    Conv2D.case("zero_points_extreme_2", 1, 9, 4, 4, 1, 3, Conv2DAttrs(padding="same"), zero_points=(127, -128)),
    Conv2D.case("seven_sensors_k7", 7, 27, 3, 3, 1, 7, Conv2DAttrs((1, 2), padding="same", activation="relu")),
    Conv2D.case("one_channel_down", 21, 9, 1, 5, 5, 1, Conv2DAttrs((2, 1), padding="same", activation="relu")),
    Conv2D.case("fewer_positions_than_a_tile", 1, 3, 5, 7, 1, 3, _same),
    Conv2D.case("no_bias_per_tensor", 2, 9, 4, 5, 1, 3, bias=False, per_channel=False),
)
