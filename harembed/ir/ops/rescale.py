"""quantize, relu and relu6: TFLite's int8 to int8 QUANTIZE, RELU and RELU6. A value is rescaled and clamped.

inputs: input int8
output: int8 of the input's shape

relu6 is TFLM's, which clamps by the input's quantisation and rescales nothing, even where the output has another one
(LiteRT rescales). The two activations are only for graphs from elsewhere: our own fuse them into the layer before.
"""

import numpy as np

from harembed.ir.graph import IntGraph, Node
from harembed.ir.ops.conv import activation_range
from harembed.ir.ops.lookup import Lookup, centred_values, rescale
from harembed.ir.ops.unary import unary_case


class _Rescale(Lookup):
    """Base of the three; a subclass names the activation whose range clamps the output."""

    activation: str

    def table(self, graph: IntGraph, node: Node) -> np.ndarray:
        x, y = graph[node.inputs[0]], graph[node.outputs[0]]
        scaled = rescale(node, centred_values(x.zero_point), x.scale / y.scale) + y.zero_point
        return np.clip(scaled, *activation_range(self.activation, y.scale, y.zero_point)).astype(np.int8)


class Quantize(_Rescale):
    name = "quantize"
    activation = "none"


class Relu(_Rescale):
    name = "relu"
    activation = "relu"


class Relu6(_Rescale):
    name = "relu6"
    activation = "relu6"

    def table(self, graph: IntGraph, node: Node) -> np.ndarray:
        x = graph[node.inputs[0]]
        limits = activation_range(self.activation, x.scale, x.zero_point)
        return np.clip(np.arange(-128, 128), *limits).astype(np.int8)


Quantize.CASES = (
    unary_case(Quantize(), "coarser", (1, 3, 5, 7), None, (0.02, 0.0353), (-7, 11)),
    unary_case(Quantize(), "finer", (1, 100), None, (0.0353, 0.02), (11, -7)),
    unary_case(Quantize(), "same_quantisation", (1, 40), None),
    unary_case(Quantize(), "zero_point_only", (1, 40), None, (0.05, 0.05), (-128, 127)),
    unary_case(Quantize(), "zero_points_extreme", (1, 40), None, (0.05, 0.04), (127, -128)),
    unary_case(Quantize(), "length_one", (1, 1), None, (0.03, 0.05), (0, 3)),
    unary_case(Quantize(), "ties", (1, 100), None, (0.25, 0.5), (0, 0)),
    unary_case(Quantize(), "all_saturate", (1, 40), None, (8.0, 2e-6), (3, -5)),
    unary_case(Quantize(), "all_vanish", (1, 40), None, (1e-9, 4.0), (3, -5)),
)
Relu.CASES = (
    unary_case(Relu(), "halves_the_range", (1, 3, 5, 2), None, (0.05, 0.02), (0, -128)),
    # The quotient of the scales is 1.5 in float32 and a hair less in double: every tie tells that TFLM uses double.
    unary_case(Relu(), "double_quotient", (1, 100), None, (0.022499999, 0.015), (0, -128)),
    unary_case(Relu(), "same_quantisation", (1, 40), None),
    unary_case(Relu(), "saturating", (1, 40), None, (0.1, 0.05), (0, -100)),
)
Relu6.CASES = (
    unary_case(Relu6(), "both_limits", (1, 3, 5, 7), None, (0.05, 0.05), (-20, -20)),
    unary_case(Relu6(), "six_out_of_range", (1, 40), None, (0.01, 0.01), (0, 0)),
    unary_case(Relu6(), "coarse", (1, 40), None, (13.0, 13.0), (5, 5)),
    unary_case(Relu6(), "zero_point_bottom", (1, 40), None, (0.03, 0.03), (-128, -128)),
    unary_case(Relu6(), "zero_point_top", (1, 40), None, (0.03, 0.03), (127, 127)),
    unary_case(Relu6(), "other_output", (1, 40), None, (0.05, 0.0235), (-20, -128)),
    unary_case(Relu6(), "length_one", (1, 1), None, (0.05, 0.05), (0, 0)),
)
