"""Trainings on another device than the CPU: everything is where it has to be, and the numbers are near the CPU's."""

import sys
from dataclasses import replace

import pytest
import torch
from other_device import OTHER, OtherDevice
from test_search import TINY, toy_windows

from harembed.errors import RunError
from harembed.models import build_model
from harembed.nn.quant import Mode
from harembed.rundir import RunDir
from harembed.search import pas, score
from harembed.search.autoslim import Sandwich
from harembed.search.backbone import backbone
from harembed.search.pas import GateTraining
from harembed.search.predictors.training import divide, train_with_curve
from harembed.search.sftnas import train_supernet
from harembed.space import TAILS, Architecture, AttendTail, ConvTail, DeepConvLstmTail, TemporalConv, TinyHarTail
from harembed.train import qat
from harembed.train.device import device_of
from harembed.train.loop import predict, train
from harembed.train.recipe import Recipe

# Wide steps of the gates, so that something is cut while the super-net is trained.
SMALL = replace(TINY, tails=tuple(TAILS), backbone=0.06, groups=2, bilevel=replace(TINY.bilevel, gates_lr=5e-2))
pytestmark = pytest.mark.filterwarnings("ignore:.*copying from a non-meta parameter")  # here they do compute
NETWORKS = [ConvTail(5, (TemporalConv(3, 1, 4),)), TinyHarTail(4), DeepConvLstmTail(4), AttendTail(4)]
WINDOWS = toy_windows()


@pytest.fixture
def other(monkeypatch):
    for module in (score, pas):
        monkeypatch.setattr(module, "device_of", lambda name: OTHER if name == "other" else torch.device("cpu"))
    # It does not know "meta".
    monkeypatch.setattr(sys.modules["torch.optim.adam"], "_device_dtype_check_for_fused", lambda *_: None)
    return OtherDevice()


def of_supernet(settings, path):
    bilevel = train_supernet(WINDOWS, settings, RunDir(path), lambda *_: None)
    train_supernet(WINDOWS, settings, RunDir(path), lambda *_: None)  # from its checkpoint
    assert all(w.device.type == "cpu" for p in bilevel.proposals for w in p.weights.values())
    return [(e["train_loss"], e["alpha_loss"], e["macs"]) for e in bilevel.history]


def of_autoslim(settings, path):
    training = Sandwich(WINDOWS, backbone("tinyhar", *WINDOWS.shape, settings.backbone), settings, 0)
    losses = [tuple(training.run_epoch().values()) for _ in range(2)]
    found = [found for _, found in zip(range(3), training.networks(lambda figures: None), strict=False)]
    return [*losses, [origin["validation_loss"] for _, origin in found[1:]]]


def of_pas(settings, path):
    training = GateTraining(WINDOWS, backbone("attend", *WINDOWS.shape, settings.backbone), settings, 0)
    return [tuple(training.run_epoch().values()) for _ in range(3)]


def of_curve(settings, path):
    division = divide(WINDOWS, 0, (), settings.device)
    arch = Architecture(32, (0, 2), "valid", (TemporalConv(3, 2, 4),), DeepConvLstmTail(4), 3)
    trained = train_with_curve(division.fold, arch, settings.recipe, 0, 2, (division.x_target, division.y_target))
    return list(trained.curve.train_loss)


@pytest.mark.parametrize("training", [of_supernet, of_autoslim, of_pas, of_curve])
def test_a_search_trains_on_another_device(training, other, tmp_path):
    expected = training(SMALL, tmp_path / "cpu")
    with other:
        found = training(replace(SMALL, device="other"), tmp_path / "other")
    for left, right in zip(found, expected, strict=True):
        assert left == pytest.approx(right, rel=1e-3)


@pytest.mark.parametrize("tail", NETWORKS, ids=lambda tail: tail.kind)
def test_a_network_is_trained_and_fine_tuned_on_another_device(tail, other):
    arch = Architecture(32, (0, 2), "same", (TemporalConv(3, 2, 4),), tail, 3)
    fold = score.make_folds(WINDOWS, 2, 0, ((0, 1, 2),))[0]
    sensors = fold.sensors.using(arch.channels)

    def trained(device: torch.device) -> list[float]:
        x, y = fold.x.to(device), fold.y.to(device)
        torch.manual_seed(0)
        model = build_model(arch)
        history = train(model, x, y, Recipe(epochs=1, batch=16), 0, sensors=sensors).epochs
        score_ = float(abs(predict(model, sensors.select(x))).mean())
        net = qat.quantise(model.cpu(), sensors.std[list(arch.channels)])
        history += qat.fine_tune(net, Mode.INT8, x, y, Recipe(epochs=1, batch=16), 0, sensors=sensors).epochs
        net.cpu()(fold.x[:, :, list(arch.channels)])
        return [score_, *(entry["loss"] for entry in history)]

    expected = trained(torch.device("cpu"))
    with other:
        found = trained(OTHER)
    assert found == pytest.approx(expected, rel=1e-2)


def test_a_tensor_that_stayed_behind_is_noticed():
    with OtherDevice():
        x = torch.ones(3, 2).to(OTHER)
        assert float((x + x.sum()).sum()) == 42.0
        with pytest.raises(RuntimeError, match="two devices"):
            x + torch.ones(2)


def test_a_gpu_that_is_not_there_is_told():
    assert device_of("cpu") == torch.device("cpu")
    if torch.cuda.is_available():
        assert device_of("auto") == device_of("cuda") == torch.device("cuda")
        return
    assert device_of("auto") == torch.device("cpu")
    with pytest.raises(RunError, match="--device cuda needs a GPU") as missing:
        device_of("cuda")
    assert "pytorch.org" in missing.value.hint
