"""Daphnet: freezing of gait of ten people with Parkinson's disease; three accelerometers, 64 Hz, continuous.

Annotation 0 ("not part of the experiment") is dropped: such samples are unlabelled, and windows mostly of
them are left out. Subjects 4 and 10 never froze.
"""

import re
from pathlib import Path

import numpy as np

from harembed.data.archive import iterate_members, parse_table
from harembed.data.dataset import Dataset, DatasetInfo, Protocol, Request, choose, divide
from harembed.data.partial import Holding, by_person, name_part
from harembed.data.recording import UNLABELLED, Channel, Recording, describe_saturation, to_counts
from harembed.data.source import describe_checksum, find_or_download, uci_archive
from harembed.data.split import LEAKING, LOSO, SUBJECTS
from harembed.errors import DataError

RATE_HZ = 64.0
WINDOW, HOP = 256, 32  # 4 s every 0.5 s: Bächlin et al. 2010
CLASSES = ("no freeze", "freeze")  # annotations 1 and 2
TEST_SUBJECTS = ("02",)  # Hammerla, Halloran, Plötz, IJCAI 2016 (their validation run is subject 9's first)
# In milli-g; single samples reach ±30 g.
CHANNELS = tuple(Channel(f"{place}_{axis}", "acc", "mg", 1.0, place=place) for place in ("ankle", "thigh", "trunk")
                 for axis in "xyz")
_RUNS = {1: 2, 2: 2, 3: 3, 4: 1, 5: 2, 6: 2, 7: 2, 8: 1, 9: 1, 10: 1}  # of each subject
OFFICIAL = tuple(f"S{subject:02d}R{run:02d}" for subject, runs in _RUNS.items() for run in range(1, runs + 1))

_OUTER_NAME = "daphnet+freezing+of+gait.zip"
_INNER_NAME = "dataset_fog_release.zip"
SOURCE = uci_archive(
    "Daphnet", 245, _OUTER_NAME,
    (_INNER_NAME, "dataset_fog_release", _OUTER_NAME, "dataset_fog_release_PARTIAL-7of17.zip"))
_AGAIN = f"Get the archive again from {SOURCE.url}."
_MEMBER = re.compile(r"(?:^|/)(S\d\dR\d\d)\.txt$")


def load_daphnet(request: Request) -> Dataset:
    """Load with subject 2 held out; an archive that lacks files is named as partial.

    Raises
    ------
    DataError    unknown variant or split, or a damaged archive
    """
    _, split = choose(request, "daphnet", (), (SUBJECTS, LOSO, LEAKING))
    path = find_or_download(SOURCE, request.data_root)
    recordings, saturation = read_daphnet(path)
    words, other = describe_checksum(SOURCE, path)
    people = [r.subject for r in recordings]
    frozen, outside = (sum(int((r.labels == label).sum()) for r in recordings) for label in (1, UNLABELLED))
    info = name_part(DatasetInfo(
        name="daphnet", title="Daphnet freezing of gait", rate_hz=RATE_HZ, channels=CHANNELS, classes=CLASSES,
        protocol=Protocol(request.window or WINDOW, request.hop or HOP, "", "macro F1", False, words),
        citation="M. Bächlin, M. Plotnik, D. Roggen, I. Maidan, J. M. Hausdorff, N. Giladi, G. Tröster: Wearable "
                 "assistant for Parkinson's disease patients with the freezing of gait symptom. IEEE Transactions "
                 "on Information Technology in Biomedicine 14(2), 2010",
        licence="terms of the README in the archive: citation required; CC BY 4.0 by the UCI repository",
        licence_notice="Daphnet: publications must cite Bächlin et al. 2010.",
        notes=(saturation, f"{frozen:,} samples of freezing; {outside:,} samples outside the experiment are dropped.",
               *(() if other is None else (other,))),
        continuous=True, null_class=0),
        Holding([r.name for r in recordings], OFFICIAL, "files"))
    return divide(info, recordings, split, by_person(split, people, TEST_SUBJECTS))


def read_daphnet(path: Path) -> tuple[list[Recording], str]:
    """Parse the files that the archive holds, sorted by name, and a sentence on saturation.

    Raises
    ------
    DataError    a file is damaged (names file and line), or there is none
    """
    recordings, saturated = [], np.zeros(len(CHANNELS), np.int64)
    for name, raw in iterate_members(path, lambda n: bool(_MEMBER.search(n)), inner=_INNER_NAME):
        where = f"{path.name}: {name}"
        table = parse_table(raw, where, 2 + len(CHANNELS))  # time in ms, channels, annotation
        annotation = table[:, -1]
        wrong = np.flatnonzero(~np.isin(annotation, (0, 1, 2)))
        if wrong.size:
            raise DataError(f"{where}, line {wrong[0] + 1}, column {table.shape[1]}: annotation "
                            f"{annotation[wrong[0]]:g} is not 0, 1 or 2.", _AGAIN)
        counts, beyond = to_counts(table[:, 1:-1], CHANNELS)
        saturated += beyond
        stem = name.rsplit("/", 1)[-1].removesuffix(".txt")
        recordings.append(Recording(stem, stem[1:3], RATE_HZ, counts, (annotation - 1).astype(np.int16)))
    if not recordings:
        raise DataError(f"{path} holds no file like S01R01.txt.", _AGAIN)
    recordings.sort(key=lambda r: r.name)
    return recordings, describe_saturation(saturated, sum(len(r.counts) for r in recordings), CHANNELS)
