"""Counts, windows, splits and channel statistics, on small arrays made here."""

import numpy as np
import pytest

from harembed.data.normalise import channel_statistics
from harembed.data.recording import UNLABELLED, Channel, Recording, Windows, to_counts
from harembed.data.split import (
    LEAKING,
    check_disjoint,
    hold_out_recordings,
    hold_out_subjects,
    hold_out_windows,
    subject_folds,
)
from harembed.data.windows import cut, cut_all, fill_up
from harembed.errors import DataError


def _recording(length: int = 20, name: str = "r", subject: str = "p", labels: list[int] | None = None) -> Recording:
    counts = np.arange(2 * length, dtype=np.int16).reshape(length, 2)
    return Recording(name, subject, 50.0, counts, np.array(labels or [0] * length, np.int16))


def _windows(subjects: str, classes: list[int]) -> Windows:
    """One window for each letter of `subjects`; every subject has one recording."""
    names = np.array(list(subjects))
    return Windows(np.arange(len(names) * 6, dtype=np.int16).reshape(-1, 3, 2), np.array(classes, np.int64), names,
                   np.char.add("rec-", names))


@pytest.mark.parametrize("value, count, saturated", [
    (0.5, 0, 0), (1.5, 2, 0), (2.5, 2, 0), (-0.5, 0, 0), (-1.5, -2, 0),  # half to even
    (32767.4, 32767, 0), (32767.6, 32767, 1), (-32768.5, -32768, 0), (-32769.0, -32768, 1), (1e30, 32767, 1),
])
def test_counts_round_half_to_even_and_saturate(value: float, count: int, saturated: int) -> None:
    channels = [Channel("a", "acc", "g", 1 / 4096), Channel("b", "acc", "g", 1.0)]
    counts, beyond = to_counts(np.array([[value / 4096, 7.0]]), channels)
    assert counts.dtype == np.int16
    assert counts.tolist() == [[count, 7]]
    assert beyond.tolist() == [saturated, 0]


@pytest.mark.parametrize("length, window, hop, starts", [
    (20, 8, 4, [0, 4, 8, 12]), (20, 8, 5, [0, 5, 10]), (20, 20, 1, [0]), (20, 3, 9, [0, 9]), (8, 8, 100, [0]),
])
def test_cut_takes_every_whole_window(length: int, window: int, hop: int, starts: list[int]) -> None:
    r = _recording(length)
    w = cut(r, window, hop)
    assert np.array_equal(w.raw, [r.counts[s:s + window] for s in starts])
    assert w.recording.tolist() == ["r"] * len(starts)


@pytest.mark.parametrize("labels, y", [
    ([0, 1, 1, 1], [1]), ([0, 1, 1, 0], [0]), ([2, 2, 1, 1], [1]),  # of equals the smaller index
    ([UNLABELLED] * 3 + [1], []), ([UNLABELLED, 1, 1, 0], [1]),
])
def test_label_of_a_window_is_its_majority(labels: list[int], y: list[int]) -> None:
    assert cut(_recording(4, labels=labels), 4, 4).y.tolist() == y


@pytest.mark.parametrize("window, hop, word", [(21, 5, "Recording r has 20 samples"), (0, 5, "0 samples"),
                                               (5, 0, "hop of 0")])
def test_impossible_windows_are_refused(window: int, hop: int, word: str) -> None:
    with pytest.raises(DataError, match=word):
        cut(_recording(20), window, hop)


def test_extra_windows_are_new_and_as_many_as_needed() -> None:
    recordings = [_recording(50, "a"), _recording(70, "b")]
    regular = {(r, int(w[0, 0])) for r, w in zip(*_of(cut_all(recordings, 16, 8)), strict=True)}
    extra = fill_up(recordings, 16, 8, 25)
    assert extra is not None
    found = {(r, int(w[0, 0])) for r, w in zip(*_of(extra), strict=True)}
    assert len(extra) == len(found) == 25
    assert not found & regular
    everything = fill_up(recordings, 16, 8, 10_000)
    assert everything is not None
    assert len(everything) == (50 - 15) + (70 - 15) - len(regular)  # every start that the grid leaves out, once
    assert fill_up(recordings, 16, 8, 0) is None
    assert fill_up(recordings, 16, 1, 5) is None  # hop 1: the grid holds all


