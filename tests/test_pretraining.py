"""Transfer: which channels of other recordings stand for a network's own, and what their weights become."""

from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console
from small_archives import place, unimib_members
from test_models import ARCHITECTURES

from harembed.compress.pretraining import recordings_to_learn, resampled, start_from
from harembed.data import dsads, hapt, motionsense, uci_har
from harembed.data.places import SPOTS, matched
from harembed.data.recording import Channel
from harembed.errors import DataError
from harembed.models import build_model
from harembed.rundir import RunDir
from harembed.search_job import SearchJob
from harembed.settings import load_settings


@pytest.mark.parametrize("wanted, there, names", [
    (uci_har.CHANNELS[3:6], motionsense.CHANNELS, ["rotationRate.x", "rotationRate.y", "rotationRate.z"]),
    (uci_har.CHANNELS[6:7], motionsense.CHANNELS, ["gravity.x"]),  # total acceleration, which is not there
    (motionsense.CHANNELS[5:9], uci_har.CHANNELS, ["body_acc_z", "total_acc_x", "total_acc_y", "total_acc_z"]),
    (motionsense.CHANNELS[:1], dsads.CHANNELS, ["right leg.gyro.x"]),  # the place that is nearest to a pocket
    (hapt.CHANNELS[1:2], dsads.CHANNELS, ["torso.acc.y"]),  # and to a waist
])
def test_channels_match_by_kind_axis_and_place(wanted: tuple[Channel, ...], there: tuple[Channel, ...],
                                               names: list[str]) -> None:
    assert [there[i].name for i in matched(wanted, there)] == names


def test_a_channel_without_counterpart_is_named() -> None:
    light = Channel("light.x", "light", "lx", 1.0)
    with pytest.raises(DataError, match=r"Nothing matches channel light.x \(light\); .* acc, body_acc, gyro"):
        matched([light], uci_har.CHANNELS)


def test_every_place_of_a_dataset_is_known() -> None:
    places = {c.place for part in (dsads, hapt, motionsense, uci_har) for c in part.CHANNELS}
    assert places <= set(SPOTS)


def test_resampled_windows_keep_their_ends_and_lie_on_straight_lines() -> None:
    ramp = np.arange(0, 500, 100, dtype=np.int16).reshape(1, 5, 1)
    assert resampled(ramp, 9)[0, :, 0].tolist() == [0, 50, 100, 150, 200, 250, 300, 350, 400]
    assert resampled(ramp, 5) is ramp
    assert resampled(-ramp, 3)[0, :, 0].tolist() == [0, -200, -400]


def test_classes_keep_their_own_weights() -> None:
    arch = ARCHITECTURES["same"]
    source, model = build_model(arch), build_model(arch)
    before = model.classifier.weight.detach().clone()
    start_from(model, {k: v for k, v in source.state_dict().items() if not k.startswith("classifier.")})
    assert torch.equal(model.conv0.conv.weight, source.conv0.conv.weight)
    assert torch.equal(model.classifier.weight, before)


def asked(folder: Path, data_root: Path | None = None, **values: object) -> SearchJob:
    return SearchJob(load_settings(None, {"dataset": "watch", **values}), RunDir(folder), data_root, None, Console())


def test_windows_are_cut_to_the_duration_of_the_runs_own(tmp_path: Path) -> None:
    there = recordings_to_learn(asked(tmp_path, pretrain="watch", window=96))
    assert there.train.raw.shape[1] == 96


def test_published_windows_of_another_duration_are_refused(tmp_path: Path) -> None:
    place(tmp_path, "UniMiB-SHAR.zip", unimib_members())
    with pytest.raises(DataError, match="windows of 151 samples, a window of 96 cannot be had"):
        recordings_to_learn(asked(tmp_path / "run", tmp_path, pretrain="unimib-shar", window=96))
