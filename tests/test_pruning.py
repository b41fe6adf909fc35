"""The parts of AutoSlim and Pruning-as-Search: shared weights, gates, the sandwich, greedy slimming, penalties."""

import math
from dataclasses import replace

import pytest
import torch
from test_search import TINY, toy_windows
from torch import nn

from harembed.cost.dims import dims_of
from harembed.cost.live_sets import peak_bytes
from harembed.cost.macs import layer_macs, total_macs
from harembed.errors import SearchError
from harembed.models import build_model
from harembed.models.prunable import PrunableNet
from harembed.models.slimmable import Slimmable, first
from harembed.models.super_recurrent import cut_recurrent, joined
from harembed.models.widths import widths, with_widths
from harembed.published import published
from harembed.search.autoslim import Sandwich
from harembed.search.backbone import backbone
from harembed.search.pas import TARGETS, GateTraining, distance, memory
from harembed.search.sftnas import super_space
from harembed.search.slimming import group_of, slim, validation_loss
from harembed.space import TAILS, Architecture, ConvTail, DeepConvLstmTail, TemporalConv

C = TemporalConv
SENSORS, WINDOW = 3, 32


def network(tail: str) -> Architecture:
    return backbone(tail, WINDOW, SENSORS, 4, 0.1)


@pytest.mark.parametrize("tail", TAILS)
def test_other_widths_and_back(tail: str) -> None:
    arch = network(tail)
    values = tuple(range(1, len(widths(arch)) + 1))
    narrower = with_widths(arch, values)
    assert widths(narrower) == values
    assert with_widths(narrower, widths(arch)) == arch


# -- shared weights ---------------------------------------------------------------------------------------------


def test_first_of_every_block() -> None:
    full = torch.arange(24).reshape(4, 6)  # rows in 2 blocks, columns in 3
    assert first(full, torch.Size((2, 3)), {0: 2, 1: 3}).tolist() == [[0, 2, 4], [12, 14, 16]]
    assert first(full, torch.Size((3, 6)), {}).tolist() == full[:3].tolist()


@pytest.mark.parametrize("tail, layer", [("deepconvlstm", "lstm0.lstm"), ("tinyhar", "lstm.lstm"),
                                         ("attend", "gru0.gru"), ("attend", "gru1.gru")])
def test_a_narrower_recurrent_layer_is_what_gates_would_leave(tail: str, layer: str) -> None:
    """Against the cut that sftnas makes when all gates but the first ones are closed."""
    widest = network(tail)
    narrower = with_widths(widest, [w - 2 for w in widths(widest)])
    net = Slimmable(widest, 0.0)
    recurrent = net.full.get_submodule(layer)
    assert isinstance(recurrent, nn.LSTM | nn.GRU)
    filters, hidden = torch.arange(narrower.convs[-1].filters), torch.arange(widths(narrower)[-1])
    first_layer = layer.endswith(("lstm0.lstm", "gru0.gru"))
    inputs = joined(filters, torch.arange(SENSORS), widest.convs[-1].filters) if first_layer else hidden
    cut = net.cut(narrower).state_dict()
    for name, expected in cut_recurrent(layer, recurrent, inputs, hidden).items():
        assert torch.equal(cut[name], expected), name


@pytest.mark.parametrize("tail", TAILS)
def test_only_the_weights_that_a_network_takes_learn(tail: str) -> None:
    widest = network(tail)
    narrower = with_widths(widest, [w - 1 for w in widths(widest)])
    net = Slimmable(widest, 0.0)
    x = torch.randn(8, 1, SENSORS, WINDOW, generator=torch.Generator().manual_seed(0))
    logits = net(x, narrower)
    torch.testing.assert_close(logits, net.cut(narrower).train()(x))
    logits.square().sum().backward()
    for name, p in net.full.named_parameters():
        if p.grad is not None:  # the centres take part in another loss
            taken = dict(build_model(narrower).named_parameters())[name].numel()
            assert int((p.grad != 0).sum()) <= taken, name
    grad = net.full.get_submodule("conv0").conv.weight.grad
    assert bool((grad[:-1] != 0).any()) and not bool(grad[-1].any())


