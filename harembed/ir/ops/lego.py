"""lego_conv: a convolution whose filters are put together from few bricks (Tang et al., "Layer-wise training
convolutional neural networks with smaller filters", eq. 2 to 6; Yang et al., LegoNet, ICML 2019).

inputs: input [1, H, W, C] int8; bricks [K, KH, KW, C / O] int8; indices [N, O] int16, which brick stands in front of
    each of the O fragments that the input channels are split into, for each of N filters; bias [N] int32 or absent
output: [1, OH, OW, N] int8

Bricks have no scale of their own: that of `indices` says what a filter's integers stand for, one for all filters or
one for each. TFLite has no such operator. It is defined as the conv_2d that `expand` writes, whose filters are the
bricks side by side; the kernels compute each (fragment, brick) once and add up.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from harembed.errors import GraphError
from harembed.ir.graph import DType, GraphBuilder, IntGraph, Kind, Node, QParams, TensorSpec
from harembed.ir.ops.base import Case, DspForm, Expansion, Goal, Op, Prepared
from harembed.ir.ops.conv import Conv2D, Conv2DAttrs, Conv2DParams, output_length
from harembed.ir.ops.lego_dsp import lego_dsp, lego_scratch_bytes

_CONV = Conv2D()


@dataclass(frozen=True, eq=False)
class LegoConvParams:
    conv: Conv2DParams  # of the convolution that it stands for
    fragments: int
    bricks: int


def filters_of(bricks: np.ndarray, indices: np.ndarray) -> np.ndarray:
    """[N, KH, KW, C] from bricks [K, KH, KW, C / O] and indices [N, O] (eq. 2: F = B M)."""
    side_by_side = bricks[indices].transpose(0, 2, 3, 1, 4)  # [N, KH, KW, O, C / O]
    return side_by_side.reshape(*side_by_side.shape[:3], -1)


class LegoConv(Op):
    name = "lego_conv"
    Attrs = Conv2DAttrs

    def output_shapes(self, graph: IntGraph, node: Node) -> list[tuple[int, ...]]:
        where = f"Node {node.name!r}: lego_conv"
        x, bricks, indices, _ = graph.input_tensors(node)
        if x is None or bricks is None or indices is None or bricks.data is None or indices.data is None:
            raise GraphError(f"{where} needs an input, and bricks and indices that are constants.")
        if (len(x.shape), len(bricks.shape), len(indices.shape)) != (4, 4, 2) \
                or x.shape[3] != indices.shape[1] * bricks.shape[3]:
            raise GraphError(f"{where} needs an input [1,H,W,C], bricks [K,KH,KW,C/O] and indices [N,O], got "
                             f"{x.shape}, {bricks.shape} and {indices.shape}.")
        if bricks.dtype is not DType.INT8 or indices.dtype is not DType.INT16 or indices.qparams is None:
            raise GraphError(f"{where} needs bricks of int8 and indices of int16 with the scales of the filters.")
        if indices.data.min() < 0 or indices.data.max() >= bricks.shape[0]:
            raise GraphError(f"{where}: an index names a brick that does not exist; there are {bricks.shape[0]}.")
        return _CONV.output_shapes(*self._dense(graph, node))

    def prepare(self, graph: IntGraph, node: Node) -> Prepared:
        bricks, indices = graph[node.inputs[1]], graph[node.inputs[2]]
        params = LegoConvParams(_CONV.prepare(*self._dense(graph, node)).params, indices.shape[1], bricks.shape[0])
        return Prepared("he_lego_conv_s8", params, scratch_bytes=4 * params.fragments * params.bricks)

    def dsp_scratch_bytes(self, graph: IntGraph, node: Node) -> int:
        bricks, indices = graph[node.inputs[1]], graph[node.inputs[2]]
        return lego_scratch_bytes(bricks.shape, indices.shape[1], node.attrs.stride[1], node.attrs.dilation[1])

    def dsp(self, graph: IntGraph, node: Node, goal: Goal) -> DspForm | None:
        bricks, indices, bias = (graph[t].data if t else None for t in node.inputs[1:])
        assert bricks is not None and indices is not None
        return lego_dsp(self.prepare(graph, node).params.conv, bricks, indices, filters_of(bricks, indices), bias)

    def reference(self, params: LegoConvParams, inputs: Sequence[np.ndarray | None]) -> list[np.ndarray]:
        x, bricks, indices, bias = inputs
        assert bricks is not None and indices is not None
        return _CONV.reference(params.conv, [x, filters_of(bricks, indices), bias])

    def expand(self, graph: IntGraph, node: Node) -> Expansion:
        filters, dense = self._filters(graph, node)
        return Expansion((filters,), (dense,))

    def _filters(self, graph: IntGraph, node: Node) -> tuple[TensorSpec, Node]:
        """The filters that the bricks make, and the conv_2d that reads them."""
        bricks, indices = graph[node.inputs[1]], graph[node.inputs[2]]
        assert bricks.data is not None and indices.data is not None
        data = np.ascontiguousarray(filters_of(bricks.data, indices.data))
        data.setflags(write=False)
        filters = TensorSpec(f"{node.name}/filters", data.shape, DType.INT8, Kind.CONSTANT, indices.qparams, data)
        inputs = (node.inputs[0], filters.name, node.inputs[3])
        return filters, Node(node.name, "conv_2d", inputs, node.outputs, node.attrs)

    def _dense(self, graph: IntGraph, node: Node) -> tuple[IntGraph, Node]:
        """The conv_2d that it stands for, in a graph that has its tensors."""
        filters, dense = self._filters(graph, node)
        return IntGraph(graph.name, {**graph.tensors, filters.name: filters}, (dense,), (), ()), dense

    def macs(self, graph: IntGraph, node: Node) -> int:
        """Of every brick with every fragment (eq. 5); what is then added up multiplies nothing."""
        bricks, indices = graph[node.inputs[1]], graph[node.inputs[2]]
        _, height, width, _ = graph[node.outputs[0]].shape
        return height * width * indices.shape[1] * bricks.elements

    def weights(self, node: Node) -> tuple[str, ...]:
        """Bricks and bias: indices choose, they are no weights. Flash counts them."""
        return node.inputs[1], node.inputs[3]

    @staticmethod
    def case(name: str, h: int, w: int, c: int, o: int, kh: int, kw: int, fragments: int, bricks: int,
             attrs: Conv2DAttrs = Conv2DAttrs(), zero_points: tuple[int, int] = (-3, 5),
             scales: tuple[float, float] = (0.05, 0.1), bias: bool = True, per_filter: bool = True) -> Case:
        """A one-node graph with random bricks and indices; `o` filters, `scales` of input and output."""

        def build(rng: np.random.Generator) -> IntGraph:
            g = GraphBuilder(f"lego_conv_{name}")
            g.tensor("input", (1, h, w, c), kind=Kind.INPUT, qparams=QParams((scales[0],), zero_points[0]))
            filter_scales = tuple(rng.uniform(0.002, 0.02, o)) if per_filter else (0.01,)
            g.constant("bricks", rng.integers(-127, 128, (bricks, kh, kw, c // fragments)).astype(np.int8))
            g.constant("indices", rng.integers(0, bricks, (o, fragments)).astype(np.int16),
                       QParams(filter_scales, 0, 0 if per_filter else None))
            inputs = ["input", "bricks", "indices", ""]
            if bias:
                bias_scales = tuple(scales[0] * s for s in filter_scales)
                inputs[3] = g.constant("bias", rng.integers(-3000, 3000, o).astype(np.int32),
                                       QParams(bias_scales, 0, 0 if per_filter else None))
            oh, _ = output_length(h, kh, attrs.stride[0], attrs.dilation[0], attrs.padding)
            ow, _ = output_length(w, kw, attrs.stride[1], attrs.dilation[1], attrs.padding)
            g.tensor("output", (1, oh, ow, o), DType.INT8, qparams=QParams((scales[1],), zero_points[1]))
            g.node("lego_conv", inputs, ["output"], attrs)
            return g.build(["input"], ["output"])

        return Case(name, build)


_same = Conv2DAttrs(padding="same", activation="relu")
LegoConv.CASES = (
    LegoConv.case("temporal", 3, 17, 8, 12, 1, 5, 2, 6, Conv2DAttrs((1, 2), padding="same", activation="relu")),
    LegoConv.case("valid", 6, 11, 8, 8, 1, 3, 4, 2),
    LegoConv.case("sensors_fused", 6, 9, 6, 7, 6, 1, 3, 3),
    LegoConv.case("pointwise", 1, 9, 12, 6, 1, 1, 3, 4, _same),
    LegoConv.case("two_dimensional", 7, 6, 6, 5, 3, 3, 2, 3, Conv2DAttrs((2, 2), (1, 1), "same", "relu6")),
    LegoConv.case("dilated", 1, 20, 4, 6, 1, 3, 2, 3, Conv2DAttrs(dilation=(1, 3), padding="same")),
    LegoConv.case("one_fragment_one_brick", 1, 9, 3, 4, 1, 3, 1, 1, _same),
    LegoConv.case("fragments_of_one_channel", 2, 7, 5, 6, 1, 3, 5, 3, _same),
    LegoConv.case("length_one", 1, 1, 4, 3, 1, 1, 2, 2),
    LegoConv.case("kernel_beyond_input", 2, 3, 4, 3, 1, 7, 2, 2, _same),
    LegoConv.case("saturating", 1, 9, 8, 8, 1, 3, 2, 4, _same, scales=(0.5, 0.01)),
    LegoConv.case("zero_points_extreme", 1, 9, 4, 4, 1, 3, 2, 2, Conv2DAttrs(padding="same"), (-128, 127)),
    LegoConv.case("zero_points_extreme_2", 1, 9, 4, 4, 1, 3, 2, 2, Conv2DAttrs(padding="same"), (127, -128)),
    LegoConv.case("no_bias_one_scale", 2, 9, 6, 5, 1, 3, 2, 3, bias=False, per_filter=False),
)
