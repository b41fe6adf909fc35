"""What costs say before a network exists, held against the integer graph that lowering makes of it."""

import random

import numpy as np
import pytest
import torch

from harembed.cost.dims import dims_of
from harembed.cost.lifetimes import live_sets as graph_live_sets
from harembed.cost.live_sets import live_sets, peak_bytes
from harembed.cost.macs import parameters, total_macs
from harembed.cost.memory import plan_memory
from harembed.export.lower import lower
from harembed.feature_graph import (
    DEEP_CONV_LSTM,
    FeatureGraph,
    GraphConcat,
    GraphConv,
    GraphLayer,
    GraphPool,
    LayerShape,
    next_shape,
)
from harembed.ir.ops import OPS
from harembed.lego import Lego
from harembed.models import build_model
from harembed.space import (
    Architecture,
    AttendTail,
    ConvTail,
    DeepConvLstmTail,
    FlatTail,
    GraphArchitecture,
    Network,
    ResNetTail,
    TemporalConv,
    TinyHarTail,
)
from harembed.train.qat import calibrate, quantise


def conv(*layers: tuple[int, int, int]) -> tuple[TemporalConv, ...]:
    return tuple(TemporalConv(*c) for c in layers)


def random_branches(seed: int) -> GraphArchitecture:
    """Six layers of any kind, each reading any before it; mixed or shared sensors, any tail."""
    rng = random.Random(seed)
    sensors, channels = rng.choice(("mixed", "shared")), tuple(range(rng.randint(1, 4)))
    layers: list[GraphLayer] = []
    made = [LayerShape(21, len(channels) if sensors == "mixed" else 1)]
    while len(layers) < 6:
        n = len(made)
        layer = rng.choice((GraphConv(rng.choice((1, 2, 3, 5, 8)), rng.randrange(n), rng.randint(1, 6)),
                            GraphPool(rng.choice((2, 3, 5)), rng.randrange(n)),
                            GraphConcat(rng.randrange(n), rng.randrange(n))))
        shape = next_shape(layer, made)
        if not isinstance(shape, str):
            layers.append(layer)
            made.append(shape)
    tail = rng.choice((DeepConvLstmTail(6), DeepConvLstmTail(5, 1), ConvTail(7, conv((3, 1, 4))), TinyHarTail(6),
                       AttendTail(5)))
    return GraphArchitecture(21, channels, FeatureGraph(tuple(layers)), tail, 3, "mixed" if sensors == "mixed"
                             else "shared")


