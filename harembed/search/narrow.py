"""A network that keeps to the limits, out of a super-net that does not: the least wanted channels and filters go.

Not in Zhou et al., whose complexity loss lets gates close until a network is small enough. With many sensor channels
(45 at 60,000 MACs) a super-net trained for minutes is not there at its end. What its gates have learnt by then still
says in which order to go on.
"""

from collections.abc import Callable, Sequence
from copy import deepcopy
from typing import Any

from harembed.models.mixed_conv import IDENTITY, Pick
from harembed.models.supernet import Choice, SuperNet
from harembed.models.supertails import SuperConvTail
from harembed.nn.gates import ChannelGate
from harembed.search.derive import derive_architecture
from harembed.space import Architecture


def narrowed(net: SuperNet, choice: Choice, within_limits: Callable[[Architecture], bool]) -> SuperNet | None:
    """The same super-net with as many gates closed as this choice needs; None if one channel and one filter
    everywhere are still too many.

    Of all gates of the chosen operators that one closes next which has the largest share of its channels or filters
    left: so all become narrower alike, and within each the lowest goes first.
    """
    copy = deepcopy(net)
    gates = _gates(copy, choice)
    width = [len(gate.open()) for gate in gates]
    left = list(width)
    while not within_limits(derive_architecture(copy, choice)):
        widest = max(range(len(gates)), key=lambda i: (left[i] > 1, left[i] / width[i]))
        if left[widest] == 1:
            return None
        left[widest] -= 1
        gates[widest].most = left[widest]
    return copy


def _gates(net: SuperNet, choice: Choice) -> list[ChannelGate]:
    """Of the sensor channels and of all that the choice takes, in the order of the data."""
    tail = net.tail_of(choice)
    behind = [tail.fusion.gate] if isinstance(tail, SuperConvTail) else [tail.gate]
    if isinstance(tail, SuperConvTail):
        behind += _filters(tail.layers, choice.tail_layers)
    return [net.input_gate, *_filters(net.layers, choice.layers), *behind]


def _filters(layers: Any, picks: Sequence[Pick]) -> list[ChannelGate]:
    return [layer.op(pick.option).gate for layer, pick in zip(layers, picks, strict=True) if pick.option != IDENTITY]
