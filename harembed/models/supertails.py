"""The convolutional tail of the super-net."""

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from harembed.models.mixed_conv import GatedConv, MixedConv, Pick, weigh
from harembed.nn.gates import Kept, take
from harembed.space import Padding


class SuperConvTail(nn.Module):
    """The cheap tail: fuse sensors, convolve over time (searchable), average over time, classify."""

    def __init__(self, filters: int, sensors: int, fusion: int, kernels: tuple[int, ...], layers: int,
                 classes: int, dropout: float, threshold: float) -> None:
        super().__init__()
        self.fusion = GatedConv(filters, fusion, (sensors, 1), threshold=threshold)
        self.layers = nn.ModuleList(MixedConv(fusion, fusion, kernels, 1, threshold) for _ in range(layers))
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(fusion, classes)

    def forward(self, x: Tensor, filters: Kept, sensors: Kept, picks: Sequence[Pick], padding: Padding) -> Tensor:
        """[N, filters, sensors, length], closed sensors zero, to logits [N, classes]."""
        x, fused = self.fusion(x, filters.indices, "valid", sensors.indices)
        for layer, pick in zip(self.layers, picks, strict=True):
            x, fused = layer(x, fused, pick.option, padding)
            x = weigh(x, pick)
        return F.linear(self.dropout(x.mean((2, 3))), take(self.linear.weight, 1, fused.indices), self.linear.bias)
