"""Neighbours of a network are networks."""

import random

import pytest
import torch

from harembed.cost.dims import dims_of
from harembed.cost.macs import parameters
from harembed.models import build_model
from harembed.search.vary import vary
from harembed.space import Architecture, AttendTail, ConvTail, DeepConvLstmTail, TemporalConv, TinyHarTail

STARTS = {
    "conv": Architecture(32, (0, 2), "same", (TemporalConv(5, 2, 3),), ConvTail(4), 3),
    "short_valid": Architecture(11, (1,), "valid", (TemporalConv(7, 1, 2),),
                                ConvTail(4, (TemporalConv(3, 1, 5),)), 3),
    "tinyhar": Architecture(24, (0, 1, 3), "same", (TemporalConv(5, 2, 4), TemporalConv(3, 2, 4)), TinyHarTail(6), 4),
    "deepconvlstm": Architecture(24, (0, 1), "same", (TemporalConv(5, 2, 4),), DeepConvLstmTail(6), 4),
    "attend": Architecture(24, (0, 1), "same", (TemporalConv(5, 2, 4),), AttendTail(6), 4),
}


def test_a_walk_within_a_limit_of_channels_exchanges_them():
    rng, arch, seen = random.Random(0), STARTS["conv"], set()
    for _ in range(300):
        arch = vary(arch, rng, sensors=6, channels=2) or arch
        assert 1 <= len(arch.channels) <= 2
        seen.add(arch.channels)
    assert {c for channels in seen for c in channels} == set(range(6))


@pytest.mark.parametrize("start", STARTS.values(), ids=STARTS)
def test_a_walk_stays_in_the_space_and_is_repeatable(start):
    def walk() -> list[Architecture]:
        rng, arch, seen = random.Random(0), start, []
        for _ in range(60):
            neighbour = vary(arch, rng, sensors=4)
            if neighbour is not None:
                assert neighbour != arch
                arch = neighbour
                seen.append(arch)
        return seen

    found = walk()
    assert len(found) > 20
    assert found == walk()
    for arch in found[::5]:
        assert set(arch.channels) <= {0, 1, 2, 3}
        assert build_model(arch).eval()(torch.zeros(1, 1, len(arch.channels), arch.window)).shape == (1, arch.classes)
        assert parameters(dims_of(arch)) > 0
