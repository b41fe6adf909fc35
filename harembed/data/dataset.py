"""What a dataset states about itself, and how recordings become its training and test windows."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from harembed.data.recording import Channel, Recording, Windows
from harembed.data.split import LEAKING, check_disjoint, hold_out_windows
from harembed.data.windows import check_window, cut_all, fill_up
from harembed.errors import DataError

PARITY_WINDOWS = 1000  # a parity validation sends at least so many
LEAKING_FRACTION = 0.3  # of the windows go to test in the leaking split


@dataclass(frozen=True)
class Protocol:
    """How the scores of a dataset come about; printed beside every figure."""

    window: int  # samples
    hop: int  # samples
    split: str  # in words
    metric: str
    leaking: bool  # windows of one recording are in train and test
    source: str  # file and checksum that the samples came from


@dataclass(frozen=True)
class DatasetInfo:
    name: str  # as load_dataset takes it
    title: str
    rate_hz: float
    channels: tuple[Channel, ...]
    classes: tuple[str, ...]
    protocol: Protocol
    citation: str
    licence: str
    licence_notice: str  # a sentence for the report
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Dataset:
    info: DatasetInfo
    train: Windows  # all training subjects; validation subjects come out of these
    test: Windows  # touched once, at the end
    extra: Windows | None  # only to fill up parity validation, never to train or to score

    def __post_init__(self) -> None:
        if not self.info.protocol.leaking:
            check_disjoint(self.train, self.test)
        shape = (self.info.protocol.window, len(self.info.channels))
        for part in (self.train, self.test):
            if not len(part) or part.raw.shape[1:] != shape:
                raise DataError(f"Dataset {self.info.name}: windows {part.raw.shape} are not [N > 0, {shape[0]}, "
                                f"{shape[1]}].")


@dataclass(frozen=True)
class Request:
    """What a user asks of a dataset; None means the default that the dataset documents."""

    variant: str | None  # what stands after the colon in NAME:VARIANT
    data_root: Path | None
    window: int | None  # samples
    hop: int | None  # samples
    split: str | None


def from_recordings(info: DatasetInfo, train: Sequence[Recording], test: Sequence[Recording]) -> Dataset:
    """Cut the recordings by the protocol of `info`; fill up to 1,000 windows for parity."""
    window, hop = info.protocol.window, info.protocol.hop
    check_window([*train, *test], window)
    tested = cut_all(test, window, hop)
    extra = fill_up([*test, *train], window, hop, PARITY_WINDOWS - len(tested))
    return Dataset(info, cut_all(train, window, hop), tested, extra)


def leaking_dataset(info: DatasetInfo, pool: Windows, extra: Windows | None) -> Dataset:
    """Divide the windows of all recordings at random; the protocol says that this leaks."""
    words = (f"LEAKING: {100 * LEAKING_FRACTION:.0f} % of the windows drawn at random (seed 0) for test; windows of "
             "one recording are in train and test, so scores are too high")
    info = replace(info, protocol=replace(info.protocol, split=words, leaking=True))
    train, test = hold_out_windows(pool, LEAKING_FRACTION, seed=0, split=LEAKING)
    return Dataset(info, train, test, extra)


def leaking_from_recordings(info: DatasetInfo, recordings: Sequence[Recording]) -> Dataset:
    """The leaking split of recordings, with windows to fill up parity."""
    window, hop = info.protocol.window, info.protocol.hop
    check_window(recordings, window)
    pool = cut_all(recordings, window, hop)
    needed = PARITY_WINDOWS - round(LEAKING_FRACTION * len(pool))
    return leaking_dataset(info, pool, fill_up(recordings, window, hop, needed))
