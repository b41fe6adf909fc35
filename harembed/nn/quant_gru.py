"""The GRU with the roundings of the integer graph's gru (harembed/ir/ops/gru.py), step by step: int8 throughout.

Weights have one scale for all gates; what stands between two operators of a time step has a range of its own.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from harembed.ir.ops.gru_chain import INTERMEDIATES
from harembed.nn.gru import Gru
from harembed.nn.quant import Quantizer, Signal
from harembed.nn.quant_layers import Kernel, QuantWeight

LOGISTIC = (1.0 / 256.0, -128)  # output quantisation that TFLite prescribes
TANH = (1.0 / 128.0, 0)


class QuantGru(nn.Module):
    """Gru's twin: [N, T, I] to [N, T, H]. Gates in PyTorch's order: reset, update, new."""

    def __init__(self, layer: Gru, name: str) -> None:
        super().__init__()
        w_input, w_recurrent, b_input, b_recurrent = layer.gru.all_weights[0]
        self.input = QuantWeight(w_input, b_input, 1)
        self.recurrent = QuantWeight(w_recurrent, b_recurrent, 1)
        self.hidden = layer.gru.hidden_size
        self.between = nn.ModuleDict({part: Quantizer(f"{name}.{part}") for part in INTERMEDIATES})
        self.gates = Quantizer(f"{name}.gates", fixed=LOGISTIC)
        self.new = Quantizer(f"{name}.new", fixed=TANH)
        self.out = Quantizer(name)

    def forward(self, x: Signal) -> Signal:
        weight, bias, unit = self.input(x.quantizer.scale)
        recurrent = self.recurrent(self.out.scale)
        from_input = self._round("input_sum", F.linear(x.value, weight, bias), unit)
        h = x.value.new_zeros(len(x.value), self.hidden)
        steps = []
        for t in range(x.value.shape[1]):
            h = self._step(from_input[:, t], h, recurrent)
            steps.append(h)
        if self.out.record:
            self.out.tap = torch.stack(steps, 1).detach()
        return Signal(torch.stack(steps, 1), self.out)

    def _step(self, from_input: Tensor, h: Tensor, recurrent: Kernel) -> Tensor:
        """One time step: the operators that the head of ir/ops/gru.py lists, in their order."""
        u = self.hidden
        s = self._round("recurrent_sum", F.linear(h, recurrent.weight, recurrent.bias), recurrent.unit)
        gates = self.gates(self._round("gate_sum", from_input[:, : 2 * u] + s[:, : 2 * u]).sigmoid())
        reset, update = gates.chunk(2, 1)
        product = self._round("reset_product", reset * s[:, 2 * u :], self._product_unit("recurrent_sum"))
        new = self.new(self._round("new_sum", from_input[:, 2 * u :] + product).tanh())
        difference = self._round("difference", h - new)
        kept = self._round("update_product", update * difference, self._product_unit("difference"))
        return self.out(new + kept)

    def quantizer(self, part: str) -> Quantizer:
        """Of one of INTERMEDIATES."""
        found = self.between[part]
        assert isinstance(found, Quantizer)
        return found

    def _round(self, part: str, x: Tensor, unit: Tensor | None = None) -> Tensor:
        return self.quantizer(part)(x, unit)

    def _product_unit(self, part: str) -> Tensor:
        """What 1 stands for in the product of a gate with `part`."""
        return self.gates.scale * self.quantizer(part).scale
