"""leaky_relu: x where it is positive, alpha * x elsewhere, rescaled (TFLite's LEAKY_RELU).

inputs: input int8
output: int8 of the input's shape
"""

from dataclasses import dataclass

import numpy as np

from harembed.ir.graph import IntGraph, Node
from harembed.ir.ops.lookup import Lookup, centred_values, rescale
from harembed.ir.ops.unary import unary_case


@dataclass(frozen=True)
class LeakyReluAttrs:
    alpha: float = 0.2  # the slope below 0, of any sign and size


class LeakyRelu(Lookup):
    name = "leaky_relu"
    Attrs = LeakyReluAttrs

    def table(self, graph: IntGraph, node: Node) -> np.ndarray:
        x, y = graph[node.inputs[0]], graph[node.outputs[0]]
        alpha = float(np.float32(node.attrs.alpha))  # as a file holds it
        centred = centred_values(x.zero_point)
        # TFLM scales by |alpha| and turns the sign afterwards: a tie is then rounded as for the positive slope.
        below = rescale(node, centred, x.scale * abs(alpha) / y.scale) * (-1 if alpha < 0 else 1)
        scaled = np.where(centred >= 0, rescale(node, centred, x.scale / y.scale), below)
        return np.clip(scaled + y.zero_point, -128, 127).astype(np.int8)


LeakyRelu.CASES = (
    unary_case(LeakyRelu(), "typical", (1, 3, 5, 7), LeakyReluAttrs(0.1), (0.05, 0.03), (4, -60)),
    unary_case(LeakyRelu(), "same_quantisation", (1, 300), LeakyReluAttrs(0.3)),
    unary_case(LeakyRelu(), "negative_slope", (1, 300), LeakyReluAttrs(-0.25), (0.05, 0.05), (10, -20)),
    unary_case(LeakyRelu(), "steeper_below", (1, 300), LeakyReluAttrs(1.7), (0.05, 0.06), (10, -20)),
    unary_case(LeakyRelu(), "alpha_zero", (1, 300), LeakyReluAttrs(0.0), (0.05, 0.06), (10, -20)),
    unary_case(LeakyRelu(), "zero_point_bottom", (1, 300), LeakyReluAttrs(0.01), (0.05, 0.04), (-128, -128)),
    unary_case(LeakyRelu(), "zero_point_top", (1, 300), LeakyReluAttrs(0.01), (0.05, 0.0004), (127, 127)),
    unary_case(LeakyRelu(), "saturating", (1, 300), LeakyReluAttrs(0.5), (0.5, 0.01), (0, 0)),
    unary_case(LeakyRelu(), "ties", (1, 300), LeakyReluAttrs(0.5), (0.25, 0.5), (0, 0)),
    unary_case(LeakyRelu(), "length_one", (1, 1), LeakyReluAttrs(0.1)),
    # The quotient of the scales is 1.5 in float32 and a hair less in double: every tie tells which TFLM takes.
    unary_case(LeakyRelu(), "double_quotient", (1, 300), LeakyReluAttrs(0.5), (0.022499999, 0.015), (0, -28)),
)