def test_statistics_are_those_of_the_network_that_is_judged() -> None:
    arch = Architecture(WINDOW, (0, 1, 2), "same", (C(3, 2, 4),), ConvTail(3), 4)
    generator = torch.Generator().manual_seed(1)
    x, y = torch.randn(40, 1, SENSORS, WINDOW, generator=generator), torch.arange(40) % 4
    model = build_model(arch)
    expected = validation_loss(model, x[:30], x, y)
    norm = model.get_submodule("conv0").norm
    seen = model.get_submodule("conv0").conv(torch.nn.functional.pad(x[:30], (0, 1)))[..., ::2]
    torch.testing.assert_close(norm.running_mean, seen.mean((0, 2, 3)), rtol=1e-4, atol=1e-5)
    norm.running_mean.fill_(9.0)
    assert validation_loss(model, x[:30], x, y) == expected


# -- gates ------------------------------------------------------------------------------------------------------


def gated(tail: str, seed: int = 0) -> PrunableNet:
    torch.manual_seed(seed)
    net = PrunableNet(network(tail), 0.0)
    with torch.no_grad():
        for gate in net.gates():
            gate.v.copy_(torch.rand_like(gate.v))
    return net.eval()


@pytest.mark.parametrize("tail", TAILS)
def test_the_price_is_that_of_what_is_left(tail: str) -> None:
    net = gated(tail)
    left = net.derived()
    assert left == with_widths(net.backbone, widths(left)) and widths(left) != widths(net.backbone)
    soft, hard = net.dims(), dims_of(left)
    assert [int(m) for m in layer_macs(soft)] == layer_macs(hard)
    assert int(peak_bytes(soft, torch.maximum)) == peak_bytes(hard)
    torch.as_tensor(total_macs(soft)).backward()
    assert all(bool((gate.v.grad > 0).all()) for gate in net.gates())


@pytest.mark.parametrize("tail", TAILS)
def test_a_closed_filter_leaves_no_trace(tail: str) -> None:
    net, x = gated(tail), torch.randn(4, 1, SENSORS, WINDOW)
    with torch.no_grad():
        before = net(x)
        for conv in net.convs:
            closed = [i for i in range(len(conv.gate.v)) if i not in conv.gate.open()]
            conv.block.conv.weight[closed] = 5.0
            conv.block.norm.bias[closed] = 3.0
        torch.testing.assert_close(net(x), before)


@pytest.mark.parametrize("ratio, expected", [(0.5, 0.25), (1.0, 0.0), (1.5, 0.25), (2.0, 1.0),
                                             (4.0, 1 + 4 * math.log(2))])
def test_distance_from_the_target(ratio: float, expected: float) -> None:
    dims = dims_of(network("conv"))
    assert float(distance(dims, total_macs(dims) / ratio)) == pytest.approx(expected, abs=1e-6)


def test_memory_costs_above_the_limit_alone() -> None:
    net = PrunableNet(network("conv"), 0.0)
    dims, peak = net.dims(), peak_bytes(dims_of(net.backbone))
    assert [float(memory(dims, limit).detach()) for limit in (peak, 2 * peak)] == [0.0, 0.0]
    assert float(memory(dims, peak / 4).detach()) == pytest.approx(math.log(4), rel=1e-5)


def test_targets_go_down_after_the_warm_up() -> None:
    settings = replace(TINY, bilevel=replace(TINY.bilevel, epochs=16, warm_up=0.25))
    training = GateTraining(toy_windows(2, 2), network("conv"), settings, 0)
    targets = [training.target(epoch) for epoch in range(16)]
    assert targets == [None] * 4 + [share * TINY.macs for share in TARGETS for _ in range(3)]


# -- the sandwich and slimming ----------------------------------------------------------------------------------


def test_a_sandwich_is_the_widest_the_narrowest_and_two_between() -> None:
    settings = replace(TINY, groups=4)
    widest = Architecture(WINDOW, (0, 1, 2), "same", (C(3, 2, 8), C(3, 2, 9)), DeepConvLstmTail(2, 1), 3)
    sandwich = Sandwich(toy_windows(2, 2), widest, settings, 0)
    generator = torch.Generator().manual_seed(0)
    made = [sandwich.sandwich(generator) for _ in range(40)]
    assert all([widths(a) for a in four[:2]] == [(8, 9, 2), (2, 3, 1)] for four in made)
    assert all(len(four) == 4 for four in made)
    drawn = [widths(a) for four in made for a in four[2:]]
    # Groups of 2, 3 and 1: every number of them, each layer by itself.
    assert [set(column) for column in zip(*drawn, strict=True)] == [{2, 4, 6, 8}, {3, 6, 9}, {1, 2}]
    assert len(set(drawn)) > 12
    assert all(with_widths(widest, widths(a)) == a for four in made for a in four)