def _of(w: Windows) -> tuple[list[str], np.ndarray]:
    return w.recording.tolist(), w.raw


@pytest.mark.parametrize("seed", range(8))
def test_subjects_stay_whole_and_classes_are_on_both_sides(seed: int) -> None:
    # Class 1 exists with b and e only: one of them must be on each side.
    w = _windows("aabbccddeeff", [0, 0, 0, 1, 0, 0, 0, 0, 0, 1, 0, 0])
    train, held = hold_out_subjects(w, 0.33, seed)
    assert len(held.subjects) == 2
    assert not set(train.subjects) & set(held.subjects)
    assert len(train) + len(held) == len(w)
    assert set(train.y) == set(held.y) == {0, 1}
    again = hold_out_subjects(w, 2, seed)[1]
    assert again.subjects == held.subjects


def test_seeds_give_different_subjects() -> None:
    w = _windows("abcdefgh", [0] * 8)
    assert len({hold_out_subjects(w, 3, seed)[1].subjects for seed in range(20)}) > 5


def test_folds_hold_out_every_subject_once() -> None:
    w = _windows("aabbccddee", [0] * 10)
    folds = subject_folds(w, 3, seed=1)
    assert sorted(s for _, held in folds for s in held.subjects) == list("abcde")
    assert all(not set(t.subjects) & set(h.subjects) for t, h in folds)
    with pytest.raises(DataError, match="6 folds"):
        subject_folds(w, 6, seed=1)


def test_leaking_splits_need_their_name() -> None:
    w = _windows("aaaaaaaaaa", [0, 1] * 5)
    with pytest.raises(DataError, match="train and test"):
        hold_out_windows(w, 0.3, 0, "subjects")
    train, test = hold_out_windows(w, 0.3, 0, LEAKING)
    assert (len(train), len(test)) == (7, 3)
    with pytest.raises(DataError, match="rec-a"):
        check_disjoint(train, test)
    with pytest.raises(DataError, match="only one subject") as e:
        hold_out_subjects(w, 0.3, 0)
    assert LEAKING in e.value.hint
    with pytest.raises(DataError, match="only one recording"):
        hold_out_recordings(w, 0.3, 0)


def test_statistics_are_exact_and_have_a_floor() -> None:
    rng = np.random.default_rng(0)
    raw = rng.integers(-32768, 32768, (50, 40, 3)).astype(np.int16)
    raw[:, :, 1] = -5
    mean, std = channel_statistics(Windows(raw, np.zeros(50, np.int64), np.full(50, "p"), np.full(50, "r")))
    assert np.allclose(mean, raw.reshape(-1, 3).mean(axis=0), rtol=1e-12)
    assert np.allclose(std[[0, 2]], raw.reshape(-1, 3).astype(np.float64).std(axis=0)[[0, 2]], rtol=1e-12)
    assert std[1] == 1.0


def test_windows_of_other_types_are_refused() -> None:
    with pytest.raises(DataError, match="float64"):
        Windows(np.zeros((1, 2, 3)), np.zeros(1, np.int64), np.array(["p"]), np.array(["r"]))
    with pytest.raises(DataError, match="2 subjects"):
        Windows(np.zeros((1, 2, 3), np.int16), np.zeros(1, np.int64), np.array(["p", "q"]), np.array(["r"]))


@pytest.mark.parametrize("most, kept", [
    (12, list(range(12))), (20, list(range(12))),
    (6, [0, 2, 4, 6, 8, 9, 11]),  # half of each group; of the three windows of q's class 1 two stay
    (1, [0, 4, 8, 11]),  # no class of a person vanishes
])
def test_thinning_spreads_over_people_and_classes(most: int, kept: list[int]) -> None:
    windows = _windows("ppppppppqqqq", [0] * 4 + [1] * 4 + [1, 1, 1] + [0])
    assert np.array_equal(windows.thinned(most).raw, windows.raw[kept])
