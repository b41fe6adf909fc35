"""The GRU of Attend-and-Discriminate, in floating point."""

from torch import Tensor, nn


class Gru(nn.Module):
    """One unidirectional layer that returns every step: [N, T, inputs] to [N, T, hidden]. The state starts at 0."""

    def __init__(self, inputs: int, hidden: int) -> None:
        super().__init__()
        self.gru = nn.GRU(inputs, hidden, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.gru(x)[0]
