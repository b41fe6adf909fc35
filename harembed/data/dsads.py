"""DSADS: 19 daily and sports activities of eight people, five body units with nine channels each, 25 Hz.

The publication cuts each five minutes of one activity of one person into 60 files of 125 samples; they are
joined again, so that a window may be of any length. All classes are kept; there is no null class.
"""

import re
from pathlib import Path

import numpy as np

from harembed.data.archive import iterate_members, parse_table
from harembed.data.dataset import Dataset, DatasetInfo, Protocol, Request, choose, divide
from harembed.data.partial import Holding, by_person, name_part
from harembed.data.recording import Channel, Recording, describe_saturation, to_counts
from harembed.data.source import describe_checksum, find_or_download, uci_archive
from harembed.data.split import LEAKING, LOSO, SUBJECTS
from harembed.errors import DataError

RATE_HZ = 25.0
WINDOW, HOP = 125, 125  # segments of 5 s, as published
SEGMENTS = 60  # of each activity of each person
SUBJECTS_OFFICIAL = tuple(f"p{s}" for s in range(1, 9))
TEST_SUBJECTS = ("p7", "p8")  # of the complete archive, fixed before anything was trained
CLASSES = ("sitting", "standing", "lying on back", "lying on right side", "ascending stairs", "descending stairs",
           "standing in an elevator", "moving in an elevator", "walking in a parking lot", "walking on a treadmill",
           "walking uphill on a treadmill", "running on a treadmill", "exercising on a stepper",
           "exercising on a cross trainer", "cycling horizontally", "cycling vertically", "rowing", "jumping",
           "playing basketball")
UNITS = ("torso", "right arm", "left arm", "right leg", "left leg")
# Xsens MTx: ±18 g by data sheet (±177 m/s²), ±20.9 rad/s; the magnetometer is in units of the earth's field.
_KINDS = (("acc", "m/s2", 1 / 128), ("gyro", "rad/s", 1 / 1024), ("mag", "earth field", 1 / 8192))
CHANNELS = tuple(Channel(f"{unit}.{kind}.{axis}", kind, name, lsb, place=unit) for unit in UNITS
                 for kind, name, lsb in _KINDS for axis in "xyz")

_OUTER_NAME = "daily+and+sports+activities.zip"
_INNER_NAME = "data.zip"
SOURCE = uci_archive(
    "DSADS", 256, _OUTER_NAME, (_OUTER_NAME, _INNER_NAME, "data", "DSADS_PARTIAL-subjects-1-4.tar.xz"))
_AGAIN = f"Get the archive again from {SOURCE.url}."
_MEMBER = re.compile(r"(?:^|/)a(\d\d)/(p\d)/s(\d\d)\.txt$")


def load_dsads(request: Request) -> Dataset:
    """Load with the last people held out; an archive that lacks people is named as partial.

    Raises
    ------
    DataError    unknown variant or split, or a damaged archive
    """
    _, split = choose(request, "dsads", (), (SUBJECTS, LOSO, LEAKING))
    path = find_or_download(SOURCE, request.data_root)
    recordings, saturation = read_dsads(path)
    words, other = describe_checksum(SOURCE, path)
    people = [r.subject for r in recordings]
    info = name_part(DatasetInfo(
        name="dsads", title="Daily and Sports Activities (DSADS)", rate_hz=RATE_HZ, channels=CHANNELS,
        classes=CLASSES,
        protocol=Protocol(request.window or WINDOW, request.hop or HOP, "", "macro F1", False, words),
        citation="K. Altun, B. Barshan, O. Tunçel: Comparative study on classifying human activities with miniature "
                 "inertial and magnetic sensors. Pattern Recognition 43(10), 2010",
        licence="CC BY 4.0 (UCI repository)", licence_notice="DSADS is under CC BY 4.0: cite Altun et al. 2010.",
        notes=(saturation, "The paper leaves one person out at a time: --split loso=p1 and so on.",
               *(() if other is None else (other,)))),
        Holding(people, SUBJECTS_OFFICIAL, "subjects"))
    return divide(info, recordings, split, by_person(split, people, TEST_SUBJECTS))


def read_dsads(path: Path) -> tuple[list[Recording], str]:
    """Parse the people whom the archive holds, sorted by person and activity, and a sentence on saturation.

    Raises
    ------
    DataError    a file is damaged (names file and line), or a person lacks some
    """
    segments: dict[tuple[str, int], dict[int, np.ndarray]] = {}
    saturated, samples = np.zeros(len(CHANNELS), np.int64), 0
    for name, raw in iterate_members(path, lambda n: bool(_MEMBER.search(n)), inner=_INNER_NAME):
        where = f"{path.name}: {name}"
        table = parse_table(raw, where, len(CHANNELS), delimiter=",")
        if len(table) != WINDOW:
            raise DataError(f"{where}: {len(table)} lines instead of {WINDOW}.", _AGAIN)
        counts, beyond = to_counts(table, CHANNELS)
        saturated, samples = saturated + beyond, samples + len(counts)
        activity, person, segment = _place(name)
        segments.setdefault((person, activity), {})[segment] = counts
    _check(path, segments)
    recordings = []
    for person, activity in sorted(segments):
        parts = segments.pop((person, activity))
        counts = np.concatenate([parts[s] for s in range(1, SEGMENTS + 1)])
        recordings.append(Recording(f"{person}-a{activity:02d}", person, RATE_HZ, counts,
                                    np.full(len(counts), activity - 1, np.int16)))
    return recordings, describe_saturation(saturated, samples, CHANNELS)


def _place(name: str) -> tuple[int, str, int]:
    match = _MEMBER.search(name)
    assert match is not None
    return int(match[1]), match[2], int(match[3])


def _check(path: Path, segments: dict[tuple[str, int], dict[int, np.ndarray]]) -> None:
    """Whoever is in the archive is there with all activities and segments."""
    if not segments:
        raise DataError(f"{path} holds no file like a01/p1/s01.txt.", _AGAIN)
    people = sorted({person for person, _ in segments})
    missing = [f"a{activity:02d}/{person}/s{segment:02d}.txt" for person in people
               for activity in range(1, len(CLASSES) + 1) for segment in range(1, SEGMENTS + 1)
               if segment not in segments.get((person, activity), {})]
    if missing:
        raise DataError(f"{path} lacks {len(missing)} of the {len(people) * len(CLASSES) * SEGMENTS} files of "
                        f"{len(people)} people, the first is {missing[0]}.", _AGAIN)
