"""The super-net: a derived network computes what it computed, and costs what it said."""

import copy

import pytest
import torch
from torch import nn

from harembed.cost.dims import dims_of
from harembed.cost.live_sets import live_sets, peak_bytes
from harembed.cost.macs import layer_macs, total_macs
from harembed.models import build_model
from harembed.models.supernet import SuperNet, SuperSpace
from harembed.nn.gates import ChannelGate
from harembed.search.derive import derive_architecture, derive_weights
from harembed.search.narrow import narrowed
from harembed.space import TAILS


def shaken_net(tail: str, seed: int, window: int = 50) -> SuperNet:
    """A super-net with random weights, statistics, attention gains and half of its gates closed."""
    torch.manual_seed(seed)
    net = SuperNet(SuperSpace(window, 5, 4, filters=(4, 4, 6, 6, 7, 7), tails=(tail,), fusion=9, hidden=8,
                              kernels=(1, 3, 5, 7), lstm_layers=1 + seed % 2))
    with torch.no_grad():
        for gate in net.gates():
            gate.v.copy_(torch.rand_like(gate.v))
        for module in net.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.uniform_(-1, 1)
                module.running_var.uniform_(0.5, 2)
                module.weight.uniform_(0.5, 2)
                module.bias.uniform_(-1, 1)
            if hasattr(module, "gamma"):
                module.gamma.fill_(0.7)
    return net.eval()


CASES = [(tail, seed) for tail in TAILS for seed in range(12)]


@pytest.mark.parametrize("tail, seed", CASES)
def test_derived_network_computes_what_the_supernet_computes(tail, seed):
    net = shaken_net(tail, seed)
    choice = net.draw(1.0, torch.Generator().manual_seed(seed))
    arch = derive_architecture(net, choice)
    model = build_model(arch)
    model.load_state_dict(derive_weights(net, choice))
    x = torch.randn(8, 1, 5, 50)
    with torch.no_grad():
        torch.testing.assert_close(model.eval()(x[:, :, list(arch.channels)]), net(x, choice), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("tail, seed", CASES[::3])
def test_what_is_closed_can_be_cut(tail, seed, training):
    """The same logits, statistics of batch norm and gradients of what is left. While training, batch norm counts the
    zeros of closed sensors until they are cut; so none is closed then."""
    whole = shaken_net(tail, seed).train(training)
    if training:
        whole.input_gate.v.data.fill_(1.0)
    for module in whole.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    cut = copy.deepcopy(whole)
    cut.shrink()
    assert sum(int(gate.left.sum()) for gate in cut.gates()) < sum(len(gate.left) for gate in whole.gates())
    choice = whole.draw(1.0, torch.Generator().manual_seed(seed))
    x = torch.randn(8, 1, 5, 50, generator=torch.Generator().manual_seed(seed))
    logits = []
    for net in (whole, cut):
        logits.append(net(x, choice))
        logits[-1].square().sum().backward(retain_graph=True)  # both have the choice in it
    torch.testing.assert_close(*logits, rtol=1e-4, atol=1e-5)
    for left, right in zip(*(derive_weights(net, choice).values() for net in (whole, cut)), strict=True):
        torch.testing.assert_close(left, right, rtol=1e-4, atol=1e-5)
    gates = {name for name, module in whole.named_modules() if isinstance(module, ChannelGate)}
    right = dict(cut.named_parameters())
    for name, p in whole.named_parameters():
        if name.removesuffix(".v") not in gates and p.grad is not None and right[name].grad is not None:
            torch.testing.assert_close(right[name].grad, p.grad, rtol=1e-3, atol=1e-4)


def test_what_was_cut_stays_closed():
    net = shaken_net("conv", 0)
    net.shrink()
    before = [gate.open() for gate in net.gates()]
    with torch.no_grad():
        for gate in net.gates():
            gate.v.fill_(1.0)
    assert [gate.open() for gate in net.gates()] == before
    restored = shaken_net("conv", 1)
    restored.load_state_dict(net.state_dict())
    assert [gate.open() for gate in restored.gates()] == before


@pytest.mark.parametrize("tail, seed", CASES[::5])
def test_a_narrowed_net_keeps_the_limit_and_takes_the_lowest_gates(tail, seed):
    net = shaken_net(tail, seed)
    choice = net.draw(1.0, torch.Generator().manual_seed(seed))
    whole = derive_architecture(net, choice)
    limit = total_macs(dims_of(whole)) / 2
    found = narrowed(net, choice, lambda arch: total_macs(dims_of(arch)) <= limit)
    arch = derive_architecture(found, choice)
    assert total_macs(dims_of(arch)) <= limit
    build_model(arch).load_state_dict(derive_weights(found, choice))
    v = net.input_gate.v
    closed = set(whole.channels) - set(arch.channels)
    assert all(v[out] <= v[kept] for out in closed for kept in arch.channels)
    assert derive_architecture(net, choice) == whole  # the super-net itself is left as it was
    assert narrowed(net, choice, lambda arch: False) is None


@pytest.mark.parametrize("tail, seed", CASES)
def test_soft_costs_equal_integer_costs(tail, seed):
    net = shaken_net(tail, seed)
    choice = net.draw(1.0, torch.Generator().manual_seed(seed))
    soft, hard = net.dims(choice), dims_of(derive_architecture(net, choice))
    assert [int(m) for m in layer_macs(soft) if m] == layer_macs(hard)
    assert [int(m) for m in live_sets(soft) if m] == live_sets(hard)
    assert int(peak_bytes(soft, torch.maximum)) == peak_bytes(hard)
