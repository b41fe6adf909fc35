"""WISDM v1.1: six activities of 36 people with a phone in the front pocket of the trousers, 20 Hz.

Format, from WISDM_ar_v1.1_raw_about.txt: one record per sample, `user,activity,timestamp,x,y,z;`, the time in
nanoseconds, acceleration including gravity in m/s². The official file has flaws, which are handled so: records
that are incomplete are left out (counted in a note; more than 0.1 % of them is an error), and so are records
with time 0, which hold no measurement. A recording ends where user or activity changes, where the time steps
back, and where more than a second is missing.
"""

import io
import math
from array import array
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np

from harembed.data.archive import iterate_members
from harembed.data.dataset import Dataset, DatasetInfo, Division, Protocol, Request, choose, divide
from harembed.data.recording import Channel, Recording, describe_saturation, to_counts
from harembed.data.source import ArchiveSource, describe_checksum, find_or_download
from harembed.data.split import LEAKING, LOSO, SUBJECTS
from harembed.data.windows import leave_out_short
from harembed.errors import DataError

RATE_HZ = 20.0
WINDOW, HOP = 200, 20  # 10 s every second, as Tang et al. (IEEE Sensors Journal 2021) do, who divide at random
CLASSES = ("Walking", "Jogging", "Upstairs", "Downstairs", "Sitting", "Standing")
TEST_SUBJECTS = tuple(f"{s:02d}" for s in range(29, 37))  # the last eight of 36, fixed before anything was trained
CHANNELS = tuple(Channel(f"acc_{axis}", "acc", "m/s2", 1 / 1024, place="pocket") for axis in "xyz")
BROKEN_LIMIT = 0.001  # more incomplete records than this fraction are an error
GAP_NS = 1_000_000_000

SOURCE = ArchiveSource(
    title="WISDM", names=("WISDM_ar_latest.tar.gz", "WISDM_ar_v1.1"),
    url="https://www.cis.fordham.edu/wisdm/includes/datasets/latest/WISDM_ar_latest.tar.gz",
    download_name="WISDM_ar_latest.tar.gz", sha256=None, git_blob=None, official=())
_AGAIN = f"Get the archive again from {SOURCE.url}."
_MEMBER = "WISDM_ar_v1.1_raw.txt"


def load_wisdm(request: Request) -> Dataset:
    """Load with people 29 to 36 held out.

    Raises
    ------
    DataError    unknown variant or split, or a damaged archive
    """
    _, split = choose(request, "wisdm", (), (SUBJECTS, LOSO, LEAKING))
    path = find_or_download(SOURCE, request.data_root)
    recordings, notes = read_wisdm(path)
    words, other = describe_checksum(SOURCE, path)
    kept = leave_out_short(recordings, request.window or WINDOW)
    info = DatasetInfo(
        name="wisdm", title="WISDM activity recognition v1.1", rate_hz=RATE_HZ, channels=CHANNELS, classes=CLASSES,
        protocol=Protocol(request.window or WINDOW, request.hop or HOP, "", "macro F1", False, words),
        citation="J. R. Kwapisz, G. M. Weiss, S. A. Moore: Activity recognition using cell phone accelerometers. "
                 "SensorKDD 2010",
        licence="terms of readme.txt in the archive: citation required",
        licence_notice="WISDM: publications must cite Kwapisz et al. 2010.",
        notes=(*notes, kept.note, "Published figures divide windows that overlap by 90 % at random: --split "
               f"{LEAKING} does so, and leaks.", *(() if other is None else (other,))))
    return divide(info, kept.recordings, split, {SUBJECTS: Division(
        "by subject: people 29 to 36 of 36 are the test set", lambda r: r.subject in TEST_SUBJECTS)})


def read_wisdm(path: Path) -> tuple[list[Recording], tuple[str, ...]]:
    """Parse all recordings in the order of the file, and sentences on saturation and on what was left out.

    Raises
    ------
    DataError    the file is missing, or more than 0.1 % of its records are incomplete (names the first one's line)
    """
    found = next(((n, raw) for n, raw in iterate_members(path, lambda n: n.endswith(_MEMBER))), None)
    if found is None:
        raise DataError(f"{path} holds no {_MEMBER}.", _AGAIN)
    numbers = array("d")  # of each record: user, activity, time, x, y, z
    broken: list[tuple[int, str]] = []
    for line, text in _split(found[1]):
        record = _parse(text)
        if record is None:
            broken.append((line, text))
        else:
            numbers.extend(record)
    records = np.frombuffer(numbers, np.float64).reshape(-1, 6)
    if not len(records) or len(broken) > BROKEN_LIMIT * len(records):
        line, text = broken[0] if broken else (1, "")
        raise DataError(f"{path.name}: {found[0]}, line {line}: {text[:60]!r} is not user,activity,timestamp,x,y,z "
                        f"({len(broken):,} of {len(broken) + len(records):,} records are so).", _AGAIN)
    measured = records[records[:, 2] > 0]
    counts, saturated = to_counts(measured[:, 3:], CHANNELS)
    return _recordings(measured, counts), (
        describe_saturation(saturated, len(counts), CHANNELS),
        f"{len(broken)} incomplete records and {len(records) - len(measured):,} with time 0 of "
        f"{len(broken) + len(records):,} are left out.")


def _split(raw: bytes) -> Iterator[tuple[int, str]]:
    """Records with their line number; some lines hold two, some end in a comma."""
    for number, line in enumerate(io.BytesIO(raw), start=1):
        for part in line.decode("latin-1").split(";"):
            text = part.strip().rstrip(",")
            if text:
                yield number, text


def _parse(text: str) -> tuple[float, ...] | None:
    words = text.split(",")
    try:
        user, activity = int(words[0]), CLASSES.index(words[1])
        values = tuple(float(w) for w in words[2:])
    except (ValueError, IndexError):
        return None
    fits = len(values) == 4 and 1 <= user <= 36 and values[0] >= 0 and all(map(math.isfinite, values))
    return (user, activity, *values) if fits else None


def _recordings(records: np.ndarray, counts: np.ndarray) -> list[Recording]:
    """Uninterrupted pieces; records is [N, 6] as above, counts [N, 3]."""
    step_ns = np.diff(records[:, 2])
    apart = (np.diff(records[:, :2], axis=0) != 0).any(axis=1) | (step_ns < 0) | (step_ns > GAP_NS)
    edges = [0, *(np.flatnonzero(apart) + 1).tolist(), len(records)]
    pieces = []
    for number, (start, end) in enumerate(pairwise(edges)):
        person, activity = f"{int(records[start, 0]):02d}", int(records[start, 1])
        pieces.append(Recording(f"{person}-{CLASSES[activity]}-{number}", person, RATE_HZ, counts[start:end],
                                np.full(end - start, activity, np.int16)))
    return pieces
