"""relu: max(x, 0), rescaled. Only for graphs from elsewhere: our own fuse it into the layer before.

inputs: input int8
output: int8 of the input's shape
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from harembed.ir.fixedpoint import quantize_multiplier, requantize
from harembed.ir.graph import IntGraph, Node
from harembed.ir.ops.base import Op, Prepared
from harembed.ir.ops.conv import activation_range
from harembed.ir.ops.unary import unary_case


@dataclass(frozen=True, eq=False)
class ReluParams:
    elements: int
    input_zero_point: int
    output_zero_point: int
    act_min: int
    act_max: int
    multiplier: int  # Q0.31
    shift: int


class Relu(Op):
    name = "relu"

    def output_shapes(self, graph: IntGraph, node: Node) -> list[tuple[int, ...]]:
        return [graph[node.inputs[0]].shape]

    def prepare(self, graph: IntGraph, node: Node) -> Prepared:
        x, y = graph[node.inputs[0]], graph[node.outputs[0]]
        multiplier, shift = quantize_multiplier(x.scale / y.scale)
        act_min, act_max = activation_range("relu", y.scale, y.zero_point)
        return Prepared("he_relu_s8", ReluParams(x.elements, x.zero_point, y.zero_point, act_min, act_max,
                                                 multiplier, shift))

    def reference(self, params: ReluParams, inputs: Sequence[np.ndarray | None]) -> list[np.ndarray]:
        x = inputs[0]
        assert x is not None
        p = params
        centred = x.astype(np.int64) - p.input_zero_point
        return [requantize(centred, p.multiplier, p.shift, p.output_zero_point, p.act_min, p.act_max)]


Relu.CASES = (
    unary_case(Relu(), "halves_the_range", (1, 3, 5, 2), None, (0.05, 0.02), (0, -128)),
    # The quotient of the scales is 1.5 in float32 and a hair less in double: every tie tells that TFLM uses double.
    unary_case(Relu(), "double_quotient", (1, 100), None, (0.022499999, 0.015), (0, -128)),
    unary_case(Relu(), "same_quantisation", (1, 40), None),
    unary_case(Relu(), "saturating", (1, 40), None, (0.1, 0.05), (0, -100)),
)
