"""What a dataset states about itself, and how recordings become its training and test windows."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from harembed.data.recording import Channel, Recording, Windows
from harembed.data.split import LEAKING, LOSO, check_disjoint, check_split, hold_out_windows, left_out
from harembed.data.windows import MAJORITY, check_window, cut_all, fill_up
from harembed.errors import DataError, unknown_name

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
    label: str = MAJORITY  # how a window gets its class: one of harembed.data.windows.LABELS
    train_hop: int | None = None  # samples, of training windows, where it is another


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
    continuous: bool = False  # a recording holds several activities in their order: events can be counted
    null_class: int | None = None  # index of the class that is no event


@dataclass(frozen=True, eq=False)
class Dataset:
    info: DatasetInfo
    train: Windows  # all training subjects; validation subjects come out of these
    test: Windows  # touched once, at the end
    extra: Windows | None  # only to fill up parity validation, never to train or to score

    @property
    def shared_people(self) -> tuple[str, ...]:
        """Who is in train and test; scores then say nothing about new people."""
        return tuple(sorted(set(self.train.subjects) & set(self.test.subjects)))

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


def choose(request: Request, name: str, variants: Sequence[str], splits: tuple[str, ...]) -> tuple[str | None, str]:
    """The variant and the split that a request asks for.

    NAME:SPLIT says the same as NAME with --split SPLIT; where both are given, --split wins.

    Parameters
    ----------
    variants : other than the default, whose name is None
    splits : the first is the default

    Raises
    ------
    DataError    the dataset has no such variant or split
    """
    variant, split = request.variant, request.split
    if variant is not None and variant not in variants:
        if not (variant in splits or variant.startswith(f"{LOSO}=")):
            known = [name, *(f"{name}:{v}" for v in (*variants, *splits))]
            raise DataError(unknown_name("dataset", f"{name}:{variant}", known),
                            f"Use --dataset with one of: {', '.join(known)}.")
        variant, split = None, split or variant
    split = split or splits[0]
    check_split(split, splits)
    return variant, split


@dataclass(frozen=True)
class Division:
    """One way of dividing the recordings of a dataset."""

    words: str  # printed beside every figure
    is_test: Callable[[Recording], bool | None]  # True: test; False: training; None: in neither


def divide(info: DatasetInfo, recordings: Sequence[Recording], split: str,
           divisions: Mapping[str, Division]) -> Dataset:
    """Divide by the split of this name; one that is not in `divisions` is the leaking one or loso=SUBJECT.

    Raises
    ------
    DataError    nobody has the name that loso=SUBJECT gives; nothing is left for one side
    """
    if split == LEAKING:
        return leaking_from_recordings(info, recordings)
    if split in divisions:
        division = divisions[split]
    else:
        person, words = left_out(split, (r.subject for r in recordings))
        division = Division(words, lambda r: r.subject == person)
    info = replace(info, protocol=replace(info.protocol, split=division.words))
    return from_recordings(info, [r for r in recordings if division.is_test(r) is False],
                           [r for r in recordings if division.is_test(r)])


def from_windows(info: DatasetInfo, pool: Windows, is_test: np.ndarray) -> Dataset:
    """Divide windows that are published as such; too few for parity are filled up by training windows.

    Parameters
    ----------
    is_test : [N] bool
    """
    train, test = pool.select(~is_test), pool.select(is_test)
    missing = PARITY_WINDOWS - len(test)
    extra = train.select(np.arange(min(missing, len(train)))) if missing > 0 else None
    return Dataset(info, train, test, extra)


def leave_one_out(info: DatasetInfo, pool: Windows, split: str) -> Dataset:
    """The fold loso=SUBJECT of published windows."""
    person, words = left_out(split, pool.subjects)
    return from_windows(replace(info, protocol=replace(info.protocol, split=words)), pool, pool.subject == person)


def from_recordings(info: DatasetInfo, train: Sequence[Recording], test: Sequence[Recording]) -> Dataset:
    """Cut the recordings by the protocol of `info`; fill up to 1,000 windows for parity."""
    window, hop, label = info.protocol.window, info.protocol.hop, info.protocol.label
    for part, what in ((train, "train on"), (test, "test with")):
        if not part:
            raise DataError(f"The split of {info.name} ({info.protocol.split}) leaves no recording to {what}.",
                            "Choose another --split.")
    check_window([*train, *test], window)
    tested = cut_all(test, window, hop, label=label)
    extra = fill_up([*test, *train], window, hop, PARITY_WINDOWS - len(tested), label)
    return Dataset(info, cut_all(train, window, hop, label=label), tested, extra)


def leaking_dataset(info: DatasetInfo, pool: Windows, extra: Windows | None) -> Dataset:
    """Divide the windows of all recordings at random; the protocol says that this leaks."""
    words = (f"LEAKING: {100 * LEAKING_FRACTION:.0f} % of the windows drawn at random (seed 0) for test; windows of "
             "one recording are in train and test, so scores are too high")
    info = replace(info, protocol=replace(info.protocol, split=words, leaking=True))
    train, test = hold_out_windows(pool, LEAKING_FRACTION, seed=0, split=LEAKING)
    return Dataset(info, train, test, extra)


def leaking_from_recordings(info: DatasetInfo, recordings: Sequence[Recording]) -> Dataset:
    """The leaking split of recordings, with windows to fill up parity."""
    window, hop, label = info.protocol.window, info.protocol.hop, info.protocol.label
    check_window(recordings, window)
    pool = cut_all(recordings, window, hop, label=label)
    needed = PARITY_WINDOWS - round(LEAKING_FRACTION * len(pool))
    return leaking_dataset(info, pool, fill_up(recordings, window, hop, needed, label))
