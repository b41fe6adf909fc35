"""Distillation: what a teacher says, how it enters the loss, and students that read other channels than it."""

import numpy as np
import pytest
import torch
from rich.console import Console
from test_models import ARCHITECTURES, waves
from torch import nn
from torch.nn import functional as F

from harembed.compress.teachers import teacher_of
from harembed.errors import RunError, SearchError
from harembed.feature_graph import FeatureGraph
from harembed.models import build_model
from harembed.pipeline import compress_settings
from harembed.rundir import RunDir
from harembed.search_job import SearchJob
from harembed.settings import load_settings
from harembed.space import ConvTail, GraphArchitecture
from harembed.train.augment import Sensors
from harembed.train.loop import train
from harembed.train.recipe import Recipe
from harembed.train.teacher import Opinion, Teacher

ARCH = ARCHITECTURES["same"]  # reads channels 0, 1 and 2
RECIPE = Recipe(epochs=2, batch=16)


class Says(nn.Module):
    """Whatever it sees, these logits."""

    def __init__(self, *logits: float) -> None:
        super().__init__()
        self.logits = torch.tensor(logits)
        self.seen: list[tuple[int, ...]] = []

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.seen.append(tuple(x.shape))
        return self.logits.expand(len(x), -1)


def test_an_ensemble_says_the_mean_of_its_probabilities() -> None:
    first, second = Says(2.0, 0.0, -1.0), Says(-1.0, 4.0, 0.0)
    teacher = Teacher((Opinion(first, (0,)), Opinion(second, (2, 1))), temperature=2.0)
    found = teacher.soft_labels(torch.zeros(5, 1, 3, 8))
    expected = (F.softmax(first.logits / 2, 0) + F.softmax(second.logits / 2, 0)) / 2
    assert torch.allclose(found, expected.expand(5, 3))
    assert (first.seen, second.seen) == ([(5, 1, 1, 8)], [(5, 1, 2, 8)])


def test_the_loss_is_smallest_where_the_student_agrees() -> None:
    """At full weight the gradient at the logits is T times the difference of the softened probabilities."""
    says = Says(2.0, 0.0, -1.0)
    teacher = Teacher((Opinion(says, (0,)),), temperature=4.0, weight=1.0)
    x, hard = torch.zeros(2, 1, 3, 8), torch.tensor(7.0)
    logits = torch.tensor([[2.0, 0.0, -1.0], [0.5, 0.5, 3.0]], requires_grad=True)
    loss = teacher.loss(hard, logits, x)
    loss.backward()
    difference = F.softmax(logits / 4, 1) - F.softmax(says.logits / 4, 0)
    assert torch.allclose(logits.grad, 4 * difference / 2, atol=1e-6)
    both = Teacher(teacher.opinions, 4.0, 0.25).loss(hard, logits, x)
    assert both.item() == pytest.approx(0.75 * 7 + 0.25 * loss.item())


def trained(teacher: Teacher | None, sensors: Sensors) -> dict[str, torch.Tensor]:
    x, y = waves(64, ARCH)
    torch.manual_seed(1)
    model = build_model(ARCH)
    train(model, x, y, RECIPE, 5, sensors=sensors, teacher=teacher)
    return model.state_dict()


def test_a_teacher_without_weight_changes_nothing_and_one_with_weight_does() -> None:
    sensors = Sensors(*torch.tensor([[0.0] * 3, [1.0] * 3]).numpy(), used=ARCH.channels)
    alone = trained(None, sensors)
    opinion = Opinion(Says(3.0, 0.0, 0.0), (1,))
    ignored, heard = (trained(Teacher((opinion,), weight=w), sensors) for w in (0.0, 0.7))
    assert all(torch.equal(alone[k], ignored[k]) for k in alone)
    assert not all(torch.equal(alone[k], heard[k]) for k in alone)


def test_teacher_and_student_may_read_other_channels() -> None:
    """Both see the same window; four channels were recorded, the student reads three of them."""
    x, y = waves(64, ARCH)
    x = torch.cat([x, torch.full_like(x[:, :, :1], 9.0)], dim=2)
    says = Says(1.0, 0.0, 0.0)
    recipe = Recipe(epochs=1, batch=16, gain=0.0, offset=0.0)
    sensors = Sensors(*torch.tensor([[0.0] * 4, [1.0] * 4]).numpy(), used=ARCH.channels)
    train(build_model(ARCH), x, y, recipe, 5, sensors=sensors, teacher=Teacher((Opinion(says, (3, 0)),)))
    assert set(says.seen) == {(16, 1, 2, 32)}


def test_a_compressed_run_can_be_compressed_again_without_its_teachers(tmp_path) -> None:
    """Nor is its network made as much wider once more."""
    settings = load_settings(None, {"macs": 5000, "teachers": 2, "teacher": ("0123abcd",), "soft_weight": 0.5,
                                    "width": 2})
    (tmp_path / "run.toml").write_text(settings.to_toml())
    (tmp_path / "search.json").write_text('{"chosen": "a network"}')
    again = compress_settings(tmp_path, {"seed": 3})
    assert again == load_settings(None, {"macs": 5000, "seed": 3, "network": "a network"})
    assert compress_settings(tmp_path, {"teachers": 4}).teachers == 4


@pytest.mark.parametrize("values", [{"teacher_width": 4}, {"born_again": True}])
def test_what_is_said_of_teachers_needs_some(values) -> None:
    with pytest.raises(RunError, match="of --teachers"):
        load_settings(None, values)


def test_wider_teachers_of_a_network_with_branches_are_refused(tmp_path) -> None:
    settings = load_settings(None, {"teachers": 1, "teacher_width": 2})
    job = SearchJob(settings, RunDir(tmp_path), None, None, Console())
    branches, sensors = GraphArchitecture(16, (0,), FeatureGraph(()), ConvTail(4), 2), Sensors(*np.zeros((2, 3)))
    with pytest.raises(SearchError, match="has branches"):
        teacher_of(job, branches, *waves(64, ARCH), sensors, lambda *_: None)
