"""sum: the total over one or several neighbouring axes, rescaled into the output's quantisation.

inputs: input int8
output: int8; the reduced axes are gone, or 1 with keep_dims

The arithmetic and the kernel are those of mean, without the division.
"""

from dataclasses import replace

from harembed.ir.fixedpoint import quantize_multiplier
from harembed.ir.graph import IntGraph, Node
from harembed.ir.ops.base import Prepared
from harembed.ir.ops.mean import Mean, MeanAttrs
from harembed.ir.ops.unary import unary_case


class Sum(Mean):
    name = "sum"

    def prepare(self, graph: IntGraph, node: Node) -> Prepared:
        mean = super().prepare(graph, node)
        multiplier, shift = quantize_multiplier(graph[node.inputs[0]].scale / graph[node.outputs[0]].scale)
        return Prepared(mean.kernel, replace(mean.params, multiplier=multiplier, shift=shift))


Sum.CASES = (
    unary_case(Sum(), "over_a_plane", (1, 4, 5, 7), MeanAttrs(), (0.01, 0.05), (-128, -128)),
    unary_case(Sum(), "keep_dims", (1, 3, 5, 7), MeanAttrs(keep_dims=True), (0.05, 0.2), (4, -9)),
    unary_case(Sum(), "weighted_time", (1, 13, 4), MeanAttrs((1,)), (0.05, 0.1), (4, -9)),
    unary_case(Sum(), "channels", (1, 4, 9), MeanAttrs((2,)), (0.05, 0.3), (-4, 0)),
    unary_case(Sum(), "of_one", (1, 1, 1, 5), MeanAttrs(), (0.05, 0.04), (4, -9)),
    unary_case(Sum(), "saturating", (1, 2, 3, 16), MeanAttrs(), (0.5, 0.1), (0, 127)),
    unary_case(Sum(), "long", (1, 5, 200, 3), MeanAttrs(), (0.02, 1.7), (3, -60)),
    unary_case(Sum(), "zero_points_extreme", (1, 30, 3), MeanAttrs((1,)), (0.02, 0.7), (127, -128)),
)
