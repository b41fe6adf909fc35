"""Several tasks in one network: GradNorm by its equations, and the table of people."""

from pathlib import Path

import numpy as np
import pytest
import torch

from harembed.compress.attributes import _figures, _guess, _Said
from harembed.data.people import Person, load_people
from harembed.data.recording import Windows
from harembed.errors import DataError
from harembed.train.gradnorm import GradNorm

PEOPLE = {"01": Person(True, 30, 180, 80), "02": Person(False, 20, 165, 60), "03": Person(True, 26, 175, 70)}


def test_the_steeper_of_two_equal_tasks_gets_the_smaller_weight() -> None:
    """Both losses stay at their first value, so both gradients are to become equally steep: 1.6 * 1 = 0.4 * 4."""
    shared, balance = torch.tensor([1.0, 0.0], requires_grad=True), GradNorm(2)
    for _ in range(400):
        balance.update([shared[0] * 1.0, shared[0] * 4.0], shared)
    assert balance.weights.tolist() == pytest.approx([1.6, 0.4], abs=0.05)
    assert float(balance.weights.sum()) == pytest.approx(2.0)


def test_a_task_that_lags_behind_gets_more() -> None:
    """Equally steep, but one loss fell to half: by alpha the other's gradient is to be twice as steep."""
    shared, balance = torch.tensor([1.0], requires_grad=True), GradNorm(2, alpha=1.0)
    balance.update([shared[0] * 1.0, shared[0] * 1.0], shared)
    for _ in range(400):
        balance.update([shared[0] * 1.0 - 0.5, shared[0] * 1.0], shared)
    assert balance.weights.tolist() == pytest.approx([2 / 3, 4 / 3], abs=0.05)


def test_scores_by_window_and_by_person() -> None:
    subject = np.array(["01", "01", "01", "02", "02", "03"])
    windows = Windows(np.zeros((6, 4, 1), np.int16), np.array([0, 1, 1, 2, 3, 0]), subject, subject)
    said = _Said(windows, np.array([0, 1, 1, 2, 3, 1]), np.array([0.9, 0.8, 0.1, 0.6, 0.7, 0.9]),
                 np.array([30.0, 34.0, 40.0, 20.0, 24.0, 25.0]))
    found = _figures([said], PEOPLE)
    assert found["sex_accuracy_windows"] == pytest.approx(3 / 6)
    assert found["sex_accuracy_people"] == pytest.approx(2 / 3)
    assert found["age_error_windows"] == pytest.approx((0 + 4 + 10 + 0 + 4 + 1) / 6)
    assert found["age_error_people"] == pytest.approx((4 + 2 + 1) / 3)  # of the median
    guess = _guess(("01", "02", "03"), PEOPLE)
    assert guess == {"sex_accuracy_people": 0.0, "age_error_people": pytest.approx((7 + 8 + 1) / 3)}


@pytest.mark.parametrize("text, problem", [
    ("code,weight\n", "line 1: expected code,weight,height,age,gender"),
    ("code,weight,height,age,gender\n1,80,180,x,1\n", "line 2: '1,80,180,x,1' is not five whole numbers")])
def test_a_damaged_table_of_people_is_refused(tmp_path: Path, text: str, problem: str) -> None:
    (tmp_path / "data_subjects_info.csv").write_text(text)
    with pytest.raises(DataError, match=problem):
        load_people(tmp_path)


def test_people_have_the_names_that_their_recordings_have(tmp_path: Path) -> None:
    (tmp_path / "data_subjects_info.csv").write_text("\ufeffcode,weight,height,age,gender\n3,48,161,28,0\n")
    assert load_people(tmp_path) == {"03": Person(False, 28, 161, 48)}
