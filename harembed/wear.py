"""Test scores beyond the plain ones: with sensors worn otherwise, and as events of continuous recordings."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from harembed.data.dataset import DatasetInfo
from harembed.data.recording import Channel, Windows, vectors
from harembed.data.robustness import can_swap, permute_places, rotate_frames
from harembed.train.events import event_counts, segment_f1
from harembed.train.metrics import scores

TILT_DEG = 30.0  # a device put on carelessly
MOST_WINDOWS = 1000  # of the test set, evenly spaced: every way of wearing costs one more evaluation of them
OVERLAP = 0.5  # of the segmental F1


def worn_otherwise(predict: Callable[[np.ndarray], np.ndarray], test: Windows, channels: Sequence[Channel],
                   classes: int, seed: int) -> list[dict[str, Any]]:
    """Macro F1 on the same test windows as recorded, with turned frames, and with swapped places.

    Parameters
    ----------
    predict : [N, T, C] int16 counts -> [N] class

    Returns
    -------
    list of {"how", "macro_f1", "windows"}; only what the channels allow
    """
    kept = np.unique(np.linspace(0, len(test) - 1, min(MOST_WINDOWS, len(test))).astype(np.int64))
    few = test.select(kept)
    ways = [("as recorded", few)]
    if vectors(channels):
        ways += [(f"every device turned by {TILT_DEG:g} degrees about a random axis",
                  rotate_frames(few, channels, seed, TILT_DEG)),
                 ("every device in any orientation", rotate_frames(few, channels, seed))]
    if can_swap(channels):
        ways.append(("devices of one kind swapped among their places", permute_places(few, channels, seed)))
    return [{"how": how, "macro_f1": scores(predict(w.raw), w.y, classes).macro_f1, "windows": len(w)}
            for how, w in ways]


def as_events(predicted: np.ndarray, test: Windows, info: DatasetInfo) -> dict[str, Any] | None:
    """Event counts by class; None for a dataset whose recordings hold one activity each.

    The frames are windows one hop apart. Windows that the dataset leaves out (mostly unlabelled) are missing,
    so events on both sides of them touch.

    Parameters
    ----------
    predicted : [N] class of each test window
    """
    if not info.continuous:
        return None
    classes = len(info.classes)
    by_class = event_counts(predicted, test.y, test.recording, classes)
    counted = [c for c in range(classes) if c != info.null_class]
    return {"frame": f"windows, {info.protocol.hop / info.rate_hz:g} s apart", "overlap": OVERLAP,
            "segment_f1": segment_f1(predicted, test.y, test.recording, counted, OVERLAP),
            "by_class": [{"name": name, **counts.to_dict()}
                         for name, counts in zip(info.classes, by_class, strict=True)]}
