"""From the super-net to a network of its own: cut what is closed, keep the weights of what is open.

The derived network computes exactly what the super-net with hard gates computes in evaluation.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from harembed.models.mixed_conv import IDENTITY, GatedConv
from harembed.models.supernet import Choice, SuperNet
from harembed.models.supertails import SuperConvTail
from harembed.space import Architecture, ConvTail, RecurrentTail, TemporalConv

Indices = tuple[int, ...]
State = dict[str, Tensor]


def derive_architecture(net: SuperNet, choice: Choice) -> Architecture:
    """What is left of the super-net under a choice and its gates."""
    tail = net.tail_of(choice)
    derived: ConvTail | RecurrentTail
    if isinstance(tail, SuperConvTail):
        derived = ConvTail(len(tail.fusion.gate.open()), _convs(tail.layers, choice.tail_layers))
    else:
        derived = tail.derived()
    return Architecture(net.space.window, net.input_gate.open(), net.space.paddings[choice.padding.option],
                        _convs(net.layers, choice.layers), derived, net.space.classes)


def _convs(layers: Any, picks: Sequence[Any]) -> tuple[TemporalConv, ...]:
    return tuple(
        TemporalConv(layer.kernels[pick.option - 1], layer.stride, len(layer.op(pick.option).gate.open()))
        for layer, pick in zip(layers, picks, strict=True) if pick.option != IDENTITY)


def derive_weights(net: SuperNet, choice: Choice) -> State:
    """Weights of harembed.models.build_model(derive_architecture(net, choice)), cut out of the super-net."""
    sensors = net.input_gate.open()
    state, filters = _cut_chain("conv", net.layers, choice.layers, (0,))
    tail = net.tail_of(choice)
    if isinstance(tail, SuperConvTail):
        state |= _cut_conv_tail(tail, choice, filters, sensors)
    else:
        device = state["conv0.conv.weight"].device
        state |= tail.cut(*(torch.tensor(i).to(device) for i in (filters, sensors, tail.gate.open())))
    return {name: value.detach().to("cpu", copy=True) for name, value in state.items()}


def _cut_chain(prefix: str, layers: Any, picks: Sequence[Any], kept: Indices) -> tuple[State, Indices]:
    """Cut the chosen convolutions of a stage; returns their weights and the filters open at its end."""
    state: State = {}
    number = 0
    for layer, pick in zip(layers, picks, strict=True):
        if pick.option != IDENTITY:
            op = layer.op(pick.option)
            state |= _cut_conv(f"{prefix}{number}", op, kept)
            kept, number = op.gate.open(), number + 1
    return state, kept


def _cut_conv(name: str, op: GatedConv, kept: Indices, rows: Indices | None = None) -> State:
    norm = op.block.norm
    out = op.gate.open()
    weight = _at(1, kept, _at(0, out, op.block.conv.weight))
    if rows is not None:
        weight = _at(2, rows, weight)
    assert norm.num_batches_tracked is not None
    state: State = {f"{name}.conv.weight": weight, f"{name}.norm.num_batches_tracked": norm.num_batches_tracked}
    for field in ("weight", "bias", "running_mean", "running_var"):
        state[f"{name}.norm.{field}"] = _at(0, out, getattr(norm, field))
    return state


def _at(axis: int, indices: Indices, x: Tensor) -> Tensor:
    return x.index_select(axis, torch.tensor(indices).to(x.device))


def _cut_conv_tail(tail: SuperConvTail, choice: Choice, filters: Indices, sensors: Indices) -> State:
    state = _cut_conv("fusion", tail.fusion, filters, sensors)
    behind, kept = _cut_chain("tail", tail.layers, choice.tail_layers, tail.fusion.gate.open())
    return state | behind | {"classifier.weight": _at(1, kept, tail.linear.weight),
                             "classifier.bias": tail.linear.bias}