ARCHITECTURES: dict[str, Network] = {
    "small": Architecture(32, (0, 2), "same", conv((5, 2, 3)), ConvTail(4), 3),
    "valid_odd": Architecture(51, (0, 1, 3), "valid", conv((7, 2, 5), (3, 1, 2), (1, 2, 7)),
                              ConvTail(9, conv((3, 1, 11), (1, 1, 2))), 5),
    "same_deep": Architecture(100, (0, 1, 2, 3, 4, 5), "same", conv((5, 2, 4), (3, 1, 4), (5, 2, 8), (7, 2, 9)),
                              ConvTail(24, conv((5, 1, 16))), 7),
    "wide_middle": Architecture(16, (1,), "same", conv((1, 1, 2), (3, 1, 30), (3, 2, 3)), ConvTail(4), 4),
    "tinyhar": Architecture(40, (0, 1, 2), "same", conv((5, 2, 4), (5, 2, 6)), TinyHarTail(10), 4),
    "tinyhar_valid": Architecture(64, (0, 1, 2, 3), "valid", conv((5, 2, 3), (3, 2, 2)), TinyHarTail(24), 6),
    "tinyhar_long": Architecture(60, (0, 4), "same", conv((3, 1, 2),), TinyHarTail(3), 6),
    "deepconvlstm": Architecture(40, (0, 1, 2), "same", conv((5, 2, 4), (5, 2, 6)), DeepConvLstmTail(10), 4),
    "deepconvlstm_one": Architecture(30, (0, 1), "valid", conv((5, 2, 3)), DeepConvLstmTail(23, 1), 6),
    "attend": Architecture(40, (0, 1, 2), "same", conv((5, 2, 4), (5, 2, 6)), AttendTail(10), 4),
    "attend_wide": Architecture(30, (0, 1), "valid", conv((5, 2, 3)), AttendTail(23), 6),
    "deepconvlstm_one_sensor": Architecture(20, (1,), "same", conv((5, 1, 3)), DeepConvLstmTail(6), 4),
    "lego": Architecture(50, (0, 1, 3), "same", conv((5, 2, 6), (3, 2, 9), (3, 1, 12)),
                         ConvTail(16, conv((5, 1, 10), (1, 1, 7))), 5, Lego(4, 0.25)),
    "lego_attend": Architecture(30, (0, 1), "valid", conv((5, 2, 4), (7, 1, 8)), AttendTail(6), 4, Lego(2, 0.6)),
    "xnor": Architecture(50, (0, 1, 3), "same", conv((5, 2, 16), (3, 2, 9)), ConvTail(33, conv((5, 1, 10))), 5,
                         xnor=True),
    "xnor_attend": Architecture(30, (0, 1), "valid", conv((5, 2, 40), (7, 1, 8)), AttendTail(6), 4, xnor=True),
    "resnet": Architecture(30, (0, 1, 3), "same", (), ResNetTail(9, 3, 5), 4),
    "resnet_xnor": Architecture(30, (0, 1), "same", (), ResNetTail(33, 2), 4, xnor=True),
    "flat": Architecture(50, (0, 1), "same", conv((6, 4, 4), (6, 2, 6)), FlatTail(), 3, Lego(2, 0.5)),
    "branches_none": GraphArchitecture(16, (0, 1), FeatureGraph(()), DeepConvLstmTail(6), 4),
    "branches_chain": GraphArchitecture(16, (0, 1, 2), DEEP_CONV_LSTM, DeepConvLstmTail(6), 4),
    **{f"branches_random{seed}": random_branches(seed) for seed in range(10)},
}


@pytest.fixture(params=ARCHITECTURES.values(), ids=ARCHITECTURES)
def lowered(request):
    arch = request.param
    torch.manual_seed(0)
    net = quantise(build_model(arch).eval())
    calibrate(net, torch.randn(16, 1, len(arch.channels), arch.window))
    raw = max(arch.channels) + 1
    return arch, lower(net, arch, np.zeros(raw), np.ones(raw), tuple("abcdefg")[: arch.classes], "net")


def test_live_sets_equal_those_of_the_graph(lowered):
    arch, graph = lowered
    assert live_sets(dims_of(arch)) == graph_live_sets(graph)
    assert peak_bytes(dims_of(arch)) == plan_memory(graph).lower_bound_bytes


def test_macs_and_parameters_equal_those_of_the_graph(lowered):
    arch, graph = lowered
    assert total_macs(dims_of(arch)) == sum(OPS[n.op].macs(graph, n) for n in graph.nodes)
    assert parameters(dims_of(arch)) == graph.parameters


ATTEND, DCL = AttendTail(128), DeepConvLstmTail(128, 1)
# Parameters in Zhou et al., tables I to III, and half of the last digit: tail, sensors, classes.
PUBLISHED = {
    "motion sense, DCL": (DCL, 12, 6, 522_570, 5), "motion sense, Attend": (ATTEND, 12, 6, 519_110, 5),
    "uci-har, DCL": (DCL, 9, 6, 424_260, 5), "uci-har, Attend": (ATTEND, 9, 6, 445_380, 5),
    "skoda, DCL": (DCL, 30, 10, 1_110_000, 5000), "skoda, Attend": (ATTEND, 30, 10, 962_000, 50),
}


@pytest.mark.parametrize("tail, sensors, classes, published, half", PUBLISHED.values(), ids=PUBLISHED)
def test_tails_are_of_the_published_size(tail, sensors, classes, published, half):
    """Behind four layers of 64 filters of 5 samples. PyTorch's LSTM counts two biases where TFLite has one; the bias
    of Attend's scores over time does nothing and is not here."""
    arch = Architecture(128, tuple(range(sensors)), "valid", conv(*[(5, 1, 64)] * 4), tail, classes)
    absent = 4 * 128 if tail is DCL else 1
    assert abs(parameters(dims_of(arch)) + absent - published) <= half
