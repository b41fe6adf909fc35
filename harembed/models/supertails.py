"""The convolutional tail of the super-net."""

from collections.abc import Sequence

from torch import Tensor, nn

from harembed.models.mixed_conv import GatedConv, MixedConv, Pick, weigh
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

    def forward(self, x: Tensor, picks: Sequence[Pick], padding: Padding) -> Tensor:
        """[N, F, sensors, length], closed sensors zero, to logits [N, classes]."""
        x = self.fusion(x, "valid")
        for layer, pick in zip(self.layers, picks, strict=True):
            x = weigh(layer(x, pick.option, padding), pick)
        return self.linear(self.dropout(x.mean((2, 3))))
