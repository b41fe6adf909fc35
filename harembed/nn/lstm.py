"""The LSTM of recurrent tails, in floating point."""

from torch import Tensor, nn


class Lstm(nn.Module):
    """One unidirectional layer that returns every step: [N, T, inputs] to [N, T, hidden]. States start at 0."""

    def __init__(self, inputs: int, hidden: int) -> None:
        super().__init__()
        self.lstm = nn.LSTM(inputs, hidden, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.lstm(x)[0]
