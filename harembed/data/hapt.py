"""HAPT: the continuous recordings behind UCI-HAR, with six activities and six postural transitions, 50 Hz.

Windows are cut here from RawData; the 561 features and their windows in the archive are not read. Samples
that labels.txt gives to no activity stay unlabelled: windows mostly of them are left out.
"""

import re
from pathlib import Path

import numpy as np

from harembed.data.archive import iterate_members, parse_table
from harembed.data.dataset import Dataset, DatasetInfo, Division, Protocol, Request, choose, divide
from harembed.data.recording import UNLABELLED, Channel, Recording, describe_saturation, to_counts
from harembed.data.source import describe_checksum, find_or_download, uci_archive
from harembed.data.split import LEAKING, LOSO, SUBJECTS
from harembed.errors import DataError

RATE_HZ = 50.0
WINDOW, HOP = 128, 64  # 2.56 s with 50 % overlap, as the README of the dataset
# In the order of activity_labels.txt.
CLASSES = ("WALKING", "WALKING_UPSTAIRS", "WALKING_DOWNSTAIRS", "SITTING", "STANDING", "LAYING", "STAND_TO_SIT",
           "SIT_TO_STAND", "SIT_TO_LIE", "LIE_TO_SIT", "STAND_TO_LIE", "LIE_TO_STAND")
# The official test people of UCI-HAR, whose recordings these are.
TEST_SUBJECTS = ("02", "04", "09", "10", "12", "13", "18", "20", "24")
CHANNELS = (*(Channel(f"acc_{axis}", "acc", "g", 1 / 8192, place="waist") for axis in "xyz"),
            *(Channel(f"gyro_{axis}", "gyro", "rad/s", 1 / 2048, place="waist") for axis in "xyz"))
EXPERIMENTS = 61

_OUTER_NAME = "smartphone+based+recognition+of+human+activities+and+postural+transitions.zip"
_INNER_NAME = "HAPT Data Set.zip"
SOURCE = uci_archive(
    "HAPT", 341, _OUTER_NAME, (_INNER_NAME, "HAPT Data Set", "HAPT_RawData.tar.xz", _OUTER_NAME))
_AGAIN = f"Get the archive again from {SOURCE.url}."
_MEMBER = re.compile(r"(?:^|/)RawData/(acc|gyro)_exp(\d\d)_user(\d\d)\.txt$")


def load_hapt(request: Request) -> Dataset:
    """Load with the test people of UCI-HAR held out.

    Raises
    ------
    DataError    unknown variant or split, or a damaged archive
    """
    _, split = choose(request, "hapt", (), (SUBJECTS, LOSO, LEAKING))
    path = find_or_download(SOURCE, request.data_root)
    recordings, saturation = read_hapt(path)
    words, other = describe_checksum(SOURCE, path)
    unlabelled = sum(int((r.labels == UNLABELLED).sum()) for r in recordings)
    info = DatasetInfo(
        name="hapt", title="Postural transitions with smartphones (HAPT)", rate_hz=RATE_HZ, channels=CHANNELS,
        classes=CLASSES,
        protocol=Protocol(request.window or WINDOW, request.hop or HOP, "", "macro F1", False, words),
        citation="J.-L. Reyes-Ortiz, L. Oneto, A. Samà, X. Parra, D. Anguita: Transition-aware human activity "
                 "recognition using smartphones. Neurocomputing 171, 2016",
        licence="terms of the README in the archive: citation required, no commercial use",
        licence_notice="HAPT: the README of the dataset prohibits any commercial use.",
        notes=(saturation, f"{unlabelled:,} samples between activities are labelled by nobody and dropped.",
               *(() if other is None else (other,))),
        continuous=True)
    return divide(info, recordings, split, {SUBJECTS: Division(
        f"by subject, as UCI-HAR: people {', '.join(TEST_SUBJECTS)} of 30 are the test set",
        lambda r: r.subject in TEST_SUBJECTS)})


def read_hapt(path: Path) -> tuple[list[Recording], str]:
    """Parse all recordings, in the order of the experiments, and a sentence on saturation.

    Raises
    ------
    DataError    a member is missing or damaged (names member and line)
    """
    tables: dict[tuple[int, int, str], np.ndarray] = {}
    labels: np.ndarray | None = None
    for name, raw in iterate_members(path, lambda n: n.endswith("RawData/labels.txt") or bool(_MEMBER.search(n)),
                                     inner=_INNER_NAME):
        if (match := _MEMBER.search(name)) is None:
            labels = parse_table(raw, f"{path.name}: {name}", 5).astype(np.int64)
        else:
            kind, experiment, user = match.groups()
            tables[int(experiment), int(user), kind] = parse_table(raw, f"{path.name}: {name}", 3)
    if labels is None or len(tables) != 2 * EXPERIMENTS:
        raise DataError(f"{path} lacks members: {len(tables)} of {2 * EXPERIMENTS} signal files of RawData"
                        f"{', labels.txt is missing' if labels is None else ''}.", _AGAIN)
    recordings, saturated = [], np.zeros(len(CHANNELS), np.int64)
    for experiment, user in sorted({key[:2] for key in tables}):
        recording, beyond = _recording(path, tables, labels, experiment, user)
        recordings.append(recording)
        saturated += beyond
    return recordings, describe_saturation(saturated, sum(len(r.counts) for r in recordings), CHANNELS)


def _recording(path: Path, tables: dict[tuple[int, int, str], np.ndarray], labels: np.ndarray, experiment: int,
               user: int) -> tuple[Recording, np.ndarray]:
    """One experiment; a row of labels.txt is experiment, user, activity, first and last sample (from 1)."""
    name = f"exp{experiment:02d}_user{user:02d}"
    pair = [tables.get((experiment, user, kind)) for kind in ("acc", "gyro")]
    if pair[0] is None or pair[1] is None or len(pair[0]) != len(pair[1]):
        raise DataError(f"{path}: acc_{name}.txt and gyro_{name}.txt differ in length, or one is missing.", _AGAIN)
    counts, beyond = to_counts(np.hstack([pair[0], pair[1]]), CHANNELS)
    y = np.full(len(counts), UNLABELLED, np.int16)
    for line in np.flatnonzero((labels[:, 0] == experiment) & (labels[:, 1] == user)):
        activity, first, last = labels[line, 2:]
        if not (1 <= activity <= len(CLASSES) and 1 <= first <= last <= len(counts)):
            raise DataError(f"{path}: RawData/labels.txt, line {line + 1}: activity {activity} from sample {first} "
                            f"to {last} does not fit {name} with {len(counts)} samples and {len(CLASSES)} classes.",
                            _AGAIN)
        y[first - 1 : last] = activity - 1
    return Recording(name, f"{user:02d}", RATE_HZ, counts, y), beyond
