"""csv:PATH, the user's own recordings: the dataset made of them. The format is read in csv_format.py."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from harembed.data.csv_format import CsvFile, read_csv_file
from harembed.data.dataset import Dataset, DatasetInfo, Protocol, Request, from_recordings, leaking_from_recordings
from harembed.data.recording import UNLABELLED, Channel, Recording, Windows, describe_saturation, to_counts
from harembed.data.split import (
    LEAKING,
    LOSO,
    RECORDINGS,
    SPLITS,
    SUBJECTS,
    check_split,
    hold_out_recordings,
    hold_out_subjects,
    left_out,
)
from harembed.errors import DataError

DEFAULT_WINDOW_S = 2.56  # as UCI-HAR; rounded to a power of two of samples
HELD_OUT_FRACTION = 0.3  # of the subjects (or recordings) for test, where the files name no test subjects
SATURATION_LIMIT = 0.001  # more saturated samples of a channel than this fraction are refused
RATE_TOLERANCE = 0.02  # rates computed from time stamps may differ so much between files


def load_csv(request: Request) -> Dataset:
    """Load a file, or every *.csv of a folder (with its subfolders).

    Raises
    ------
    DataError    names file and line of the first fault
    """
    if not request.variant:
        raise DataError("csv: needs the path of a file or a folder.", "Type --dataset csv:PATH.")
    split = request.split or SUBJECTS
    check_split(split, SPLITS)
    files = [read_csv_file(p) for p in _find(Path(request.variant))]
    channels, rate_hz = _agree(files)
    classes, order = _classes(files)
    recordings, saturation = _recordings(files, channels, classes, rate_hz)
    window = request.window or 2 ** round(np.log2(max(DEFAULT_WINDOW_S * rate_hz, 4)))
    info = DatasetInfo(
        name=f"csv:{Path(request.variant).name}", title="Own recordings", rate_hz=rate_hz,
        channels=channels, classes=classes,
        protocol=Protocol(window, request.hop or max(window // 2, 1), "", "macro F1", False,
                          f"{Path(request.variant).name}: {len(files)} files, {len(recordings)} recordings, sha256 "
                          f"of their contents in order {_digest(files)}"),
        citation="", licence="the user's own", licence_notice="The recordings are the user's own.",
        notes=(saturation, order),
        continuous=any(np.unique(r.labels[r.labels != UNLABELLED]).size > 1 for r in recordings))
    if split == LEAKING:
        return leaking_from_recordings(info, recordings)
    held, words = _test_recordings(files, recordings, split)
    info = replace(info, protocol=replace(info.protocol, split=words))
    return from_recordings(info, [r for r in recordings if r.name not in held],
                           [r for r in recordings if r.name in held])


def _find(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise DataError(f"There is no file or folder {path}.", "Correct the path after csv:.")
    found = sorted(path.rglob("*.csv"))
    if not found:
        raise DataError(f"The folder {path} holds no *.csv file.", "Name the folder that holds your recordings.")
    return found


def _digest(files: Sequence[CsvFile]) -> str:
    digest = hashlib.sha256()
    for f in files:
        digest.update(f.path.read_bytes())
    return digest.hexdigest()


def _agree(files: Sequence[CsvFile]) -> tuple[tuple[Channel, ...], float]:
    """The channels and rate that all files share."""
    first = files[0]
    for f in files[1:]:
        if f.channels != first.channels:
            raise DataError(f"{f.path}, line {f.header_line}: channels {_header(f.channels)} differ from "
                            f"{_header(first.channels)} of {first.path.name}.",
                            "Give all files the same channel columns in the same order.")
        tolerance = 0.0 if f.rate_stated and first.rate_stated else RATE_TOLERANCE
        if abs(f.rate_hz - first.rate_hz) > tolerance * first.rate_hz:
            raise DataError(f"{f.path} has a rate of {f.rate_hz:g} Hz, {first.path.name} has {first.rate_hz:g} Hz.",
                            "Resample them to one rate.")
    return first.channels, first.rate_hz


def _header(channels: Sequence[Channel]) -> str:
    return ",".join(f"{c.name}[{c.unit}/{1 / c.lsb:g}]" for c in channels)


def _classes(files: Sequence[CsvFile]) -> tuple[tuple[str, ...], str]:
    """Order of the classes, and a note where it comes from."""
    declared = [f for f in files if f.classes]
    for f in declared:
        if f.classes != declared[0].classes:
            raise DataError(f"{f.path}: the line `# classes:` says {', '.join(f.classes)}; "
                            f"{declared[0].path.name} says {', '.join(declared[0].classes)}.",
                            "Write the same line into all files, or into one.")
    if declared:
        classes = declared[0].classes
        for f in files:
            for label, line in f.first_line_of_label.items():
                if label and label not in classes:
                    raise DataError(f"{f.path}, line {line}: label {label!r} is not in `# classes: "
                                    f"{', '.join(classes)}`.", "Add it to that line, or leave the label empty.")
        return classes, "Classes in the order of the line `# classes:`."
    found = {label for f in files for label in f.first_line_of_label if label}
    if len(found) < 2:
        raise DataError(f"{files[0].path} holds {len(found)} class ({', '.join(found) or 'all labels are empty'}); "
                        "classification needs two.", "Label at least two activities.")
    numeric = all(label.lstrip("-").isdigit() for label in found)
    return tuple(sorted(found, key=int) if numeric else sorted(found)), (
        "No line `# classes:` in the files: classes are in ascending order.")


def _recordings(files: Sequence[CsvFile], channels: tuple[Channel, ...], classes: tuple[str, ...],
                rate_hz: float) -> tuple[list[Recording], str]:
    """Convert to counts; refuse a channel of which more than 0.1 % saturates."""
    index = {"": UNLABELLED, **{c: i for i, c in enumerate(classes)}}
    recordings, saturated, samples = [], np.zeros(len(channels), np.int64), 0
    for f in files:
        counts, beyond = to_counts(f.values, channels)
        for c, n in zip(channels, beyond, strict=True):
            if n > SATURATION_LIMIT * len(counts):
                raise DataError(f"{f.path}: {n} of {len(counts)} samples of {c.name} are beyond ±{c.full_scale:g} "
                                f"{c.unit}, which int16 counts of 1/{1 / c.lsb:g} {c.unit} can hold.",
                                f"Write a smaller divisor into the header, e.g. {c.name}[{c.unit}/{0.25 / c.lsb:g}].")
        saturated, samples = saturated + beyond, samples + len(counts)
        labels = np.array([index[label] for label in f.labels], np.int16)
        for name, subject, rows in f.pieces:
            recordings.append(Recording(name, subject, rate_hz, counts[rows], labels[rows]))
    _unique_names(recordings)
    return recordings, describe_saturation(saturated, samples, channels)


def _unique_names(recordings: Sequence[Recording]) -> None:
    seen: set[str] = set()
    for r in recordings:
        if r.name in seen:
            raise DataError(f"Two files hold a recording {r.name!r}.", "Give the files different names.")
        seen.add(r.name)


def _test_recordings(files: Sequence[CsvFile], recordings: Sequence[Recording], split: str) -> tuple[set[str], str]:
    """Names of the recordings held out for test, and the split in words."""
    wanted = sorted({s for f in files for s in f.test_subjects})
    one_row_each = _as_windows(recordings)
    if split == RECORDINGS:
        _, held = hold_out_recordings(one_row_each, HELD_OUT_FRACTION, seed=0)
        names = {str(n) for n in held.recording}
        return names, (f"by recording: {len(names)} of {len(recordings)} recordings, drawn with seed 0, are the test "
                       "set; the same people may be in train and test, so this is not subject-independent")
    people = set(one_row_each.subjects)
    if split.startswith(f"{LOSO}="):
        person, words = left_out(split, people)
        return {r.name for r in recordings if r.subject == person}, words
    if wanted:
        if unknown := [s for s in wanted if s not in people]:
            raise DataError(f"The line `# test_subjects:` names {unknown[0]!r}, who is not in the files.",
                            f"Subjects are: {', '.join(sorted(people))}.")
        if set(wanted) == people:
            raise DataError("The line `# test_subjects:` names everybody; nobody is left to train on.",
                            "Leave somebody out of it.")
        return {r.name for r in recordings if r.subject in wanted}, (
            f"by subject: {', '.join(wanted)} of {len(people)} people are the test set, as the files say")
    _, held = hold_out_subjects(one_row_each, HELD_OUT_FRACTION, seed=0)
    return {r.name for r in recordings if r.subject in held.subjects}, (
        f"by subject: {', '.join(held.subjects)} of {len(people)} people, drawn with seed 0, are the test set")


def _as_windows(recordings: Sequence[Recording]) -> Windows:
    """One entry per recording and class in it: what a split needs to know."""
    rows = [(r.subject, r.name, int(c)) for r in recordings for c in np.unique(r.labels) if c != UNLABELLED]
    if not rows:
        raise DataError("No sample of the files is labelled.", "Fill the column label.")
    return Windows(np.zeros((len(rows), 1, 1), np.int16), np.array([c for _, _, c in rows], np.int64),
                   np.array([s for s, _, _ in rows]), np.array([n for _, n, _ in rows]))
