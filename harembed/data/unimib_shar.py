"""UniMiB-SHAR: nine activities and eight kinds of fall of 30 people, in windows as published, 50 Hz.

Format, from readme.txt of the archive: data/acc_data.mat is [11771, 453] (151 samples of x, then of y, then of
z), data/acc_labels.mat is [11771, 3] (class, subject, trial). No unit is stated; it is taken as m/s², which the
phone's system delivers. The windows are cut around peaks above 1.5 g, so there is no hop and nothing continuous.
All 17 classes are kept; there is no null class.
"""

from pathlib import Path

import numpy as np

from harembed.data.archive import iterate_members
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
from harembed.data.mat import read_matrix
from harembed.data.recording import Channel, Windows, describe_saturation, to_counts
from harembed.data.source import ArchiveSource, describe_checksum, find_or_download
from harembed.data.split import LEAKING, LOSO, SUBJECTS
from harembed.errors import DataError

WINDOW = 151  # samples, fixed by the publication
# In the order of acc_names.mat.
CLASSES = ("StandingUpFS", "StandingUpFL", "Walking", "Running", "GoingUpS", "Jumping", "GoingDownS", "LyingDownFS",
           "SittingDown", "FallingForw", "FallingRight", "FallingBack", "HittingObstacle", "FallingWithPS",
           "FallingBackSC", "Syncope", "FallingLeft")
TEST_SUBJECTS = tuple(f"{s:02d}" for s in range(25, 31))  # the last six of 30, fixed before anything was trained
CHANNELS = tuple(Channel(f"acc_{axis}", "acc", "m/s2", 1 / 1024, place="pocket") for axis in "xyz")

SOURCE = ArchiveSource(
    title="UniMiB-SHAR", names=("UniMiB-SHAR.zip", "UniMiB-SHAR"),
    url="https://www.dropbox.com/s/raw/x2fpfqj0bpf8ep6/UniMiB-SHAR.zip",  # as the authors' page links it
    download_name="UniMiB-SHAR.zip", sha256=None, git_blob=None, official=())
_AGAIN = f"Get the archive again from {SOURCE.url}."


def load_unimib_shar(request: Request) -> Dataset:
    """Load with people 25 to 30 held out.

    Raises
    ------
    DataError    unknown variant or split, another window than the published one, or a damaged archive
    """
    _, split = choose(request, "unimib-shar", (), (SUBJECTS, LOSO, LEAKING))
    for asked, what in ((request.window, "window"), (request.hop, "hop")):
        if asked not in (None, WINDOW):
            raise DataError(f"UniMiB-SHAR is published in windows of {WINDOW} samples, a {what} of {asked} cannot be "
                            "had.", f"Leave --{what} out.")
    path = find_or_download(SOURCE, request.data_root)
    pool, saturation = read_unimib_shar(path)
    words, other = describe_checksum(SOURCE, path)
    info = DatasetInfo(
        name="unimib-shar", title="UniMiB-SHAR", rate_hz=50.0, channels=CHANNELS, classes=CLASSES,
        protocol=Protocol(WINDOW, WINDOW, "by subject: people 25 to 30 of 30 are the test set", "macro F1", False,
                          words),
        citation="D. Micucci, M. Mobilio, P. Napoletano: UniMiB SHAR: a dataset for human activity recognition using "
                 "acceleration data from smartphones. Applied Sciences 7(10), 2017",
        licence="terms of the README in the archive: citation required",
        licence_notice="UniMiB-SHAR: publications must cite Micucci et al. 2017.",
        notes=(saturation, "The paper's subject-independent figures leave one person out: --split loso=01 and so on. "
               "Published figures on random divisions (70/30, five folds) have every person on both "
               f"sides: --split {LEAKING} does so, and leaks.", *(() if other is None else (other,))))
    if split == LEAKING:
        return leaking_dataset(info, pool, None)
    if split != SUBJECTS:
        return leave_one_out(info, pool, split)
    return from_windows(info, pool, np.isin(pool.subject, TEST_SUBJECTS))


def read_unimib_shar(path: Path) -> tuple[Windows, str]:
    """Parse all windows and a sentence on saturation; a recording is one trial of one person and class.

    Raises
    ------
    DataError    a member is missing or damaged (names member and row)
    """
    wanted = {"acc_data": 3 * WINDOW, "acc_labels": 3}
    found: dict[str, np.ndarray] = {}
    for name, raw in iterate_members(path, lambda n: _stem(n) in wanted):
        found[_stem(name)] = read_matrix(raw, f"{path.name}: {name}", _stem(name), wanted[_stem(name)])
    if missing := sorted(wanted.keys() - found.keys()):
        raise DataError(f"{path} lacks data/{missing[0]}.mat.", _AGAIN)
    data, labels = found["acc_data"], found["acc_labels"].astype(np.int64)
    if len(data) != len(labels):
        raise DataError(f"{path}: acc_data has {len(data)} rows, acc_labels has {len(labels)}.", _AGAIN)
    wrong = np.flatnonzero((labels[:, 0] < 1) | (labels[:, 0] > len(CLASSES)))
    if wrong.size:
        raise DataError(f"{path}: acc_labels, row {wrong[0] + 1}, column 1: class {labels[wrong[0], 0]} is not in 1 "
                        f"to {len(CLASSES)}.", _AGAIN)
    values = data.reshape(-1, 3, WINDOW).transpose(0, 2, 1)  # [N, 151, 3]
    counts, saturated = to_counts(values, CHANNELS)
    people = np.array([f"{s:02d}" for s in labels[:, 1]])
    trials = np.array([f"{s:02d}-{CLASSES[c - 1]}-{t}" for c, s, t in labels])
    return (Windows(counts, labels[:, 0] - 1, people, trials),
            describe_saturation(saturated, len(data) * WINDOW, CHANNELS))


def _stem(name: str) -> str:
    return name.rsplit("/", 1)[-1].removesuffix(".mat") if name.endswith(".mat") else ""
