"""The quantised twin of a feature graph.

What is laid side by side has one scale, since TFLite's CONCATENATION copies integers. Where scales differ, TFLite's
own quantiser requantises the inputs: an operator and a rounding each. Here all that ends up side by side shares one
range from the start, which costs nothing on the device, and in precision little where batch norm makes filters of
similar size.
"""

from torch import nn

from harembed.feature_graph import GraphConv, GraphPool, follow
from harembed.nn.branches import Branches, concat_over_time, pool_over_time
from harembed.nn.quant import Signal, share_range
from harembed.nn.quant_layers import QuantConv
from harembed.nn.temporal import ConvNorm


class QuantBranches(nn.Module):
    """Branches' twin.

    Parameters
    ----------
    name : of the tensor behind the graph; layer 3 of "features" makes "features.3"
    """

    def __init__(self, layer: Branches, name: str) -> None:
        super().__init__()
        self.graph, self.name = layer.graph, name
        self.convs = nn.ModuleDict()
        for number, conv in layer.convs.items():
            assert isinstance(conv, ConvNorm)
            self.convs[number] = QuantConv.from_float(conv, f"{name}.{number}")

    def forward(self, x: Signal) -> Signal:
        return follow(self.graph, x, self._conv, self._pool, self._concat)

    def conv(self, number: int) -> QuantConv:
        """Of a layer by its number."""
        conv = self.convs[str(number)]
        assert isinstance(conv, QuantConv)
        return conv

    def _conv(self, number: int, layer: GraphConv, x: Signal) -> Signal:
        return self.conv(number)(x)

    def _pool(self, number: int, layer: GraphPool, x: Signal) -> Signal:
        return Signal(pool_over_time(x.value, layer.width), x.quantizer)

    def _concat(self, number: int, parts: list[Signal]) -> Signal:
        share_range([part.quantizer for part in parts])
        return Signal(concat_over_time([part.value for part in parts]), parts[0].quantizer)
