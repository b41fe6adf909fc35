"""Event-level measures by cases made by hand; the letters of a case are frames."""

import numpy as np
import pytest

from harembed.train.events import EventCounts, event_counts, segment_f1

FRAMES = ("true_positive", "deletion", "fragmenting", "underfill", "insertion", "merge", "overfill")


def _codes(text: str) -> np.ndarray:
    return np.array([".ab".index(c) for c in text])


def _count(returned: str, truth: str) -> EventCounts:
    return event_counts(_codes(returned), _codes(truth), np.full(len(truth), "r"), 3)[1]


# Each line: truth, returned; true events: all, correct, deleted, fragmented, merged; returned events: all,
# inserted, fragmenting, merging; frames in the order of FRAMES.
@pytest.mark.parametrize("truth, returned, events, frames", [
    ("..aaaa..", "..aaaa..", (1, 1, 0, 0, 0, 1, 0, 0, 0), (4, 0, 0, 0, 0, 0, 0)),
    ("..aaaa..", "........", (1, 0, 1, 0, 0, 0, 0, 0, 0), (0, 4, 0, 0, 0, 0, 0)),
    ("........", "..aaa...", (0, 0, 0, 0, 0, 1, 1, 0, 0), (0, 0, 0, 0, 3, 0, 0)),
    ("..aaaa..", "...aa...", (1, 1, 0, 0, 0, 1, 0, 0, 0), (2, 0, 0, 2, 0, 0, 0)),
    ("..aaaa..", ".aaaaaaa", (1, 1, 0, 0, 0, 1, 0, 0, 0), (4, 0, 0, 0, 0, 0, 3)),
    ("..aaaa..", "..a..a..", (1, 0, 0, 1, 0, 2, 0, 2, 0), (2, 0, 2, 0, 0, 0, 0)),
    (".aa..aa.", ".aaaaaa.", (2, 0, 0, 0, 2, 1, 0, 0, 1), (4, 0, 0, 0, 0, 2, 0)),
    ("aaaa.a..", "a.aaaa..", (2, 0, 0, 1, 2, 2, 0, 2, 1), (4, 0, 1, 0, 0, 1, 0)),  # fragmented and merged
    ("aa..aa..", "...aa..a", (2, 1, 1, 0, 0, 2, 1, 0, 0), (1, 2, 0, 1, 1, 0, 1)),
    ("abab", "bbbb", (2, 0, 2, 0, 0, 0, 0, 0, 0), (0, 2, 0, 0, 0, 0, 0)),
    ("", "", (0,) * 9, (0,) * 7),
])
def test_categories(truth: str, returned: str, events: tuple[int, ...], frames: tuple[int, ...]) -> None:
    e = _count(returned, truth)
    assert (e.true_events, e.correct, e.deleted, e.fragmented, e.merged, e.returned_events, e.inserted,
            e.fragmenting, e.merging) == events
    assert tuple(getattr(e, f"{name}_frames") for name in FRAMES) == frames


@pytest.mark.parametrize("seed", range(5))
def test_every_frame_has_one_category(seed: int) -> None:
    rng = np.random.default_rng(seed)
    truth, returned = np.repeat(rng.integers(0, 3, (2, 60)), 4, axis=1)
    for c, e in enumerate(event_counts(returned, truth, np.repeat(["r", "s"], 120), 3)):
        misses = e.deletion_frames + e.fragmenting_frames + e.underfill_frames
        surplus = e.insertion_frames + e.merge_frames + e.overfill_frames
        assert e.true_positive_frames + misses == e.positive_frames == (truth == c).sum()
        assert e.true_positive_frames + surplus == (returned == c).sum()
        assert e.positive_frames + e.negative_frames == 240


def test_no_event_reaches_into_the_next_recording() -> None:
    recording = np.array(list("rrss"))
    assert event_counts(_codes("aaaa"), _codes("aaaa"), recording, 3)[1].true_events == 2
    interleaved = event_counts(_codes("a.a."), _codes("a.a."), np.array(list("rsrs")), 3)[1]
    assert interleaved.true_events == 1  # frames of a recording need not lie together


@pytest.mark.parametrize("truth, returned, overlap, f1", [
    ("aaaa....", "aaaa....", 0.5, 1.0), ("aaaa....", "..aaaa..", 0.5, 0.0), ("aaaa....", "..aaaa..", 0.3, 1.0),
    ("aaaaaa..", "aaa.aa..", 0.5, 2 / 3), ("aaaa....", "bbbb....", 0.1, 0.0), ("........", "........", 0.5, 1.0),
    ("aa.aa.bb", "aa....bb", 0.5, 0.8),
])
def test_segment_f1(truth: str, returned: str, overlap: float, f1: float) -> None:
    found = segment_f1(_codes(returned), _codes(truth), np.full(len(truth), "r"), (1, 2), overlap)
    assert found == pytest.approx(f1)
