"""average_pool_2d and max_pool_2d: a window over height and width, channel by channel.

inputs: input [1, H, W, C] int8
output: [1, OH, OW, C] int8 with the input's quantisation (TFLM: scales within 1e-6, equal zero_points)

Taps outside the input do not count: an average at the border divides by fewer.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from harembed.errors import GraphError
from harembed.ir.graph import IntGraph, Node
from harembed.ir.ops.base import DspForm, Goal, Op, Prepared
from harembed.ir.ops.conv import activation_range, output_length
from harembed.ir.ops.pool_dsp import pool_dsp
from harembed.ir.ops.unary import unary_case
from harembed.ir.ops.windows import taps


@dataclass(frozen=True)
class Pool2DAttrs:
    window: tuple[int, int]  # height, width
    stride: tuple[int, int] = (1, 1)
    padding: str = "valid"  # "same" or "valid"
    activation: str = "none"  # "none", "relu", "relu6"


@dataclass(frozen=True, eq=False)
class Pool2DParams:
    input_h: int
    input_w: int
    channels: int
    filter_h: int
    filter_w: int
    output_h: int
    output_w: int
    stride_h: int
    stride_w: int
    pad_top: int
    pad_left: int
    act_min: int
    act_max: int


class _Pool2D(Op):
    Attrs = Pool2DAttrs

    def output_shapes(self, graph: IntGraph, node: Node) -> list[tuple[int, ...]]:
        x = graph[node.inputs[0]]
        if len(x.shape) != 4:
            raise GraphError(f"Node {node.name!r}: {self.name} needs input [1,H,W,C], got {x.shape}.")
        a = node.attrs
        oh, _ = output_length(x.shape[1], a.window[0], a.stride[0], 1, a.padding)
        ow, _ = output_length(x.shape[2], a.window[1], a.stride[1], 1, a.padding)
        if oh < 1 or ow < 1:
            raise GraphError(f"Node {node.name!r}: a {a.window[0]}x{a.window[1]} window does not fit into "
                             f"{x.shape[1]}x{x.shape[2]} with valid padding.")
        return [(x.shape[0], oh, ow, x.shape[3])]

    def prepare(self, graph: IntGraph, node: Node) -> Prepared:
        x, y = graph[node.inputs[0]], graph[node.outputs[0]]
        a = node.attrs
        if abs(x.scale - y.scale) > 1e-6 or x.zero_point != y.zero_point:
            raise GraphError(f"Node {node.name!r}: {self.name} does not rescale, but its input has scale {x.scale}, "
                             f"zero_point {x.zero_point}, its output {y.scale}, {y.zero_point}.")
        oh, pad_top = output_length(x.shape[1], a.window[0], a.stride[0], 1, a.padding)
        ow, pad_left = output_length(x.shape[2], a.window[1], a.stride[1], 1, a.padding)
        act_min, act_max = activation_range(a.activation, y.scale, y.zero_point)
        params = Pool2DParams(
            input_h=x.shape[1], input_w=x.shape[2], channels=x.shape[3], filter_h=a.window[0], filter_w=a.window[1],
            output_h=oh, output_w=ow, stride_h=a.stride[0], stride_w=a.stride[1], pad_top=pad_top,
            pad_left=pad_left, act_min=act_min, act_max=act_max,
        )
        return Prepared(f"he_{self.name}_s8", params)

    def dsp(self, graph: IntGraph, node: Node, goal: Goal) -> DspForm | None:
        return pool_dsp(self.name, self.prepare(graph, node).params, goal)


class AveragePool2D(_Pool2D):
    name = "average_pool_2d"

    def reference(self, params: Pool2DParams, inputs: Sequence[np.ndarray | None]) -> list[np.ndarray]:
        x = inputs[0]
        assert x is not None
        total = sum(v for _, _, v in taps(x.astype(np.int32), params, 0))
        count = sum(v for _, _, v in taps(np.ones((1, *x.shape[1:]), np.int32), params, 0))
        # Rounds half away from zero, as C's truncating division of a nudged sum does.
        mean = np.sign(total) * ((np.abs(total) + count // 2) // count)
        return [np.clip(mean, params.act_min, params.act_max).astype(np.int8)]


class MaxPool2D(_Pool2D):
    name = "max_pool_2d"

    def reference(self, params: Pool2DParams, inputs: Sequence[np.ndarray | None]) -> list[np.ndarray]:
        x = inputs[0]
        assert x is not None
        largest = np.max([v for _, _, v in taps(x, params, -128)], axis=0)
        return [np.clip(largest, params.act_min, params.act_max).astype(np.int8)]


for _op in (AveragePool2D, MaxPool2D):
    _op.CASES = (
        unary_case(_op(), "global_time", (1, 1, 32, 7), Pool2DAttrs((1, 32), (1, 32))),
        unary_case(_op(), "global_time_h", (1, 8, 1, 32), Pool2DAttrs((8, 1), (8, 1))),
        unary_case(_op(), "halves_odd_length", (1, 6, 9, 3), Pool2DAttrs((1, 2), (1, 2))),
        unary_case(_op(), "same_overlapping", (1, 5, 7, 3), Pool2DAttrs((3, 3), (2, 2), "same", "relu")),
        unary_case(_op(), "stride_beyond_window", (1, 1, 11, 2), Pool2DAttrs((1, 2), (1, 4), activation="relu6")),
        unary_case(_op(), "window_beyond_input", (1, 2, 3, 2), Pool2DAttrs((3, 7), (1, 1), "same")),
        unary_case(_op(), "one", (1, 1, 1, 1), Pool2DAttrs((1, 1)), zero_points=(-128, -128)),
        unary_case(_op(), "zero_point_high", (1, 3, 4, 2), Pool2DAttrs((2, 2)), zero_points=(127, 127)),
    )
