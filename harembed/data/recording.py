"""Recordings and windows: what every dataset becomes, as the int16 counts that a sensor would deliver.

Parity between host and device starts at these counts. Sources in physical units are converted once, here,
with the lsb stated by each channel; nothing later sees a float of the source.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from harembed.errors import DataError

UNLABELLED = -1  # in Recording.labels: a sample that belongs to no class


@dataclass(frozen=True)
class Channel:
    name: str  # as the source calls it
    kind: str  # "acc", "body_acc", "gyro", "gravity", "attitude", ...
    unit: str  # "g", "rad/s", ...
    lsb: float  # unit per int16 count
    on_device: bool = True  # False: needs a filter over the whole recording, or a fusion that the firmware lacks
    place: str = ""  # where on the body; the channels of one place are one rigid device; "": there is one place

    @property
    def full_scale(self) -> float:
        """Largest magnitude in `unit` that a count can hold."""
        return 32768 * self.lsb


def vectors(channels: Sequence[Channel]) -> tuple[tuple[int, int, int], ...]:
    """Which channels are the x, y and z of one vector: three in a row, of one kind, unit and lsb, whose names end so.

    Returns
    -------
    tuple of (x, y, z)    indices into channels
    """
    found = []
    for i in range(len(channels) - 2):
        three = channels[i : i + 3]
        alike = {(c.kind, c.unit, c.lsb, c.name[:-1]) for c in three}
        if len(alike) == 1 and "".join(c.name[-1] for c in three).lower() == "xyz":
            found.append((i, i + 1, i + 2))
    return tuple(found)


@dataclass(frozen=True, eq=False)
class Recording:
    """One uninterrupted recording of one person."""

    name: str  # unique within the dataset
    subject: str
    rate_hz: float
    counts: np.ndarray  # [T, C] int16
    labels: np.ndarray  # [T] int16 class index, or UNLABELLED

    def __post_init__(self) -> None:
        if self.counts.dtype != np.int16 or self.counts.ndim != 2:
            raise DataError(f"Recording {self.name}: counts must be int16 [T, C], "
                            f"got {self.counts.dtype} {self.counts.shape}.")
        if self.labels.dtype != np.int16 or self.labels.shape != self.counts.shape[:1]:
            raise DataError(f"Recording {self.name}: labels must be int16 [{len(self.counts)}], "
                            f"got {self.labels.dtype} {self.labels.shape}.")


@dataclass(frozen=True, eq=False)
class Windows:
    """N windows of equal length, with the origin of each."""

    raw: np.ndarray  # [N, T, C] int16 counts
    y: np.ndarray  # [N] int64 class index
    subject: np.ndarray  # [N] str
    recording: np.ndarray  # [N] str

    def __post_init__(self) -> None:
        if self.raw.dtype != np.int16 or self.raw.ndim != 3 or self.y.dtype != np.int64:
            raise DataError(f"Windows must be int16 [N, T, C] with int64 labels, got {self.raw.dtype} "
                            f"{self.raw.shape} and {self.y.dtype}.")
        if not len(self.raw) == len(self.y) == len(self.subject) == len(self.recording):
            raise DataError(f"{len(self.raw)} windows come with {len(self.y)} labels, {len(self.subject)} subjects "
                            f"and {len(self.recording)} recordings.")

    def __len__(self) -> int:
        return len(self.y)

    @property
    def subjects(self) -> tuple[str, ...]:
        """The people in these windows, sorted."""
        return tuple(str(s) for s in np.unique(self.subject))

    @property
    def shape(self) -> tuple[int, int, int]:
        """What a network for them must fit: (samples of a window, channels, classes)."""
        return self.raw.shape[1], self.raw.shape[2], int(self.y.max()) + 1

    def select(self, mask: np.ndarray) -> "Windows":
        """Keep the windows of a boolean mask [N], or those at an array of indices, in its order."""
        return Windows(self.raw[mask], self.y[mask], self.subject[mask], self.recording[mask])

    def thinned(self, most: int) -> "Windows":
        """About so many at most, evenly spread over the windows of each class of each person; at least one of each
        stays. Windows that overlap their neighbours tell little new."""
        if len(self) <= most:
            return self
        kept = []
        for subject in self.subjects:
            for label in np.unique(self.y):
                of_both = np.flatnonzero((self.subject == subject) & (self.y == label))
                wanted = -(-len(of_both) * most // len(self))
                kept.append(of_both[np.arange(wanted) * len(of_both) // max(wanted, 1)])
        return self.select(np.sort(np.concatenate(kept)))

    @staticmethod
    def concatenate(parts: "Sequence[Windows]") -> "Windows":
        """Join windows of one shape in the given order.

        Raises
        ------
        DataError    there is nothing to join, or lengths or channels differ
        """
        if not parts:
            raise DataError("There are no windows to join.")
        shapes = sorted({p.raw.shape[1:] for p in parts})
        if len(shapes) > 1:
            raise DataError(f"Windows of different shapes [T, C] cannot be joined: {shapes}.")
        return Windows(*(np.concatenate([getattr(p, field) for p in parts])
                         for field in ("raw", "y", "subject", "recording")))


def to_counts(values: np.ndarray, channels: Sequence[Channel]) -> tuple[np.ndarray, np.ndarray]:
    """Convert physical units to counts: divide by the lsb, round half to even, saturate.

    Parameters
    ----------
    values : [..., C] float    finite, in the unit of each channel

    Returns
    -------
    counts : [..., C] int16
    saturated : [C] int64      how many samples of each channel did not fit into int16
    """
    lsb = np.array([c.lsb for c in channels])
    rounded = np.rint(np.asarray(values, np.float64) / lsb)
    outside = (rounded < -32768) | (rounded > 32767)
    saturated = outside.reshape(-1, len(channels)).sum(axis=0)
    return np.clip(rounded, -32768, 32767).astype(np.int16), saturated


def describe_saturation(saturated: np.ndarray, samples: int, channels: Sequence[Channel]) -> str:
    """Say in one sentence how many samples did not fit (for the notes of a dataset)."""
    if not saturated.any():
        return f"No sample of {samples:,} per channel saturates int16."
    parts = [f"{c.name}: {n} beyond ±{c.full_scale:g} {c.unit}"
             for c, n in zip(channels, saturated, strict=True) if n]
    return f"Saturated int16 samples of {samples:,} per channel: {', '.join(parts)}."
