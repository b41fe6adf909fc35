"""xnor_conv: a convolution of signs by signs (Rastegari et al., XNOR-Net, ECCV 2016), int8 at both ends.

inputs: input [1, H, W, C] int8; thresholds [C] int16: an input counts as +1 from its channel's on, else as -1;
    weights [N, KH, KW, ceil(C / 32)] int32, whose bits are signs, 1 for +1, the first channel in the lowest bit, with
    the scales of the filters; bias [N] int32 or absent
output: [1, OH, OW, N] int8

Taps outside the input count as 0. A batch norm in front of the sign is a threshold of each channel, exactly; where
its gain is negative, the weights of that channel are. TFLite has no such operator. It is defined as the chain that
`expand` writes: a depthwise_conv_2d that yields -1 or +1, and a conv_2d by weights of -1 and +1.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from harembed.errors import GraphError
from harembed.ir.graph import DType, GraphBuilder, IntGraph, Kind, Node, QParams, TensorSpec
from harembed.ir.ops.base import Case, DspForm, Expansion, Goal, Op, Prepared
from harembed.ir.ops.conv import Conv2D, Conv2DAttrs, Conv2DParams, output_length
from harembed.ir.ops.xnor_dsp import is_cut, xnor_dsp, xnor_scratch_bytes

BITS = 32
_CONV = Conv2D()


@dataclass(frozen=True, eq=False)
class XnorConvParams:
    conv: Conv2DParams  # of the convolution of signs
    words: int  # of the bits of one position


def words_of(channels: int) -> int:
    """That hold a bit for each channel."""
    return -(-channels // BITS)


def pack(signs: np.ndarray) -> np.ndarray:
    """Bits [..., words] uint32 of an array [..., C]: 1 where it is positive, the first in the lowest; the rest 0."""
    c = signs.shape[-1]
    bits = np.zeros((*signs.shape[:-1], words_of(c) * BITS), np.uint32)
    bits[..., :c] = signs > 0
    return (bits.reshape(*signs.shape[:-1], -1, BITS) << np.arange(BITS, dtype=np.uint32)).sum(-1, dtype=np.uint32)


def unpack(words: np.ndarray, channels: int) -> np.ndarray:
    """Signs [..., C] int8, -1 and +1, from bits [..., words]."""
    bits = words.view(np.uint32)[..., np.newaxis] >> np.arange(BITS, dtype=np.uint32) & 1
    return (2 * bits.reshape(*words.shape[:-1], -1)[..., :channels].astype(np.int8) - 1).astype(np.int8)


class XnorConv(Op):
    name = "xnor_conv"
    Attrs = Conv2DAttrs

    def output_shapes(self, graph: IntGraph, node: Node) -> list[tuple[int, ...]]:
        where = f"Node {node.name!r}: xnor_conv"
        x, thresholds, weights, _ = graph.input_tensors(node)
        if x is None or thresholds is None or weights is None or thresholds.data is None or weights.data is None:
            raise GraphError(f"{where} needs an input, and thresholds and weights that are constants.")
        if len(x.shape) != 4 or thresholds.shape != x.shape[3:] or len(weights.shape) != 4 \
                or weights.shape[3] != words_of(x.shape[3]):
            raise GraphError(f"{where} needs an input [1,H,W,C], thresholds [C] and weights [N,KH,KW,C/32], got "
                             f"{x.shape}, {thresholds.shape} and {weights.shape}.")
        if (thresholds.dtype, weights.dtype) != (DType.INT16, DType.INT32) or weights.qparams is None:
            raise GraphError(f"{where} needs thresholds of int16, and weights of int32 with the filters' scales.")
        if node.attrs.dilation != (1, 1):
            raise GraphError(f"{where} has no dilation, got {node.attrs.dilation}.")
        return _CONV.output_shapes(*self._signs(graph, node))

    def prepare(self, graph: IntGraph, node: Node) -> Prepared:
        x = graph[node.inputs[0]]
        words = words_of(x.shape[3])
        params = XnorConvParams(_CONV.prepare(*self._signs(graph, node)).params, words)
        return Prepared("he_xnor_conv_s8", params, scratch_bytes=4 * x.shape[1] * x.shape[2] * words)

    def dsp_scratch_bytes(self, graph: IntGraph, node: Node) -> int:
        x, weights = graph[node.inputs[0]].shape, graph[node.inputs[2]].shape
        cut = is_cut(self.prepare(graph, node).params.conv)
        return xnor_scratch_bytes(x[1] * x[2], x[3], weights[1] * weights[2], cut)

    def dsp(self, graph: IntGraph, node: Node, goal: Goal) -> DspForm | None:
        thresholds, weights, bias = (graph[t].data if t else None for t in node.inputs[1:])
        assert thresholds is not None and weights is not None
        channels = graph[node.inputs[0]].shape[3]
        return xnor_dsp(self.prepare(graph, node).params, thresholds, weights, unpack(weights, channels), bias, goal)

    def reference(self, params: XnorConvParams, inputs: Sequence[np.ndarray | None]) -> list[np.ndarray]:
        x, thresholds, weights, bias = inputs
        assert x is not None and thresholds is not None and weights is not None
        signs = np.where(x >= thresholds, 1, -1).astype(np.int8)
        return _CONV.reference(params.conv, [signs, unpack(weights, x.shape[3]), bias])

    def expand(self, graph: IntGraph, node: Node) -> Expansion:
        """Signs by a depthwise_conv_2d: 2 (x - threshold) + 1, which is odd, clamped to -1 and 1."""
        x, thresholds = graph[node.inputs[0]], graph[node.inputs[1]]
        assert thresholds.data is not None
        tensors, dense = self._filters(graph, node)
        c = x.shape[3]
        unit = QParams((1.0 / x.scale,) * c, 0, 3)  # so that a step of the sum is a step of the output
        twice = TensorSpec(f"{node.name}/twice", (1, 1, 1, c), DType.INT8, Kind.CONSTANT, unit,
                           np.full((1, 1, 1, c), 2, np.int8))
        start = (2 * (x.zero_point - thresholds.data.astype(np.int64)) + 1).astype(np.int32)
        bias = TensorSpec(f"{node.name}/start", (c,), DType.INT32, Kind.CONSTANT,
                          QParams(tuple(x.scale * s for s in unit.scale), 0, 0), start)
        sign = Node(f"{node.name}/sign", "depthwise_conv_2d", (x.name, twice.name, bias.name),
                    (f"{node.name}/signs",), Conv2DAttrs(activation="relu_n1_to_1"))
        return Expansion((twice, bias, *tensors), (sign, dense))

    def _filters(self, graph: IntGraph, node: Node) -> tuple[tuple[TensorSpec, TensorSpec], Node]:
        """The signs of the input, the signs of the filters, and the conv_2d that reads both."""
        x, weights = graph[node.inputs[0]], graph[node.inputs[2]]
        assert weights.data is not None
        signs = TensorSpec(f"{node.name}/signs", x.shape, DType.INT8, Kind.ACTIVATION, QParams((1.0,), 0))
        data = unpack(weights.data, x.shape[3])
        filters = TensorSpec(f"{node.name}/filters", data.shape, DType.INT8, Kind.CONSTANT, weights.qparams, data)
        inputs = (signs.name, filters.name, node.inputs[3])
        return (signs, filters), Node(node.name, "conv_2d", inputs, node.outputs, node.attrs)

    def _signs(self, graph: IntGraph, node: Node) -> tuple[IntGraph, Node]:
        """The convolution of signs, in a graph that has its tensors."""
        tensors, dense = self._filters(graph, node)
        return IntGraph(graph.name, {**graph.tensors, **{t.name: t for t in tensors}}, (dense,), (), ()), dense

    def macs(self, graph: IntGraph, node: Node) -> int:
        """Binary ones: an agreement of two bits each."""
        _, kh, kw, _ = graph[node.inputs[2]].shape
        return graph[node.outputs[0]].elements * kh * kw * graph[node.inputs[0]].shape[3]

    def weights(self, node: Node) -> tuple[str, ...]:
        return node.inputs[1:]

    def parameters(self, graph: IntGraph, node: Node, tensor: str) -> int:
        """A bit is a weight."""
        elements = graph[tensor].elements
        channels = graph[node.inputs[0]].shape[3]
        return elements // words_of(channels) * channels if tensor == node.inputs[2] else elements

    @staticmethod
    def case(name: str, h: int, w: int, c: int, o: int, kh: int, kw: int, attrs: Conv2DAttrs = Conv2DAttrs(),
             zero_points: tuple[int, int] = (-3, 5), output_scale: float = 0.1, bias: bool = True,
             extreme: bool = False) -> Case:
        """A one-node graph with random signs and thresholds; `extreme` ones let through all or nothing."""

        def build(rng: np.random.Generator) -> IntGraph:
            g = GraphBuilder(f"xnor_conv_{name}")
            g.tensor("input", (1, h, w, c), kind=Kind.INPUT, qparams=QParams((0.05,), zero_points[0]))
            at = rng.choice([-128, 128], c) if extreme else rng.integers(-128, 129, c)
            g.constant("thresholds", at.astype(np.int16))
            scales = tuple(rng.uniform(0.01, 0.1, o))
            signs = np.where(rng.random((o, kh, kw, c)) < 0.5, -1, 1)
            g.constant("weights", pack(signs).view(np.int32), QParams(scales, 0, 0))
            inputs = ["input", "thresholds", "weights", ""]
            if bias:
                inputs[3] = g.constant("bias", rng.integers(-30, 30, o).astype(np.int32), QParams(scales, 0, 0))
            oh, _ = output_length(h, kh, attrs.stride[0], 1, attrs.padding)
            ow, _ = output_length(w, kw, attrs.stride[1], 1, attrs.padding)
            g.tensor("output", (1, oh, ow, o), DType.INT8, qparams=QParams((output_scale,), zero_points[1]))
            g.node("xnor_conv", inputs, ["output"], attrs)
            return g.build(["input"], ["output"])

        return Case(name, build)


_same = Conv2DAttrs(padding="same", activation="relu")
XnorConv.CASES = (
    XnorConv.case("temporal", 2, 17, 32, 12, 1, 5, Conv2DAttrs((1, 2), padding="same", activation="relu")),
    XnorConv.case("valid", 1, 11, 64, 9, 1, 3),
    XnorConv.case("few_channels", 1, 9, 5, 6, 1, 3, _same),
    XnorConv.case("channels_beyond_a_word", 1, 9, 40, 7, 1, 3, _same),
    XnorConv.case("sensors_fused", 6, 9, 8, 7, 6, 1),
    XnorConv.case("two_dimensional", 7, 6, 33, 5, 3, 3, Conv2DAttrs((2, 2), (1, 1), "same", "relu6")),
    XnorConv.case("kernel_beyond_input", 2, 3, 4, 3, 1, 7, _same),
    XnorConv.case("length_one", 1, 1, 1, 1, 1, 1),
    XnorConv.case("long", 1, 20, 64, 8, 1, 15, _same),
    XnorConv.case("stride_2", 1, 11, 64, 6, 1, 5, Conv2DAttrs((1, 2), padding="same", activation="relu")),
    XnorConv.case("wide", 1, 7, 128, 5, 1, 5, _same),
    XnorConv.case("taps_beyond_a_byte", 1, 5, 261, 4, 1, 3, _same),
    XnorConv.case("two_words_valid", 1, 9, 64, 5, 1, 1),
    XnorConv.case("zero_points_extreme", 1, 9, 8, 4, 1, 3, Conv2DAttrs(padding="same"), (-128, 127)),
    XnorConv.case("zero_points_extreme_2", 1, 9, 8, 4, 1, 3, Conv2DAttrs(padding="same"), (127, -128)),
    XnorConv.case("all_or_nothing", 1, 9, 36, 4, 1, 3, Conv2DAttrs(padding="same"), extreme=True),
    XnorConv.case("no_bias", 2, 9, 32, 5, 1, 3, bias=False),
    XnorConv.case("saturating", 1, 9, 64, 8, 1, 3, _same, output_scale=0.004),
)
