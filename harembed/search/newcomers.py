"""Networks drawn from the space at random: what they find, the super-net may have passed by.

Not in Zhou et al. Under a price on MACs a briefly trained super-net turns to kernels of one sample with many
filters; fewer filters with longer kernels cost the same and may be better. Newcomers compete with its proposals.
The other strategies begin with the same draw, so that a comparison says what a strategy adds to it.
"""

import random
from typing import Any

from harembed.models.supernet import stride2_layers
from harembed.search.candidate import Candidate
from harembed.search.score import cost_scores, violations
from harembed.search.settings import SearchSettings
from harembed.search.vary import KERNELS, LARGEST_FILTERS, fits
from harembed.space import (
    PADDINGS,
    RECURRENT_TAILS,
    Architecture,
    ConvTail,
    DeepConvLstmTail,
    RecurrentTail,
    TemporalConv,
)

HIDDEN = (8, 12, 16, 24)  # features of recurrent tails


def draw(rng: random.Random, window: int, sensors: int, classes: int, tails: tuple[str, ...],
         channels: int | None = None, preferred: tuple[int, ...] = (),
         devices: tuple[tuple[int, ...], ...] = ()) -> Architecture | None:
    """A random network; None if a kernel does not fit the window.

    Parameters
    ----------
    window : samples
    sensors : channels of the recording
    tails : kinds that are allowed, see SuperSpace
    channels : that it may use, at most; None for all
    preferred : channels that those get which use as many as they may; without any these are left to chance, too
    devices : channels that are x, y, z of one sensor: where channels are limited, half of the networks get whole
        sensors
    """
    convs = _first_stage(rng, window)
    most = min(channels or sensors, sensors)
    whole = rng.random() < 0.6
    used = tuple(sorted(rng.sample(range(sensors), most if whole else rng.randint((most + 1) // 2, most))))
    if whole and preferred:
        used = preferred
    if most < sensors and devices and rng.random() < 0.5:
        used = _whole_sensors(rng, devices, most) or used
    arch = Architecture(window, used, rng.choice(PADDINGS), convs, _tail(rng, tails), classes)
    return arch if fits(arch) else None


def _whole_sensors(rng: random.Random, devices: tuple[tuple[int, ...], ...], most: int) -> tuple[int, ...]:
    """Channels of as many sensors, drawn at random, as the limit leaves room for."""
    used: list[int] = []
    for device in rng.sample(devices, len(devices)):
        if len(used) + len(device) <= most:
            used += device
    return tuple(sorted(used))


TRIES = 200  # for each network that is wanted


def draw_fitting(rng: random.Random, shape: tuple[int, int, int], settings: SearchSettings, wanted: int,
                 known: set[str], origin: dict[str, Any],
                 preferred: tuple[int, ...] = ()) -> tuple[list[Candidate], list[tuple[Candidate, str]]]:
    """Random networks within the limits that are not known yet, and those that are not, with what they exceed.

    Parameters
    ----------
    shape : (window in samples, sensor channels, classes)
    wanted : int    networks at most; there are fewer if the limits leave no more
    known : ids; those that are found are added
    preferred : see draw
    """
    fitting: list[Candidate] = []
    rejected: dict[str, tuple[Candidate, str]] = {}
    for _ in range(TRIES * wanted):
        if len(fitting) >= wanted:
            break
        arch = draw(rng, *shape, settings.tails, settings.channels, preferred, settings.vectors)
        if arch is None:
            continue
        candidate = Candidate(arch, cost_scores(arch, settings), origin)
        wrong = violations(arch, candidate.scores, settings)
        if wrong:
            rejected.setdefault(candidate.id, (candidate, "; ".join(wrong)))
        elif candidate.id not in known:
            known.add(candidate.id)
            fitting.append(candidate)
    return fitting, list(rejected.values())


def _first_stage(rng: random.Random, window: int) -> tuple[TemporalConv, ...]:
    """Decimating layers with now and then one that does not, filters growing with depth (fig. 5b of the paper)."""
    most = stride2_layers(window)
    kernels = KERNELS if rng.random() < 0.5 else (rng.choice(KERNELS[1:]),)
    filters, growth = float(rng.choice((2, 3, 4, 6, 8))), rng.choice((1.0, 1.25, 1.5))
    convs: list[TemporalConv] = []
    for _ in range(rng.randint(max(most - 3, 1), most)):
        convs.append(TemporalConv(rng.choice(kernels), 2, min(round(filters), LARGEST_FILTERS)))
        if rng.random() < 0.2:
            convs.append(TemporalConv(rng.choice(kernels), 1, convs[-1].filters))
        filters *= growth
    return tuple(convs)


def _tail(rng: random.Random, tails: tuple[str, ...]) -> ConvTail | RecurrentTail:
    # Recurrent tails cost several times the cheap one: they get fewer tries, or all if nothing else is allowed.
    recurrent = [RECURRENT_TAILS[kind](hidden) for kind in tails if kind != "conv" for hidden in HIDDEN]
    if "deepconvlstm" in tails:
        recurrent += [DeepConvLstmTail(hidden, layers=1) for hidden in HIDDEN]
    if "conv" not in tails or (recurrent and rng.random() < 0.15):
        return rng.choice(recurrent)
    fusion = rng.choice((12, 16, 24, 32, 48))
    return ConvTail(fusion, tuple(TemporalConv(rng.choice(KERNELS[:3]), 1, fusion) for _ in range(rng.randint(0, 2))))
