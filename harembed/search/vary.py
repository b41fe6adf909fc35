"""Neighbours of a network: what the super-net proposed, changed a little.

Not in Zhou et al., whose result is the super-net's most likely network. A few minutes of super-net training rank
whole regions well (how many layers, how long, which sensors) but not one kernel or three filters against
another: every operator there shares weights with all others. Those small questions are put to trained networks.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from harembed.space import (
    Architecture,
    ConvTail,
    DeepConvLstmTail,
    FlatTail,
    ResNetTail,
    TemporalConv,
    temporal_length,
)

KERNELS = (1, 3, 5, 7)
LARGEST_FILTERS = 48
MOST_LAYERS = 12


@dataclass(frozen=True)
class SensorRange:
    """Which sensor channels a network may have."""

    count: int  # channels of the recording
    most: int  # that a network may use


Change = Callable[[Architecture, random.Random, SensorRange], Architecture | None]


def vary(arch: Architecture, rng: random.Random, sensors: int, channels: int | None = None) -> Architecture | None:
    """One to three random changes; None if the result is no network (a kernel does not fit the window).

    Parameters
    ----------
    sensors : int    channels of the recording
    channels : int   that a network may use, at most; None for all
    """
    allowed = SensorRange(sensors, min(channels or sensors, sensors))
    changed: Architecture | None = arch
    for _ in range(rng.choice((1, 1, 2, 3))):
        assert changed is not None
        changed = rng.choice(CHANGES)(changed, rng, allowed)
        if changed is None or not fits(changed):
            return None
    return changed if changed != arch else None


def fits(arch: Architecture) -> bool:
    """Every kernel fits what is left of the window, and the first stage is not empty or too long."""
    length = arch.window
    behind = arch.tail.convs if isinstance(arch.tail, ConvTail) else ()
    for c in (*arch.convs, *behind):
        length = temporal_length(length, c.kernel, c.stride, arch.padding)
        if length < 1:
            return False
    return 1 <= len(arch.convs) <= MOST_LAYERS


def _scaled(filters: int, rng: random.Random) -> int:
    """A quarter to a half more or less, at least one."""
    step = max(1, round(filters * rng.choice((0.25, 0.5))))
    return min(max(filters + rng.choice((-step, step)), 1), LARGEST_FILTERS)


def _put(convs: Sequence[TemporalConv], at: int, *new: TemporalConv) -> tuple[TemporalConv, ...]:
    return (*convs[:at], *new, *convs[at + 1 :])


def _change_kernel(arch: Architecture, rng: random.Random, sensors: SensorRange) -> Architecture | None:
    at = rng.randrange(len(arch.convs))
    return replace(arch, convs=_put(arch.convs, at, replace(arch.convs[at], kernel=rng.choice(KERNELS))))


def _change_filters(arch: Architecture, rng: random.Random, sensors: SensorRange) -> Architecture | None:
    at = rng.randrange(len(arch.convs))
    c = arch.convs[at]
    return replace(arch, convs=_put(arch.convs, at, replace(c, filters=_scaled(c.filters, rng))))


def _add_layer(arch: Architecture, rng: random.Random, sensors: SensorRange) -> Architecture | None:
    at = rng.randrange(len(arch.convs))
    c = arch.convs[at]
    new = TemporalConv(rng.choice(KERNELS), rng.choice((1, 2)), c.filters)
    return replace(arch, convs=_put(arch.convs, at, c, new))


def _drop_layer(arch: Architecture, rng: random.Random, sensors: SensorRange) -> Architecture | None:
    return replace(arch, convs=_put(arch.convs, rng.randrange(len(arch.convs))))


def _change_width(arch: Architecture, rng: random.Random, sensors: SensorRange) -> Architecture | None:
    """All filters of the first stage at once: half to one and a half of them."""
    factor = rng.choice((0.5, 0.7, 1.4))
    convs = tuple(replace(c, filters=min(max(round(c.filters * factor), 1), LARGEST_FILTERS)) for c in arch.convs)
    return replace(arch, convs=convs)


def _trade_kernels(arch: Architecture, rng: random.Random, sensors: SensorRange) -> Architecture | None:
    """One longer kernel for all layers, paid for with filters: about the same MACs."""
    kernel = rng.choice(KERNELS[1:])
    mean = sum(c.kernel for c in arch.convs) / len(arch.convs)
    factor = min((mean / kernel) ** 0.5, 1.0)
    convs = tuple(TemporalConv(kernel, c.stride, max(round(c.filters * factor), 1)) for c in arch.convs)
    return replace(arch, convs=convs)


def _change_padding(arch: Architecture, rng: random.Random, sensors: SensorRange) -> Architecture | None:
    return replace(arch, padding="valid" if arch.padding == "same" else "same")


def _change_sensors(arch: Architecture, rng: random.Random, sensors: SensorRange) -> Architecture | None:
    """Add the channels that are missing one at a time, in exchange for another where no more are allowed, or take one
    away."""
    missing = sorted(set(range(sensors.count)) - set(arch.channels))
    if missing and (len(arch.channels) == 1 or rng.random() < 0.7):
        gone = {rng.choice(arch.channels)} if len(arch.channels) >= sensors.most else set()
        return replace(arch, channels=tuple(sorted({*arch.channels, rng.choice(missing)} - gone)))
    if len(arch.channels) == 1:
        return None
    gone = {rng.choice(arch.channels)}
    return replace(arch, channels=tuple(c for c in arch.channels if c not in gone))


def _change_fusion(arch: Architecture, rng: random.Random, sensors: SensorRange) -> Architecture | None:
    if isinstance(arch.tail, ConvTail):
        return replace(arch, tail=replace(arch.tail, fusion=_scaled(arch.tail.fusion, rng)))
    if isinstance(arch.tail, (FlatTail, ResNetTail)):
        return None
    return replace(arch, tail=replace(arch.tail, hidden=_scaled(arch.tail.hidden, rng)))


def _change_tail_conv(arch: Architecture, rng: random.Random, sensors: SensorRange) -> Architecture | None:
    """Add, drop, widen or lengthen a convolution behind the fusion; or add or drop an LSTM layer."""
    tail = arch.tail
    if isinstance(tail, DeepConvLstmTail):
        return replace(arch, tail=replace(tail, layers=3 - tail.layers))
    if not isinstance(tail, ConvTail):
        return None
    if not tail.convs or (len(tail.convs) < 3 and rng.random() < 0.25):
        new = TemporalConv(rng.choice(KERNELS[:3]), 1, tail.fusion)
        return replace(arch, tail=replace(tail, convs=(*tail.convs, new)))
    at = rng.randrange(len(tail.convs))
    c = tail.convs[at]
    choices: list[tuple[TemporalConv, ...]] = [
        (), (replace(c, kernel=rng.choice(KERNELS)),), (replace(c, filters=_scaled(c.filters, rng)),)]
    return replace(arch, tail=replace(tail, convs=_put(tail.convs, at, *rng.choice(choices))))


# How a network may differ from its neighbour, equally likely. A new change is a function and a line.
CHANGES: tuple[Change, ...] = (
    _change_kernel, _change_filters, _change_filters, _change_width, _trade_kernels, _add_layer, _drop_layer,
    _change_padding, _change_sensors, _change_fusion, _change_tail_conv, _change_tail_conv,
)
