"""Cut recordings into windows."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from harembed.data.recording import Recording, Windows
from harembed.errors import DataError

MAJORITY = "majority"  # the class of most samples; of equally many, the smaller class index
LAST = "last sample"


def cut(recording: Recording, window: int, hop: int, start: int = 0, label: str = MAJORITY) -> Windows:
    """Cut one recording into windows at start, start + hop, ...; the incomplete tail is dropped.

    A window that `label` finds unlabelled is left out.

    Parameters
    ----------
    window, hop, start : int    samples; hop < window overlaps
    label : str                 one of LABELS: how a window gets its class from its samples

    Returns
    -------
    Windows    raw [N, window, C]; N may be 0 only where start is not 0 or nothing is labelled

    Raises
    ------
    DataError    window or hop is not positive, or the recording is shorter than one window
    """
    if window < 1 or hop < 1 or start < 0:
        raise DataError(f"A window of {window} samples with a hop of {hop} from sample {start} cannot be cut.",
                        "Give --window and --hop as positive numbers of samples.")
    check_window([recording], window)
    starts, y = label_windows(recording.labels, window, hop, start, label)
    return Windows(recording.counts[starts[:, None] + np.arange(window)], y, np.full(len(y), recording.subject),
                   np.full(len(y), recording.name))


def label_windows(labels: np.ndarray, window: int, hop: int, start: int = 0,
                  label: str = MAJORITY) -> tuple[np.ndarray, np.ndarray]:
    """First samples [N] and classes [N] int64 of the windows that `cut` makes of labels [T] int16."""
    starts = np.arange(start, len(labels) - window + 1, hop)
    y = LABELS[label](labels[starts[:, None] + np.arange(window)])
    return starts[y >= 0], y[y >= 0]


def cut_all(recordings: Sequence[Recording], window: int, hop: int, start: int = 0,
            label: str = MAJORITY) -> Windows:
    """Cut several recordings and join the windows in their order."""
    return Windows.concatenate([cut(r, window, hop, start, label) for r in recordings])


@dataclass(frozen=True)
class Kept:
    recordings: list[Recording]
    note: str  # what was left out, in words


def leave_out_short(recordings: Sequence[Recording], window: int) -> Kept:
    """Drop the recordings that are shorter than a window, and say how many.

    For datasets whose recordings are cut where the source has a gap; where a recording is what somebody
    recorded, check_window refuses it instead.

    Raises
    ------
    DataError    nothing is long enough
    """
    kept = [r for r in recordings if len(r.counts) >= window]
    if not kept:
        check_window(recordings, window)
    lost = sum(len(r.counts) for r in recordings) - sum(len(r.counts) for r in kept)
    return Kept(kept, f"{len(recordings) - len(kept)} of {len(recordings)} uninterrupted pieces are shorter than a "
                      f"window of {window} samples and are left out ({lost:,} samples).")


def check_window(recordings: Sequence[Recording], window: int) -> None:
    """Refuse a window longer than a recording; the shortest one is named.

    Raises
    ------
    DataError    there is no recording, or one is shorter than the window
    """
    if not recordings:
        raise DataError("There is no recording to cut into windows.")
    shortest = min(recordings, key=lambda r: len(r.counts))
    length, rate_hz = len(shortest.counts), shortest.rate_hz
    if window > length:
        raise DataError(f"Recording {shortest.name} has {length} samples ({length / rate_hz:.2f} s), the window "
                        f"needs {window} ({window / rate_hz:.2f} s).",
                        f"Use --window {length} or less, or leave that recording out.")


def fill_up(recordings: Sequence[Recording], window: int, hop: int, needed: int,
            label: str = MAJORITY) -> Windows | None:
    """Cut windows that the regular grid of this hop does not contain, spread evenly over the recordings.

    They serve to compare implementations on more data (parity), never to train or to score: they overlap
    with the regular windows.

    Parameters
    ----------
    needed : int    how many are wanted; fewer come back where the recordings do not hold as many

    Returns
    -------
    Windows of at most `needed`, or None if none are needed or there are none
    """
    if needed <= 0:
        return None
    parts: list[Windows] = []
    for start in _offsets(hop):
        parts.append(cut_all(recordings, window, hop, start, label))
        if sum(map(len, parts)) >= needed:
            break
    if not parts or not sum(map(len, parts)):
        return None
    pool = Windows.concatenate(parts)
    return pool.select(np.unique(np.linspace(0, len(pool) - 1, min(needed, len(pool))).astype(np.int64)))


def _offsets(hop: int) -> list[int]:
    """Starts between two windows: the middle first, then the quarters, and so on."""
    found: list[int] = []
    divisor = 2
    while divisor // 2 < hop:
        for k in range(1, divisor, 2):
            offset = k * hop // divisor
            if offset and offset not in found:
                found.append(offset)
        divisor *= 2
    return found


def _majority(labels: np.ndarray) -> np.ndarray:
    """Most frequent value of each row of [N, T] (>= -1) as int64, the smallest of equals first."""
    values = np.unique(labels)
    counts = np.stack([(labels == v).sum(axis=1) for v in values], axis=1) if values.size else np.empty((0, 1))
    return values[counts.argmax(axis=1)].astype(np.int64) if values.size else np.empty(0, np.int64)


def _last(labels: np.ndarray) -> np.ndarray:
    return labels[:, -1].astype(np.int64)


# [N, T] int16 (>= -1) to [N] int64
LABELS: dict[str, Callable[[np.ndarray], np.ndarray]] = {MAJORITY: _majority, LAST: _last}
