"""Lego filters: what is learned (Tang et al., eq. 2 to 6), which layers have them, and how they are asked for."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from test_models import ARCHITECTURES, waves
from torch.nn import functional as F

from harembed.errors import GraphError, RunError, SearchError
from harembed.feature_graph import FeatureGraph
from harembed.ir.graph import check
from harembed.ir.ops.lego import LegoConv, filters_of
from harembed.lego import Lego
from harembed.models import build_model
from harembed.nn.lego import LegoConvNorm, lego_conv, mask
from harembed.nn.quant import Mode, set_mode
from harembed.nn.quant_lego import QuantLego
from harembed.nn.temporal import ConvNorm
from harembed.settings import load_settings
from harembed.space import Architecture, ConvTail, GraphArchitecture, TemporalConv, network_from_dict, with_lego
from harembed.train.local_loss import LocalLosses
from harembed.train.loop import predict, train
from harembed.train.qat import calibrate, quantise
from harembed.train.recipe import Recipe

ARCH = ARCHITECTURES["lego"]


def test_split_transform_merge_is_the_convolution_by_whole_filters() -> None:
    torch.manual_seed(0)
    x, bricks, wanted = torch.randn(3, 12, 2, 15), torch.randn(5, 3, 1, 3), torch.randn(7, 4, 5)
    whole = torch.from_numpy(filters_of(bricks.permute(0, 2, 3, 1).numpy(), wanted.argmax(2).numpy()))
    expected = F.conv2d(F.pad(x, (1, 1)), whole.permute(0, 3, 1, 2), stride=(1, 2))
    torch.testing.assert_close(lego_conv(x, bricks, wanted, 2, "same"), expected, atol=1e-5, rtol=1e-5)


def test_the_gradient_of_the_mask_is_handed_on_as_it_is() -> None:
    """Eq. 4: one brick for each fragment of each filter, and the straight-through estimator."""
    wanted = torch.tensor([[[0.1, 0.9, 0.3], [2.0, 1.0, 1.9]]], requires_grad=True)
    chosen = mask(wanted)
    assert chosen.tolist() == [[[0, 1, 0], [1, 0, 0]]]
    weight = torch.arange(6.0).view(1, 2, 3)
    (chosen * weight).sum().backward()
    assert torch.equal(wanted.grad, weight)


def test_training_changes_bricks_and_which_are_chosen() -> None:
    x, y = waves(192, ARCH)
    torch.manual_seed(2)
    model = build_model(ARCH)
    before = {n: m.wanted.argmax(2) for n, m in model.named_modules() if isinstance(m, LegoConvNorm)}
    train(model, x, y, Recipe(epochs=30, batch=32, dropout=0.0), 0)
    after = {n: m.wanted.argmax(2) for n, m in model.named_modules() if isinstance(m, LegoConvNorm)}
    assert any(not torch.equal(before[n], after[n]) for n in before)
    assert (predict(model, x).argmax(1) == y.numpy()).mean() > 0.9


def test_only_convolutions_with_equal_fragments_behind_the_first_have_them() -> None:
    kinds = {name: type(layer) for name, layer in build_model(ARCH).named_children() if name[-1].isdigit()
             or name == "fusion"}
    assert kinds == {"conv0": ConvNorm, "conv1": LegoConvNorm, "fusion": ConvNorm, "tail0": LegoConvNorm}


@pytest.mark.parametrize("asked, inputs, filters, parts", [
    ((4, 0.25), 64, 64, (4, 16)), ((4, 0.25), 6, 16, (3, 4)), ((4, 0.25), 7, 16, None), ((4, 0.25), 1, 16, None),
    ((2, 0.1), 8, 30, (2, 6)),  # five bricks make 25 filters, thirty are to differ
    ((8, 0.5), 8, 6, (8, 3)), ((2, 0.9), 4, 2, None)])
def test_parts_of_a_layer(asked: tuple[int, float], inputs: int, filters: int,
                          parts: tuple[int, int] | None) -> None:
    assert Lego(*asked).parts(inputs, filters) == parts


def test_the_sign_of_a_gain_stays_out_of_shared_bricks() -> None:
    """Batch norm's gain counts by its magnitude, before folding and behind it; a gain of nothing has a scale, too."""
    torch.manual_seed(0)
    layer = LegoConvNorm(8, 6, (1, 3), 2, 3, padding="same")
    layer.norm.weight.data = torch.tensor([1.0, -0.7, 0.0, 2.0, -1.5, 1e-12])
    layer.norm.bias.data.uniform_(-1, 1)
    x = torch.randn(64, 8, 2, 12)
    layer(x)
    model = torch.nn.Sequential(layer.eval())
    net = quantise(model)
    torch.testing.assert_close(net(x), model(x), atol=1e-5, rtol=1e-5)
    calibrate(net, x)
    (quantised,) = (m for m in net.modules() if isinstance(m, QuantLego))
    scales = quantised.scales(net.input.scale)
    assert bool((scales > 0).all())
    assert float((quantised.bias.detach() / (scales * net.input.scale)).abs().max()) < 2**31
    set_mode(net, Mode.INT8)
    assert float((net(x) - model(x)).detach().abs().max()) < 0.2


def test_every_layer_has_a_local_loss() -> None:
    x, _ = waves(4, ARCH)
    assert list(LocalLosses(build_model(ARCH), x, ARCH.classes).heads) == ["conv0", "conv1", "fusion", "tail0"]


def test_a_file_without_lego_filters_is_as_it_was() -> None:
    dense = ARCHITECTURES["same"]
    assert "lego" not in dense.to_dict()
    lego = with_lego(dense, Lego.parse("o=2, m=.5"))
    assert network_from_dict(lego.to_dict()) == lego
    assert lego.describe().endswith("Lego o=2,m=0.5")


@pytest.mark.parametrize("text", ["o=1,m=0.5", "o=2,m=1", "o=2,m=0", "m=0.5", "o=2", "yes", ""])
def test_what_is_no_lego_is_refused(text: str) -> None:
    with pytest.raises(RunError, match=r"asked for as o=4,m=0\.25"):
        load_settings(None, {"lego": text})


def test_a_network_that_cannot_have_them_is_refused() -> None:
    odd = Architecture(20, (1,), "same", (TemporalConv(5, 1, 3), TemporalConv(3, 1, 5)), ConvTail(7), 2)
    with pytest.raises(SearchError, match="they have 3, 5, 7 filters"):
        with_lego(odd, Lego(2, 0.1))
    branches = GraphArchitecture(16, (0,), FeatureGraph(()), ConvTail(4), 2)
    with pytest.raises(SearchError, match="branches"):
        with_lego(branches, Lego(2, 0.5))


def test_an_index_beyond_the_bricks_is_refused() -> None:
    graph = LegoConv.CASES[0].build(np.random.default_rng(0))
    indices = graph["indices"]
    assert indices.data is not None
    tensors = {**graph.tensors, "indices": replace(indices, data=indices.data + 6)}
    with pytest.raises(GraphError, match="a brick that does not exist; there are 6"):
        check(replace(graph, tensors=tensors))
