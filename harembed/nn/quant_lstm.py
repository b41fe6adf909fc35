"""The LSTM with the integer types of TFLite's 8x8->16 kernel, step by step.

Weights int8, one scale for each of the eight matrices; input and hidden state int8; what goes into the gates
int16 in Q3.12 (so within -8 and 8), what comes out Q0.15; the cell int16 at a power of two.
"""

import torch
from torch import Tensor

from harembed.nn.lstm import Lstm
from harembed.nn.quant import Mode, Quantizer, Signal, Switched, fake_quantise
from harembed.nn.quant_layers import QuantWeight

GATE_SCALE = 2.0**-12
SQUASHED_SCALE = 2.0**-15


class QuantLstm(Switched):
    """Lstm's twin: [N, T, I] to [N, T, H]. Gates in PyTorch's order: input, forget, cell, output."""

    gate_scale: Tensor
    squashed_scale: Tensor
    zero: Tensor

    def __init__(self, layer: Lstm, name: str) -> None:
        super().__init__()
        w_input, w_recurrent, b_input, b_recurrent = layer.lstm.all_weights[0]
        self.input = QuantWeight(w_input, b_input + b_recurrent, 4)
        self.recurrent = QuantWeight(w_recurrent, None, 4)
        self.hidden = layer.lstm.hidden_size
        self.cell = Quantizer(f"{name}.cell", bits=16)
        self.out = Quantizer(name)
        self.register_buffer("gate_scale", torch.tensor(GATE_SCALE), persistent=False)
        self.register_buffer("squashed_scale", torch.tensor(SQUASHED_SCALE), persistent=False)
        self.register_buffer("zero", torch.tensor(0, dtype=torch.int32), persistent=False)

    def forward(self, x: Signal) -> Signal:
        weight, bias, _ = self.input(x.quantizer.scale)
        recurrent = self.recurrent(self.out.scale).weight
        from_input = self._gate(x.value @ weight.T + bias)
        h = c = x.value.new_zeros(len(x.value), self.hidden)
        steps = []
        for t in range(x.value.shape[1]):
            gates = self._saturate(from_input[:, t] + self._gate(h @ recurrent.T))
            i, f, g, o = gates.split(self.hidden, 1)
            c = self.cell(self._cell(self._squash(f.sigmoid()) * c) +
                          self._cell(self._squash(i.sigmoid()) * self._squash(g.tanh())))
            h = self.out(self._squash(c.tanh()) * self._squash(o.sigmoid()))
            steps.append(h)
        if self.out.record:
            self.out.tap = torch.stack(steps, 1).detach()
        return Signal(torch.stack(steps, 1), self.out)

    def _gate(self, x: Tensor) -> Tensor:
        return fake_quantise(x, self.gate_scale, self.zero, 16) if self.mode is Mode.INT8 else x

    def _saturate(self, x: Tensor) -> Tensor:
        return x.clamp(-8.0, 8.0 - GATE_SCALE) if self.mode is Mode.INT8 else x

    def _squash(self, x: Tensor) -> Tensor:
        return fake_quantise(x, self.squashed_scale, self.zero, 16) if self.mode is Mode.INT8 else x

    def _cell(self, x: Tensor) -> Tensor:
        """A product on its way into the cell is rounded to the cell's scale by itself."""
        return fake_quantise(x, self.cell.scale, self.zero, 16) if self.mode is Mode.INT8 else x
