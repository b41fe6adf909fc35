"""PAMAP2: twelve activities of nine people, three IMUs (hand, chest, ankle), 100 Hz reduced to 33.3 Hz.

Format, from readme.pdf of the archive: Protocol/subject101.dat to subject109.dat, one line per sample with 54
columns, NaN where the wireless link lost a value: time [s], activity, heart rate, then for each IMU
temperature, acceleration ±16 g, acceleration ±6 g, gyroscope, magnetometer, orientation. Read are the 27
channels of acceleration ±16 g (which the readme recommends, as ±6 g saturates), gyroscope and magnetometer;
orientation is invalid by the readme, heart rate and temperature are no motion. Optional/ is not read.

Missing values are interpolated linearly; where one channel misses for more than half a second the samples
count as unlabelled. Activity 0 (transient) is dropped: unlabelled. Every third sample is kept, without a
filter, as Hammerla, Halloran and Plötz (IJCAI 2016) do.
"""

import re
from pathlib import Path

import numpy as np

from harembed.data.archive import iterate_members, parse_table
from harembed.data.dataset import Dataset, DatasetInfo, Protocol, Request, choose, divide
from harembed.data.gaps import fill_gaps
from harembed.data.partial import Holding, by_person, name_part
from harembed.data.recording import UNLABELLED, Channel, Recording, describe_saturation, to_counts
from harembed.data.source import describe_checksum, find_or_download, uci_archive
from harembed.data.split import LEAKING, LOSO, SUBJECTS
from harembed.errors import DataError

SOURCE_RATE_HZ, KEEP_EVERY = 100.0, 3
RATE_HZ = SOURCE_RATE_HZ / KEEP_EVERY
WINDOW, HOP = 171, 38  # 5.12 s overlapping by 78 %
LONGEST_GAP = 50  # samples at 100 Hz that are interpolated
ACTIVITIES = {
    1: "lying", 2: "sitting", 3: "standing", 4: "walking", 5: "running", 6: "cycling", 7: "Nordic walking",
    12: "ascending stairs", 13: "descending stairs", 16: "vacuum cleaning", 17: "ironing", 24: "rope jumping"}
SUBJECTS_OFFICIAL = tuple(str(s) for s in range(101, 110))
TEST_SUBJECTS = ("106",)  # as Hammerla et al.; their validation subject is 105
COLUMNS = 54
_PLACES = {"hand": 3, "chest": 20, "ankle": 37}  # first column of each IMU, from 0
_KINDS = (("acc", 1, "m/s2", 1 / 200), ("gyro", 7, "rad/s", 1 / 1024), ("mag", 10, "uT", 1 / 64))  # offset, lsb
CHANNELS = tuple(Channel(f"{place}.{kind}.{axis}", kind, unit, lsb, place=place) for place in _PLACES
                 for kind, _, unit, lsb in _KINDS for axis in "xyz")
_READ = [first + offset + i for first in _PLACES.values() for _, offset, _, _ in _KINDS for i in range(3)]

_OUTER_NAME = "pamap2+physical+activity+monitoring.zip"
_INNER_NAME = "PAMAP2_Dataset.zip"
SOURCE = uci_archive(
    "PAMAP2", 231, _OUTER_NAME, (_INNER_NAME, "PAMAP2_Dataset", _OUTER_NAME))
_AGAIN = f"Get the archive again from {SOURCE.url}."
_MEMBER = re.compile(r"(?:^|/)Protocol/subject(\d{3})\.dat$")


def load_pamap2(request: Request) -> Dataset:
    """Load with subject 106 held out; an archive that lacks people is named as partial.

    Raises
    ------
    DataError    unknown variant or split, or a damaged archive
    """
    _, split = choose(request, "pamap2", (), (SUBJECTS, LOSO, LEAKING))
    path = find_or_download(SOURCE, request.data_root)
    recordings, notes = read_pamap2(path)
    words, other = describe_checksum(SOURCE, path)
    people = [r.subject for r in recordings]
    info = name_part(DatasetInfo(
        name="pamap2", title="PAMAP2 physical activity monitoring", rate_hz=RATE_HZ, channels=CHANNELS,
        classes=tuple(ACTIVITIES.values()),
        protocol=Protocol(request.window or WINDOW, request.hop or HOP, "", "macro F1", False, words),
        citation="A. Reiss, D. Stricker: Introducing a new benchmarked dataset for activity monitoring. ISWC 2012",
        licence="CC BY 4.0 (UCI repository)",
        licence_notice="PAMAP2 is under CC BY 4.0: cite Reiss and Stricker 2012.",
        notes=(*notes, "27 channels of motion are used, published figures are often on all 52; published random "
               f"divisions (80/20) are --split {LEAKING}, and leak.", *(() if other is None else (other,))),
        continuous=True),
        Holding(people, SUBJECTS_OFFICIAL, "subjects"))
    return divide(info, recordings, split, by_person(split, people, TEST_SUBJECTS))


def read_pamap2(path: Path) -> tuple[list[Recording], tuple[str, ...]]:
    """Parse the people whom the archive holds, sorted, and sentences on saturation and missing values.

    Raises
    ------
    DataError    a file is damaged (names file and line), or there is none
    """
    recordings, saturated, missing, far = [], np.zeros(len(CHANNELS), np.int64), 0, 0
    for name, raw in iterate_members(path, lambda n: bool(_MEMBER.search(n)), inner=_INNER_NAME):
        match = _MEMBER.search(name)
        assert match is not None
        where = f"{path.name}: {name}"
        table = parse_table(raw, where, COLUMNS, missing=True)
        values, long_gap = fill_gaps(table[:, _READ], LONGEST_GAP)
        missing += int(np.isnan(table[:, _READ]).any(axis=1).sum())
        far += int(long_gap.sum())
        labels = _labels(table[:, 1], where)
        labels[long_gap] = UNLABELLED
        counts, beyond = to_counts(values[::KEEP_EVERY], CHANNELS)
        saturated += beyond
        recordings.append(Recording(match[1], match[1], RATE_HZ, counts, labels[::KEEP_EVERY]))
    if not recordings:
        raise DataError(f"{path} holds no file like Protocol/subject101.dat.", _AGAIN)
    recordings.sort(key=lambda r: r.name)
    return recordings, (
        describe_saturation(saturated, sum(len(r.counts) for r in recordings), CHANNELS),
        f"{missing:,} samples at 100 Hz lack a value and are interpolated; {far:,} in gaps of more than "
        f"{LONGEST_GAP / SOURCE_RATE_HZ:g} s count as unlabelled. Transients (activity 0) are dropped.")


def _labels(activity: np.ndarray, where: str) -> np.ndarray:
    """Class of each row [T] int16; activity 0 is unlabelled."""
    known = (0, *ACTIVITIES)
    wrong = np.flatnonzero(~np.isin(activity, known))
    if wrong.size:
        raise DataError(f"{where}, line {wrong[0] + 1}, column 2: activity {activity[wrong[0]]:g} is none of "
                        f"{', '.join(map(str, known))}.", _AGAIN)
    of_activity = np.full(max(known) + 1, UNLABELLED, np.int16)
    of_activity[list(ACTIVITIES)] = np.arange(len(ACTIVITIES))
    return of_activity[activity.astype(np.int64)]
