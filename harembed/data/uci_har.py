"""UCI-HAR: six activities of 30 people with a smartphone at the waist, in windows as published.

Variants: none (9 channels as published) and `raw` (total acceleration and gyroscope: what a device has
without a filter over the whole recording).
"""

from pathlib import Path

import numpy as np

from harembed.data.archive import iterate_members, parse_table
from harembed.data.dataset import (
    Dataset,
    DatasetInfo,
    Protocol,
    Request,
    choose,
    from_windows,
    leaking_dataset,
    leave_one_out,
)
from harembed.data.recording import Channel, Windows, describe_saturation, to_counts
from harembed.data.source import describe_checksum, find_or_download, uci_archive
from harembed.data.split import LEAKING, LOSO, SUBJECTS
from harembed.errors import DataError

WINDOW, HOP = 128, 64  # samples, fixed by the publication
CLASSES = ("WALKING", "WALKING_UPSTAIRS", "WALKING_DOWNSTAIRS", "SITTING", "STANDING", "LAYING")
# ±4 g and ±16 rad/s: the published signals stay within ±2.2 g and ±6 rad/s.
_ACC_LSB, _GYRO_LSB = 1 / 8192, 1 / 2048
CHANNELS = (
    *(Channel(f"body_acc_{axis}", "body_acc", "g", _ACC_LSB, False, "waist") for axis in "xyz"),
    *(Channel(f"body_gyro_{axis}", "gyro", "rad/s", _GYRO_LSB, place="waist") for axis in "xyz"),
    *(Channel(f"total_acc_{axis}", "acc", "g", _ACC_LSB, place="waist") for axis in "xyz"),
)
RAW_CHANNELS = (*CHANNELS[6:], *CHANNELS[3:6])
VARIANTS: dict[str | None, tuple[Channel, ...]] = {None: CHANNELS, "raw": RAW_CHANNELS}

# The UCI repository publishes no checksum. These are the values to which several public projects pin their
# downloads of the outer and the inner archive.
_OUTER_SHA256 = "c00b803081a5c797cd5e4b83700a9810b38d53d9d84e01917e090e1fdbc81031"
_INNER_SHA256 = "2045e435c955214b38145fb5fa00776c72814f01b203fec405152dac7d5bfeb0"
_INNER_NAME = "UCI HAR Dataset.zip"
_OUTER_NAME = "human+activity+recognition+using+smartphones.zip"
SOURCE = uci_archive(
    "UCI-HAR", 240, _OUTER_NAME, (_INNER_NAME, "UCI HAR Dataset", "UCI HAR Dataset.tar.xz", _OUTER_NAME),
    _OUTER_SHA256, (f"sha256 {_OUTER_SHA256}", f"sha256 {_INNER_SHA256}"))


def load_uci_har(request: Request) -> Dataset:
    """Load the official training and test subjects.

    Raises
    ------
    DataError    unknown variant or split, another window than the published one, or a damaged archive
    """
    variant, split = choose(request, "uci-har", ("raw",), (SUBJECTS, LOSO, LEAKING))
    for asked, published, what in ((request.window, WINDOW, "window"), (request.hop, HOP, "hop")):
        if asked not in (None, published):
            raise DataError(f"UCI-HAR is published with a {what} of {published} samples, {asked} cannot be had.",
                            f"Leave --{what} out; or use motionsense or your own csv, which are cut on loading.")
    path = find_or_download(SOURCE, request.data_root)
    channels = VARIANTS[variant]
    train, test, saturation = read_uci_har(path, channels)
    words, other = describe_checksum(SOURCE, path)
    info = DatasetInfo(
        name="uci-har" if request.variant is None else f"uci-har:{request.variant}",
        title="Human Activity Recognition Using Smartphones (UCI-HAR)", rate_hz=50.0, channels=channels,
        classes=CLASSES,
        protocol=Protocol(WINDOW, HOP, f"by subject, as published: {len(train.subjects)} people train, "
                                       f"{len(test.subjects)} test", "macro F1", False, words),
        citation="D. Anguita, A. Ghio, L. Oneto, X. Parra, J. L. Reyes-Ortiz: A public domain dataset for human "
                 "activity recognition using smartphones. ESANN 2013",
        licence="terms of the README in the archive: citation required, no commercial use",
        licence_notice="UCI-HAR: the README of the dataset prohibits any commercial use.",
        notes=(saturation, *(() if other is None else (other,)),
               "The archive names no recordings: all windows of a subject count as one."))
    pool = Windows.concatenate([train, test])
    if split == LEAKING:
        return leaking_dataset(info, pool, None)
    return leave_one_out(info, pool, split) if split != SUBJECTS else \
        from_windows(info, pool, np.arange(len(pool)) >= len(train))


def read_uci_har(path: Path, channels: tuple[Channel, ...]) -> tuple[Windows, Windows, str]:
    """Parse (train, test) and a sentence on saturation.

    Raises
    ------
    DataError    a member is missing or damaged (names member and line), or members disagree in length
    """
    wanted = {_member(part, c.name): WINDOW for part in ("train", "test") for c in channels}
    wanted |= {f"{part}/{stem}_{part}.txt": 1 for part in ("train", "test") for stem in ("y", "subject")}
    tables: dict[str, np.ndarray] = {}
    for name, raw in iterate_members(path, lambda n: _tail(n) in wanted, inner=_INNER_NAME):
        tables[_tail(name)] = parse_table(raw, f"{path.name}: {name}", wanted[_tail(name)])
    missing = sorted(wanted.keys() - tables.keys())
    if missing:
        raise DataError(f"{path} lacks {len(missing)} of {len(wanted)} members, the first is {missing[0]}.",
                        f"Get the archive again from {SOURCE.url}.")
    train, saturated, samples = _part(path, tables, "train", channels)
    test, more_saturated, more_samples = _part(path, tables, "test", channels)
    sentence = describe_saturation(saturated + more_saturated, samples + more_samples, channels)
    return train, test, sentence


def _part(path: Path, tables: dict[str, np.ndarray], part: str,
          channels: tuple[Channel, ...]) -> tuple[Windows, np.ndarray, int]:
    y, subject = (tables[f"{part}/{stem}_{part}.txt"][:, 0].astype(np.int64) for stem in ("y", "subject"))
    for name, rows in ((n, len(t)) for n, t in tables.items() if n.startswith(part)):
        if rows != len(y):
            raise DataError(f"{path}: {name} has {rows} lines, {part}/y_{part}.txt has {len(y)}.",
                            f"Get the archive again from {SOURCE.url}.")
    wrong = np.flatnonzero((y < 1) | (y > len(CLASSES)))
    if wrong.size:
        raise DataError(f"{path}: {part}/y_{part}.txt, line {wrong[0] + 1}: class {y[wrong[0]]} is not in "
                        f"1 to {len(CLASSES)}.", f"Get the archive again from {SOURCE.url}.")
    values = np.stack([tables[_member(part, c.name)] for c in channels], axis=2)  # [N, 128, C]
    counts, saturated = to_counts(values, channels)
    people = np.array([f"{s:02d}" for s in subject])
    return Windows(counts, y - 1, people, people), saturated, values.shape[0] * values.shape[1]


def _member(part: str, channel: str) -> str:
    return f"{part}/Inertial Signals/{channel}_{part}.txt"


def _tail(name: str) -> str:
    """A member's name from "train/" or "test/" on, whatever folder the archive puts before it."""
    parts = name.split("/")
    return "/".join(parts[-3:] if parts[-2:-1] == ["Inertial Signals"] else parts[-2:])
