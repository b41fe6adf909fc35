"""The super-net of SFTNAS: the family of networks with every choice still open (Zhou et al., section IV).

Choices: which sensor channels stay (gate), padding, for each layer of the first stage its operator and
filters, the tail (a published one or a cheaper one) and inside the cheaper tail its convolutions and filters.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from harembed.cost.dims import ConvDims, ConvTailDims, NetDims, recurrent_dims
from harembed.errors import SearchError
from harembed.models.mixed_conv import IDENTITY, MixedConv, Pick, weigh
from harembed.models.super_recurrent import RECURRENT, SuperDeepConvLstmTail, SuperRecurrentTail
from harembed.models.supertails import SuperConvTail
from harembed.nn.gates import ChannelGate, Kept, take
from harembed.nn.gumbel import argmax_one_hot, gumbel_one_hot
from harembed.space import PADDINGS, TAILS, DeepConvLstmTail, Padding, temporal_length

SENSOR_SPREAD = 0.2  # of the gates on sensor channels, see ChannelGate


@dataclass(frozen=True)
class SuperSpace:
    """The largest network of a search and what may be taken away from it."""

    window: int  # samples
    sensors: int  # channels of the recording
    classes: int
    filters: tuple[int, ...]  # of the first stage's layers, at most; not decreasing
    kernels: tuple[int, ...] = (1, 3, 5, 7)
    paddings: tuple[Padding, ...] = PADDINGS
    tails: tuple[str, ...] = ("conv", "tinyhar")
    fusion: int = 32  # filters of the cheap tail, at most
    tail_layers: int = 2  # convolutions behind fusion, at most
    tail_kernels: tuple[int, ...] = (1, 3, 5)
    hidden: int = 32  # of a recurrent tail, at most
    lstm_layers: int = DeepConvLstmTail.layers  # of DeepConvLSTM's tail; Zhou et al. have 1
    dropout: float = 0.3
    threshold: float = 0.5  # of the gates, eq. 3


def stride2_layers(window: int) -> int:
    """N = floor(log2(s0 / 4)): with all of them at work at least 4 samples are left (section IV-B)."""
    return max(math.floor(math.log2(window / 4)), 1)


def strides(window: int) -> tuple[int, ...]:
    """Stride-2 layers interleaved with stride-1 ones. The decimating one goes first: at full length a
    convolution costs most (section III-B)."""
    return (2, 1) * stride2_layers(window)


@dataclass(frozen=True)
class Choice:
    """One network of the super-net, filters and channels apart (those are the gates')."""

    padding: Pick
    layers: tuple[Pick, ...]
    tail: Pick
    tail_layers: tuple[Pick, ...]  # empty for recurrent tails

    def options(self) -> tuple[int, ...]:
        return (self.padding.option, *(p.option for p in self.layers), self.tail.option,
                *(p.option for p in self.tail_layers))


class SuperNet(nn.Module):
    """Weights, gates and architecture logits.

    Attributes
    ----------
    alpha : ParameterList    logits: padding, tail, then one per layer of the first stage and of the cheap tail.
                             Departure from the paper: logits instead of log(alpha), see nn/gumbel.py; they start
                             at 1e-3 as its alpha does
    """

    def __init__(self, space: SuperSpace) -> None:
        super().__init__()
        self.space = space
        # Sensors start above the filters, so that a pressure takes filters first, but not all alike either.
        self.input_gate = ChannelGate(space.sensors, threshold=space.threshold, spread=SENSOR_SPREAD)
        widths = (1, *space.filters)
        self.layers = nn.ModuleList(
            MixedConv(widths[i], widths[i + 1], space.kernels, stride, space.threshold)
            for i, stride in enumerate(strides(space.window)))
        self.tails = nn.ModuleDict({name: _tail(name, space) for name in space.tails})
        sizes = [len(space.paddings), len(space.tails), *[len(space.kernels) + 1] * len(self.layers),
                 *[len(space.tail_kernels) + 1] * space.tail_layers]
        self.alpha = _Logits(nn.Parameter(torch.full((n,), 1e-3)) for n in sizes)

    # -- choosing ------------------------------------------------------------------------------------------

    def draw(self, tau: float, generator: torch.Generator) -> Choice:
        """A random network with probability softmax(alpha), differentiable in alpha."""
        return self._choose(lambda logits: Pick(*gumbel_one_hot(logits, tau, generator)))

    def most_likely(self) -> Choice:
        """The network of the largest logits."""
        return self._choose(lambda logits: Pick(*argmax_one_hot(logits)))

    def _choose(self, pick: Any) -> Choice:
        padding, tail = pick(self.alpha[0]), pick(self.alpha[1])
        mode = self.space.paddings[padding.option]
        first = len(self.layers)
        layers, length = self._choose_layers(pick, self.layers, list(self.alpha)[2 : 2 + first], self.space.window,
                                             mode, need_one=True)
        behind: tuple[Pick, ...] = ()
        if self.space.tails[tail.option] == "conv":
            behind, _ = self._choose_layers(pick, self.tails["conv"].layers, list(self.alpha)[2 + first :], length,
                                            mode, need_one=False)
        return Choice(padding, layers, tail, behind)

    def _choose_layers(self, pick: Any, layers: Any, alphas: Sequence[Tensor], length: int, padding: Padding,
                       need_one: bool) -> tuple[tuple[Pick, ...], int]:
        """Pick operators one by one, forbidding kernels that do not fit what is left of the window, and an
        identity in the last layer if all before it are identities (a first stage of nothing)."""
        picks: list[Pick] = []
        for i, (layer, alpha) in enumerate(zip(layers, alphas, strict=True)):
            after = [length, *(temporal_length(length, k, layer.stride, padding) for k in layer.kernels)]
            allowed = torch.tensor([n >= 1 for n in after])
            if need_one and i == len(layers) - 1 and all(p.option == IDENTITY for p in picks):
                allowed[IDENTITY] = False
            picks.append(pick(alpha.masked_fill(~allowed, -torch.inf)))
            length = after[picks[-1].option]
        return tuple(picks), length

    # -- computing -----------------------------------------------------------------------------------------

    def forward(self, x: Tensor, choice: Choice) -> Tensor:
        """[N, 1, sensors, window] float to logits [N, classes].

        Each activation is multiplied by the p of the operator that made it: 1 in value, the gradient of
        eq. 6 and 7 for alpha.
        """
        padding = self.space.paddings[choice.padding.option]
        sensors = self.input_gate.kept().to(x.device)
        x = sensors.on(take(x, 2, sensors.indices), 2)
        filters = Kept(torch.zeros(1, dtype=torch.int64, device=x.device), x.new_ones(1))
        for layer, pick in zip(self.layers, choice.layers, strict=True):
            x, filters = layer(x, filters, pick.option, padding)
            x = weigh(x, pick)
        x = weigh(x, choice.padding)
        # A closed channel goes with everything that was computed from it (batch norm makes it non-zero).
        x = sensors.on(x, 2)
        tail = self.tail_of(choice)
        if isinstance(tail, SuperConvTail):
            logits = tail(x, filters, sensors, choice.tail_layers, padding)
        else:
            logits = tail(x, filters, sensors)
        return weigh(logits, choice.tail)

    def tail_of(self, choice: Choice) -> SuperConvTail | SuperRecurrentTail:
        """The tail that a choice takes."""
        tail = self.tails[self.space.tails[choice.tail.option]]
        assert isinstance(tail, SuperConvTail | SuperRecurrentTail)
        return tail

    def gates(self) -> list[ChannelGate]:
        return [m for m in self.modules() if isinstance(m, ChannelGate)]

    def shrink(self) -> None:
        """Cut all that is closed: from now on the net is as wide as what is open. (Batch norm then stops counting the
        zeros of closed sensors, which are not there in the network that is derived either.)"""
        for gate in self.gates():
            gate.cut()

    # -- counting ------------------------------------------------------------------------------------------

    def dims(self, choice: Choice) -> NetDims:
        """Sizes of the chosen network as tensors with gradients to gates and alpha; values are exact."""
        sensors = self.input_gate.mask().sum()
        one = torch.ones(())
        start = _Flow(one * self.space.window, self.space.window, one)
        convs, flow = self._layer_dims(self.layers, choice.layers, choice.padding, sensors, start)
        present = choice.tail.p[choice.tail.option]
        tail = self.tail_of(choice)
        if isinstance(tail, SuperRecurrentTail):
            return NetDims(convs, recurrent_dims(tail.derived(), sensors, flow.length, flow.filters,
                                                 tail.gate.mask().sum(), self.space.classes, present))
        fused = tail.fusion.gate.mask().sum()
        fusion = ConvDims(one, sensors, flow.length, flow.filters, one, flow.length, fused, sensors)
        behind, flow = self._layer_dims(tail.layers, choice.tail_layers, choice.padding, one,
                                        _Flow(flow.length, flow.samples, fused))
        return NetDims(convs, ConvTailDims((fusion, *behind), flow.length, flow.filters, self.space.classes,
                                           present))

    def _layer_dims(self, layers: Any, picks: Sequence[Pick], padding: Pick, rows: Tensor,
                    flow: "_Flow") -> tuple[tuple[ConvDims, ...], "_Flow"]:
        dims = []
        for layer, pick in zip(layers, picks, strict=True):
            after = self._after(layer, pick, padding, flow)
            kernel = (pick.p * torch.tensor([0.0, *layer.kernels])).sum()
            dims.append(ConvDims(1.0 - pick.p[IDENTITY], rows, flow.length, flow.filters, rows, after.length,
                                 after.filters, kernel))
            flow = after
        return tuple(dims), flow

    def _after(self, layer: MixedConv, pick: Pick, padding: Pick, flow: "_Flow") -> "_Flow":
        """What one layer leaves: sums over all its options weighted by p, so that alpha feels what each
        option would have cost. Rounded lengths pass the gradient of their unrounded ones."""
        lengths, filters = [flow.length], [flow.filters]
        drift = (flow.length - flow.length.detach()) / layer.stride
        for option, kernel in enumerate(layer.kernels, start=1):
            by_padding = [float(max(temporal_length(flow.samples, kernel, layer.stride, mode), 1))
                          for mode in self.space.paddings]
            lengths.append((padding.p * torch.tensor(by_padding)).sum() + drift)
            filters.append(layer.op(option).gate.mask().sum())
        mode = self.space.paddings[padding.option]
        samples = flow.samples if pick.option == IDENTITY else temporal_length(
            flow.samples, layer.kernels[pick.option - 1], layer.stride, mode)
        return _Flow((pick.p * torch.stack(lengths)).sum(), samples, (pick.p * torch.stack(filters)).sum())


class _Logits(nn.ParameterList):
    """Stay on the CPU as gates do."""

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "_Logits":
        return self


def _tail(name: str, s: SuperSpace) -> nn.Module:
    if name == "conv":
        return SuperConvTail(s.filters[-1], s.sensors, s.fusion, s.tail_kernels, s.tail_layers, s.classes,
                             s.dropout, s.threshold)
    sizes = (s.filters[-1], s.sensors, s.hidden, s.classes, s.dropout, s.threshold)
    if name == "deepconvlstm":
        return SuperDeepConvLstmTail(*sizes, layers=s.lstm_layers)
    if name in RECURRENT:
        return RECURRENT[name](*sizes)
    raise SearchError(f"There is no tail {name!r}.", f"Known: {', '.join(TAILS)}.")


@dataclass(frozen=True)
class _Flow:
    length: Tensor  # samples, with gradient
    samples: int  # the same as an integer
    filters: Tensor