def test_the_widest_learns_from_labels_and_the_others_from_it() -> None:
    recipe = replace(TINY.recipe, dropout=0.0, rotation=0.0, gain=0.0, offset=0.0)
    stepped, by_hand = (Sandwich(toy_windows(2, 4), network("attend"), replace(TINY, groups=2, recipe=recipe), 0)
                        for _ in range(2))
    part = torch.arange(8)
    stepped._step(part, torch.Generator().manual_seed(5))
    x, y = by_hand.fold.x[part], by_hand.fold.y[part]
    widest, *others = by_hand.sandwich(torch.Generator().manual_seed(5))
    logits = by_hand.net(x, widest)
    soft = logits.detach().softmax(1)
    loss = nn.functional.cross_entropy(logits, y, label_smoothing=recipe.label_smoothing)
    for arch in others:
        loss = loss - (soft * by_hand.net(x, arch).log_softmax(1)).sum(1).mean()
    loss.backward()
    for (name, expected), p in zip(by_hand.net.named_parameters(), stepped.net.parameters(), strict=True):
        if expected.grad is not None:
            torch.testing.assert_close(p.grad, expected.grad, rtol=1e-4, atol=1e-6, msg=name)


def test_greedy_slimming_takes_what_costs_least() -> None:
    """Each group of layer i that is missing costs so much; the second of a layer twice that."""
    widest = Architecture(WINDOW, (0, 1, 2), "same", (C(3, 2, 9), C(3, 2, 6)), DeepConvLstmTail(5), 3)
    price = (3.0, 1.0, 2.5)

    def loss(arch: Architecture) -> float:
        missing = [(full - w) / group_of(full, 3) for full, w in zip(widths(widest), widths(arch), strict=True)]
        return sum(p * m * (m + 1) / 2 for p, m in zip(price, missing, strict=True))

    path = [(widths(step.architecture), step.loss) for step in slim(widest, 3, loss, lambda arch: False)]
    # Layer 1 costs 1, then 2; the hidden features (groups of 2: 5, 4, 2) start with half a group.
    assert path == [((9, 6, 4), 2.5 * 0.375), ((9, 4, 4), 2.5 * 0.375 + 1.0), ((9, 2, 4), 2.5 * 0.375 + 3.0),
                    ((6, 2, 4), 2.5 * 0.375 + 6.0), ((6, 2, 2), 2.5 * 1.875 + 6.0), ((3, 2, 2), 2.5 * 1.875 + 12.0)]
    short = [widths(s.architecture) for s in slim(widest, 3, loss, lambda arch: arch.convs[1].filters < 6)]
    assert short == [(9, 6, 4), (9, 4, 4)]


def test_of_equal_losses_the_first_layer_goes() -> None:
    widest = Architecture(WINDOW, (0,), "same", (C(3, 2, 2), C(3, 2, 2)), ConvTail(2), 3)
    steps = [widths(s.architecture) for s in slim(widest, 2, lambda arch: 0.0, lambda arch: False)]
    assert steps == [(1, 2, 2), (1, 1, 2), (1, 1, 1)]


# -- backbones --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tail", ["deepconvlstm", "tinyhar", "attend"])
def test_at_full_size_the_backbone_is_the_published_network(tail: str) -> None:
    assert backbone(tail, 128, 9, 6, 1.0) == published(tail, 128, 9, 6)
    quarter = backbone(tail, 128, 9, 6, 0.25)
    assert widths(quarter) == (16, 16, 16, 16, 32)
    assert with_widths(quarter, widths(published(tail, 128, 9, 6))) == published(tail, 128, 9, 6)


def test_the_cheap_tails_backbone_is_as_wide_as_the_super_net() -> None:
    windows = toy_windows(2, 2)
    space = super_space(windows, replace(TINY, filters=(8, 16)))
    chain = backbone("conv", 32, 3, 3, 0.25)
    assert tuple(c.filters for c in chain.convs) == space.filters
    assert isinstance(chain.tail, ConvTail)
    assert (chain.tail.fusion, *(c.filters for c in chain.tail.convs)) == (space.fusion,) * (1 + space.tail_layers)
    assert {c.kernel for c in (*chain.convs, *chain.tail.convs)} == {5}


@pytest.mark.parametrize("tail, shortest", [("deepconvlstm", 17), ("tinyhar", 25), ("attend", 17)])
def test_windows_that_are_too_short_are_refused(tail: str, shortest: int) -> None:
    assert backbone(tail, shortest, 3, 3, 0.1).window == shortest
    with pytest.raises(SearchError, match=f"{shortest - 1} samples are too short for the published network {tail}"):
        backbone(tail, shortest - 1, 3, 3, 0.1)
