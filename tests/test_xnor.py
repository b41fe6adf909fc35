"""Convolutions of signs by signs: what is learned, what becomes a threshold, and which layers have them."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from test_models import ARCHITECTURES, waves

from harembed.errors import RunError, SearchError
from harembed.feature_graph import FeatureGraph
from harembed.ir.ops.xnor import pack, unpack
from harembed.models import build_model
from harembed.nn.quant import Mode, Quantizer, Signal, set_mode
from harembed.nn.quant_xnor import QuantXnor
from harembed.nn.temporal import ConvNorm
from harembed.nn.xnor import XnorConvNorm, sign
from harembed.settings import load_settings
from harembed.space import (
    Architecture,
    AttendTail,
    ConvTail,
    GraphArchitecture,
    ResNetTail,
    TemporalConv,
    network_from_dict,
    with_xnor,
)
from harembed.train.local_loss import LocalLosses
from harembed.train.loop import predict, train
from harembed.train.qat import calibrate, quantise
from harembed.train.recipe import Recipe

ARCH = ARCHITECTURES["xnor"]


def test_the_first_channel_is_the_lowest_bit() -> None:
    signs = np.array([1, -1, -1, 1] + [-1] * 29 + [1], np.int8)
    assert [hex(w) for w in pack(signs)] == ["0x9", "0x2"]
    assert np.array_equal(unpack(pack(signs), len(signs)), signs)


def test_gradients_pass_a_sign_where_it_can_turn() -> None:
    x = torch.tensor([-1.5, -1.0, -0.2, 0.0, 0.7, 1.2], requires_grad=True)
    y = sign(x)
    assert y.tolist() == [-1, -1, -1, 1, 1, 1]
    (y * torch.arange(1.0, 7.0)).sum().backward()
    assert x.grad.tolist() == [0, 2, 3, 4, 5, 0]


def layer(inputs: int = 5, filters: int = 7, relu: bool = True) -> XnorConvNorm:
    """With norms whose gains have both signs, and one that vanishes."""
    torch.manual_seed(1)
    made = XnorConvNorm(inputs, filters, (1, 3), padding="same", relu=relu)
    for norm in (made.before, made.norm):
        norm.weight.data.uniform_(-1.5, 1.5)
        norm.bias.data.uniform_(-1, 1)
        norm.running_mean.uniform_(-1, 1)
        norm.running_var.uniform_(0.5, 2)
    made.before.weight.data[2] = 0.0
    return made.eval()


@pytest.mark.parametrize("zero_point", [-128, 3, 127])
def test_thresholds_are_what_batch_norm_and_sign_say_of_every_int8(zero_point: int) -> None:
    float_layer = layer()
    twin, scale = QuantXnor(float_layer, "x"), torch.tensor(0.031)
    values = (torch.arange(-128, 128) - zero_point) * scale
    expected = sign(values[None] * twin.slope[:, None] + twin.shift[:, None])
    above = torch.where(torch.arange(-128, 128)[None] >= twin.thresholds(scale, zero_point)[:, None], 1.0, -1.0)
    turned = torch.where(twin.slope < 0, -1.0, 1.0)[:, None]
    assert torch.equal(above * turned, expected)


@pytest.mark.parametrize("relu", [True, False])
def test_the_twin_computes_what_was_trained(relu: bool) -> None:
    model = torch.nn.Sequential(layer(relu=relu))
    x = torch.randn(64, 5, 2, 12)
    net = quantise(model)
    torch.testing.assert_close(net(x), model(x), atol=1e-4, rtol=1e-4)
    assert bool((net(x) < 0).any()) != relu


def test_a_filter_whose_gain_vanishes_has_a_scale() -> None:
    float_layer = layer()
    float_layer.norm.weight.data[:2] = torch.tensor([0.0, 1e-12])
    twin = QuantXnor(float_layer, "x")
    assert bool((twin.scales() > 0).all())
    assert float((twin.bias.detach() / twin.scales()).abs().max()) < 2**31


def test_scales_are_those_of_the_integers_in_every_mode() -> None:
    """Fake quantisation of one layer, against its integers by hand."""
    twin, source = QuantXnor(layer(), "x"), Quantizer("in", fixed=(0.03, -7))
    x = torch.randint(-128, 128, (8, 5, 1, 11))
    signal = Signal((x + 7) * 0.03, source)
    set_mode(twin, Mode.CALIBRATE)
    twin(signal)
    twin.out.choose_range()
    set_mode(twin, Mode.INT8)
    seen = torch.where(x >= twin.thresholds(source.scale, -7).view(-1, 1, 1), 1.0, -1.0)
    sums = torch.nn.functional.conv2d(seen, twin.signs().float(), padding=(0, 1))
    bias = (twin.bias / twin.scales()).round().view(-1, 1, 1)
    real = torch.relu((sums + bias) * twin.scales().view(-1, 1, 1))
    assert float((twin.eval()(signal).value - real).detach().abs().max()) <= 0.51 * float(twin.out.scale)


def test_signs_are_learned() -> None:
    x, y = waves(192, ARCH)
    torch.manual_seed(2)
    model = build_model(ARCH)
    before = [sign(m.conv.weight.detach()) for m in model.modules() if isinstance(m, XnorConvNorm)]
    train(model, x, y, Recipe(epochs=40, batch=32, dropout=0.0), 0)
    after = [sign(m.conv.weight.detach()) for m in model.modules() if isinstance(m, XnorConvNorm)]
    assert all(not torch.equal(a, b) for a, b in zip(before, after, strict=True))
    net = quantise(model)
    calibrate(net, x)
    assert (predict(net, x).argmax(1) == y.numpy()).mean() > 0.9


def test_few_channels_the_first_convolution_and_the_classifier_stay_int8() -> None:
    narrow = build_model(replace(ARCH, convs=(TemporalConv(5, 2, 15), TemporalConv(3, 2, 17))))
    assert (type(narrow.conv1), type(narrow.fusion)) == (ConvNorm, XnorConvNorm)
    kinds = {name: type(m) for name, m in build_model(ARCH).named_children() if hasattr(m, "conv")}
    assert kinds == {"conv0": ConvNorm, "conv1": XnorConvNorm, "fusion": XnorConvNorm, "tail0": XnorConvNorm}
    residual = build_model(ARCHITECTURES["resnet_xnor"])
    assert type(residual.first) is ConvNorm
    assert type(residual.block1.second) is XnorConvNorm


def test_every_layer_has_a_local_loss() -> None:
    x, _ = waves(4, ARCH)
    assert list(LocalLosses(build_model(ARCH), x, ARCH.classes).heads) == ["conv0", "conv1", "fusion", "tail0"]


def test_a_file_without_signs_is_as_it_was() -> None:
    dense = replace(ARCH, xnor=False)
    assert "xnor" not in dense.to_dict()
    assert network_from_dict(with_xnor(dense).to_dict()) == with_xnor(dense)
    assert with_xnor(dense).describe().endswith("· XNOR")
    resnet = Architecture(16, (0,), "same", (), ResNetTail(4, 2), 3)
    assert network_from_dict(resnet.to_dict()) == resnet


def test_a_network_that_cannot_have_them_is_refused() -> None:
    with pytest.raises(SearchError, match="of 16 input channels or more"):
        with_xnor(Architecture(20, (1,), "same", (TemporalConv(5, 1, 3),), AttendTail(4), 2))
    with pytest.raises(SearchError, match="branches"):
        with_xnor(GraphArchitecture(16, (0,), FeatureGraph(()), ConvTail(4), 2))
    with pytest.raises(RunError, match="take one of them"):
        load_settings(None, {"lego": "o=4,m=0.25", "xnor": True})
    with pytest.raises(RunError, match="blocks"):
        load_settings(None, {"blocks": 4})
