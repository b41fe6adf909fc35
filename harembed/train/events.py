"""How good predictions are as events: what frame by frame scores do not tell of continuous recordings.

An event is a maximal run of frames of one class. The categories are those of Ward, Lukowicz, Gellersen,
"Performance metrics for activity recognition", ACM TIST 2(1), 2011, for one class against all others:

    true event      deleted      no frame of it is returned
                    fragmented   two or more returned events lie in it
                    merged       a returned event in it covers another true event too
    returned event  inserted     no frame of it is true
                    fragmenting, merging: the returned side of the same
    frames          deletion, fragmenting, underfill (a true event's start or end is missing) of the positives;
                    insertion, merge, overfill (a returned event begins too early or ends too late) of the negatives

An event may be both fragmented and merged; it is correct if it is nothing of these.
"""

from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields

import numpy as np


@dataclass(frozen=True)
class EventCounts:
    """Of one class; counts of events and of frames, summed over recordings."""

    true_events: int = 0
    correct: int = 0  # true events, neither deleted nor fragmented nor merged
    deleted: int = 0
    fragmented: int = 0
    merged: int = 0
    returned_events: int = 0
    inserted: int = 0
    fragmenting: int = 0
    merging: int = 0
    positive_frames: int = 0
    true_positive_frames: int = 0
    deletion_frames: int = 0
    fragmenting_frames: int = 0
    underfill_frames: int = 0
    negative_frames: int = 0
    insertion_frames: int = 0
    merge_frames: int = 0
    overfill_frames: int = 0

    def __add__(self, other: "EventCounts") -> "EventCounts":
        return EventCounts(*(a + b for a, b in zip(astuple(self), astuple(other), strict=True)))

    def to_dict(self) -> dict[str, int]:
        return {f.name: getattr(self, f.name) for f in fields(self)}


def event_counts(predicted: np.ndarray, truth: np.ndarray, recording: np.ndarray, classes: int) -> list[EventCounts]:
    """Categories of each class, summed over recordings.

    Parameters
    ----------
    predicted, truth : [T] int    classes of frames (or of windows that follow one another), in order of time
    recording : [T] str           no event reaches from one recording into the next

    Returns
    -------
    list of EventCounts, one per class
    """
    totals = [EventCounts()] * classes
    for part in _recordings(recording):
        totals = [total + count_class(predicted[part] == c, truth[part] == c) for c, total in enumerate(totals)]
    return totals


def count_class(returned: np.ndarray, truth: np.ndarray) -> EventCounts:
    """Categories of one class in one recording.

    Parameters
    ----------
    returned, truth : [T] bool
    """
    true_events, returned_events = runs(truth), runs(returned)
    returned_in = [_overlapping(e, returned_events) for e in true_events]
    true_in = [_overlapping(e, true_events) for e in returned_events]
    fragmented = [len(r) > 1 for r in returned_in]
    merging = [len(t) > 1 for t in true_in]
    merged = [any(merging[i] for i in r) for r in returned_in]
    fragmenting = [any(fragmented[i] for i in t) for t in true_in]
    misses = [_gaps(e, returned) for e in true_events]
    surplus = [_gaps(e, truth) for e in returned_events]
    return EventCounts(
        true_events=len(true_events),
        correct=sum(bool(r) and not f and not m for r, f, m in zip(returned_in, fragmented, merged, strict=True)),
        deleted=sum(not r for r in returned_in), fragmented=sum(fragmented), merged=sum(merged),
        returned_events=len(returned_events), inserted=sum(not t for t in true_in), fragmenting=sum(fragmenting),
        merging=sum(merging), positive_frames=int(truth.sum()), true_positive_frames=int((truth & returned).sum()),
        deletion_frames=sum(g.all for g in misses), fragmenting_frames=sum(g.inside for g in misses),
        underfill_frames=sum(g.edges for g in misses), negative_frames=int((~truth).sum()),
        insertion_frames=sum(g.all for g in surplus), merge_frames=sum(g.inside for g in surplus),
        overfill_frames=sum(g.edges for g in surplus))


def segment_f1(predicted: np.ndarray, truth: np.ndarray, recording: np.ndarray, classes: Sequence[int],
               overlap: float = 0.5) -> float:
    """Segmental F1 at an overlap: Lea et al., "Temporal convolutional networks for action segmentation and
    detection", CVPR 2017, sec. 4.

    A returned event is a true positive if its intersection with a true event of its class, over their union, is
    at least `overlap`, and no other returned event has taken that one; all else is a false positive, and true
    events that nothing took are false negatives. Each returned event tries the true event it overlaps most.

    Parameters
    ----------
    classes : of which events are counted: leave the null class out

    Returns
    -------
    float    in 0..1; 1 if there is no event at all
    """
    hits, returned_total, true_total = 0, 0, 0
    for part in _recordings(recording):
        for c in classes:
            true_events, returned_events = runs(truth[part] == c), runs(predicted[part] == c)
            true_total, returned_total = true_total + len(true_events), returned_total + len(returned_events)
            taken: set[int] = set()
            for event in returned_events:
                ratios = [_intersection_over_union(event, t) for t in true_events]
                best = int(np.argmax(ratios)) if ratios else -1
                if best >= 0 and ratios[best] >= overlap and best not in taken:
                    taken.add(best)
            hits += len(taken)
    return 2 * hits / (returned_total + true_total) if returned_total + true_total else 1.0


def runs(mask: np.ndarray) -> list[tuple[int, int]]:
    """(start, end) of the maximal runs of True in [T] bool; end is one past the last."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], mask.astype(np.int8), [0]])))
    return [(int(s), int(e)) for s, e in edges.reshape(-1, 2)]


@dataclass(frozen=True)
class _Gaps:
    """Frames of an event that the other side lacks."""

    all: int  # nothing of the event is on the other side: all its frames
    inside: int  # between two frames that are on both sides
    edges: int  # before the first or after the last of them


def _gaps(event: tuple[int, int], other: np.ndarray) -> _Gaps:
    start, end = event
    common = np.flatnonzero(other[start:end])
    if not common.size:
        return _Gaps(end - start, 0, 0)
    first, last = int(common[0]), int(common[-1])
    return _Gaps(0, last - first + 1 - int(common.size), end - start - (last - first + 1))


def _overlapping(event: tuple[int, int], others: Sequence[tuple[int, int]]) -> list[int]:
    return [i for i, (start, end) in enumerate(others) if start < event[1] and event[0] < end]


def _intersection_over_union(a: tuple[int, int], b: tuple[int, int]) -> float:
    common = min(a[1], b[1]) - max(a[0], b[0])
    return max(common, 0) / (max(a[1], b[1]) - min(a[0], b[0]))


def _recordings(recording: np.ndarray) -> list[np.ndarray]:
    """Frames [T'] of each recording, in order of time."""
    return [np.flatnonzero(recording == name) for name in dict.fromkeys(recording.tolist())]
