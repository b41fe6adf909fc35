"""Convolutions, poolings and concatenations over time that read one another: a feature graph, in floating point."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from harembed.feature_graph import FeatureGraph, GraphConv, GraphPool, LayerShape, follow
from harembed.nn.temporal import ConvNorm


def pool_over_time(x: Tensor, width: int) -> Tensor:
    """[N, F, S, T] to the largest of every `width` steps, [N, F, S, T // width]."""
    return F.max_pool2d(x, (1, width))


def concat_over_time(parts: Sequence[Tensor]) -> Tensor:
    """Filters side by side, [N, F_i, S, T_i] to [N, sum of F_i, S, max of T_i]: zeros behind shorter sequences."""
    longest = max(part.shape[3] for part in parts)
    return torch.cat([F.pad(part, (0, longest - part.shape[3])) for part in parts], 1)


class Branches(nn.Module):
    """A feature graph, see harembed.feature_graph: [N, F, S, T] to what its leaves make, side by side.

    Parameters
    ----------
    shapes : of the input and every layer
    """

    def __init__(self, graph: FeatureGraph, shapes: Sequence[LayerShape]) -> None:
        super().__init__()
        self.graph = graph
        self.convs = nn.ModuleDict({
            str(number): ConvNorm(shapes[layer.source].filters, layer.filters, (1, layer.kernel), padding="same")
            for number, layer in enumerate(graph.layers, start=1) if isinstance(layer, GraphConv)})

    def forward(self, x: Tensor) -> Tensor:
        return follow(self.graph, x, self._conv, self._pool, self._concat)

    def _conv(self, number: int, layer: GraphConv, x: Tensor) -> Tensor:
        return self.convs[str(number)](x)

    def _pool(self, number: int, layer: GraphPool, x: Tensor) -> Tensor:
        return pool_over_time(x, layer.width)

    def _concat(self, number: int, parts: list[Tensor]) -> Tensor:
        return concat_over_time(parts)
