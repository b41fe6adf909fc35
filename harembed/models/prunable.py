"""A network of fixed shape with a gate behind every convolution: the super-net of Pruning-as-Search (Li et al., IJCAI
2022, arXiv 2206.01198). Gates are those of harembed.nn.gates, which Zhou et al. took from there.

Departures: the paper starts from a trained network and ends with one that needs no more training; here the search
trains the network before gates move (search/pas.py), and what is found is trained anew, as by every strategy. And
the hidden features of a recurrent tail have a gate, too: the paper has no recurrent networks, but Zhou et al.'s
figures for PaS and AutoSlim need it (DeepConvLSTM with PaS has 37.9 k parameters on UCI-HAR; an LSTM of 128 alone has
66 k and more).
"""

import torch
from torch import Tensor, nn

from harembed.cost.dims import NetDims, dims_of
from harembed.models.mixed_conv import GatedConv
from harembed.models.super_recurrent import RECURRENT, SuperDeepConvLstmTail, SuperRecurrentTail
from harembed.models.widths import with_widths
from harembed.nn.gates import ChannelGate, Kept
from harembed.space import Architecture, ConvTail, DeepConvLstmTail, FlatTail, Padding, ResNetTail


class PrunableNet(nn.Module):
    """Parameters
    ----------
    backbone : Architecture    what is to be pruned; uses all channels of its input
    dropout : float
    threshold : float    of the gates (eq. 3 of Zhou et al.)
    """

    def __init__(self, backbone: Architecture, dropout: float, threshold: float = 0.5) -> None:
        super().__init__()
        self.backbone = backbone
        before = (1, *(c.filters for c in backbone.convs))
        self.convs = nn.ModuleList(GatedConv(n, c.filters, (1, c.kernel), c.stride, threshold)
                                   for n, c in zip(before, backbone.convs, strict=False))
        self.tail = _tail(backbone, before[-1], dropout, threshold)

    def forward(self, x: Tensor) -> Tensor:
        """[N, 1, sensors, window] to logits [N, classes]."""
        filters, sensors = _whole(1, x), _whole(x.shape[2], x)
        for conv in self.convs:
            x, filters = conv(x, filters.indices, self.backbone.padding)
        if isinstance(self.tail, GatedConvTail):
            return self.tail(x, filters, self.backbone.padding)
        return self.tail(x, filters, sensors)

    def gates(self) -> list[ChannelGate]:
        """In the order of harembed.models.widths."""
        return [*self._first_gates(), *(m for m in self.tail.modules() if isinstance(m, ChannelGate))]

    def _first_gates(self) -> list[ChannelGate]:
        return [m for m in self.convs.modules() if isinstance(m, ChannelGate)]

    def derived(self) -> Architecture:
        """What is left under the gates: nothing but widths differs from the backbone."""
        return with_widths(self.backbone, [len(gate.open()) for gate in self.gates()])

    def dims(self) -> NetDims:
        """Sizes of what is left, as tensors with gradients to the gates."""
        return dims_of(with_widths(self.backbone, [gate.mask().sum() for gate in self.gates()]))


class GatedConvTail(nn.Module):
    """Fuse sensors, convolve over time, average over time, classify."""

    def __init__(self, tail: ConvTail, filters: int, sensors: int, classes: int, dropout: float,
                 threshold: float) -> None:
        super().__init__()
        before = (tail.fusion, *(c.filters for c in tail.convs))
        self.fusion = GatedConv(filters, tail.fusion, (sensors, 1), threshold=threshold)
        self.convs = nn.ModuleList(GatedConv(n, c.filters, (1, c.kernel), c.stride, threshold)
                                   for n, c in zip(before, tail.convs, strict=False))
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(before[-1], classes)

    def forward(self, x: Tensor, filters: Kept, padding: Padding) -> Tensor:
        """[N, F, sensors, length] to logits [N, classes]."""
        x, filters = self.fusion(x, filters.indices, "valid")
        for conv in self.convs:
            x, filters = conv(x, filters.indices, padding)
        logits: Tensor = self.linear(self.dropout(x.mean((2, 3))))
        return logits


def _whole(size: int, x: Tensor) -> Kept:
    """An axis of which nothing is closed."""
    return Kept(torch.arange(size, device=x.device), x.new_ones(size))


def _tail(backbone: Architecture, filters: int, dropout: float,
          threshold: float) -> "GatedConvTail | SuperRecurrentTail":
    tail, sensors, classes = backbone.tail, len(backbone.channels), backbone.classes
    if isinstance(tail, ConvTail):
        return GatedConvTail(tail, filters, sensors, classes, dropout, threshold)
    assert not isinstance(tail, (FlatTail, ResNetTail)), "no search has it"
    if isinstance(tail, DeepConvLstmTail):
        return SuperDeepConvLstmTail(filters, sensors, tail.hidden, classes, dropout, threshold, tail.layers)
    return RECURRENT[tail.kind](filters, sensors, tail.hidden, classes, dropout, threshold)
