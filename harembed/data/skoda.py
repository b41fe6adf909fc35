"""Skoda Mini Checkpoint: ten gestures of quality control at a car, 30 signals of the right arm, 98 Hz, one person.

Format, as its authors describe it: right_classall_clean.mat holds a matrix with one line per sample: the label,
then for each of ten accelerometers the node's number, x, y, z calibrated (milli-g) and x, y, z raw. The
calibrated ones are read; sensors are numbered here in the order of the columns. The null class (32) is dropped:
windows mostly of it are left out.

The split is in time, within each class: the first 80 % of its windows train, the next 10 % validate, the last
10 % test. There is one person only, so no split can be independent of the subject. So that choices can be
made on windows of another time, the tenths of each class are called block-01 to block-10 and stand where other
datasets have subjects: block-10 is the test set. Windows that overlap one of another block are left out.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np

from harembed.data.archive import iterate_members
from harembed.data.dataset import Dataset, DatasetInfo, Protocol, Request, choose, from_windows, leaking_dataset
from harembed.data.mat import read_matrix
from harembed.data.recording import UNLABELLED, Channel, Recording, Windows, describe_saturation, to_counts
from harembed.data.source import ArchiveSource, describe_checksum, find_or_download
from harembed.data.split import LEAKING
from harembed.data.windows import cut, label_windows
from harembed.errors import DataError

RATE_HZ = 98.0
WINDOW, HOP = 196, 98  # 2 s with 50 % overlap: SFTNAS paper, sec. IV-A
TIME = "time"
BLOCKS = 10  # the last one is the test set
NULL = 32
GESTURES = {
    48: "write on notepad", 49: "open hood", 50: "close hood", 51: "check gaps on the front door",
    52: "open left front door", 53: "close left front door", 54: "close both left doors", 55: "check trunk gaps",
    56: "open and close trunk", 57: "check steering wheel"}
SENSORS = 10
COLUMNS = 1 + 7 * SENSORS
CHANNELS = tuple(Channel(f"sensor{s}_{axis}", "acc", "mg", 0.5, place=f"sensor{s}") for s in range(1, SENSORS + 1)
                 for axis in "xyz")
_READ = [2 + 7 * sensor + axis for sensor in range(SENSORS) for axis in range(3)]  # from 0

SOURCE = ArchiveSource(
    title="Skoda Mini Checkpoint", names=("SkodaMiniCP_2015_08.zip", "SkodaMiniCP_2015_08"),
    url="http://har-dataset.org/lib/exe/fetch.php?media=wiki:dataset:skodaminicp:skodaminicp_2015_08.zip",
    download_name="SkodaMiniCP_2015_08.zip", sha256=None, git_blob=None, official=())
_AGAIN = f"Get the archive again from {SOURCE.url}"
_VARIABLE = "right_classall_clean"


def load_skoda(request: Request) -> Dataset:
    """Load with the last tenth of each class in time held out.

    Raises
    ------
    DataError    unknown variant or split, or a damaged archive
    """
    _, split = choose(request, "skoda", (), (TIME, LEAKING))
    path = find_or_download(SOURCE, request.data_root)
    recording, notes = read_skoda(path)
    words, other = describe_checksum(SOURCE, path)
    window, hop = request.window or WINDOW, request.hop or HOP
    info = DatasetInfo(
        name="skoda", title="Skoda Mini Checkpoint, right arm", rate_hz=RATE_HZ, channels=CHANNELS,
        classes=tuple(GESTURES.values()), protocol=Protocol(window, hop, "", "macro F1", False, words),
        citation="P. Zappi, C. Lombriser, T. Stiefmeier, E. Farella, D. Roggen, L. Benini, G. Tröster: Activity "
                 "recognition from on-body sensors: accuracy-power trade-off by dynamic sensor selection. EWSN 2008",
        licence="no licence is stated in the archive; cite Zappi et al. 2008",
        licence_notice="Skoda Mini Checkpoint: publications must cite Zappi et al. 2008.",
        notes=(*notes, *(() if other is None else (other,))))
    pool = cut(recording, window, hop)
    if split == LEAKING:
        return leaking_dataset(info, pool, None)
    starts, _ = label_windows(recording.labels, window, hop)
    blocked, lost = blocks_in_time(pool, starts, window)
    info = replace(
        info, notes=(*info.notes, f"{lost} windows overlap one of another block and are left out."),
        protocol=replace(info.protocol, split="in time, 80/10/10 of each class (block-10 is the test set, block-09 "
                         "the paper's validation set); one person only, so this is not subject-independent"))
    return from_windows(info, blocked, blocked.subject == _block_name(BLOCKS - 1))


def read_skoda(path: Path) -> tuple[Recording, tuple[str, ...]]:
    """Parse the whole recording, and sentences on saturation and the null class.

    Raises
    ------
    DataError    the file is missing or damaged (names row and column)
    """
    found = next(((n, raw) for n, raw in iterate_members(path, lambda n: n.endswith(f"{_VARIABLE}.mat"))), None)
    if found is None:
        raise DataError(f"{path} holds no {_VARIABLE}.mat.", _AGAIN)
    where = f"{path.name}: {found[0]}"
    matrix = read_matrix(found[1], where, _VARIABLE, COLUMNS)
    labels = np.full(len(matrix), UNLABELLED, np.int16)
    for index, code in enumerate(GESTURES):
        labels[matrix[:, 0] == code] = index
    null = matrix[:, 0] == NULL
    wrong = np.flatnonzero((labels == UNLABELLED) & ~null)
    if wrong.size:
        raise DataError(f"{where}: {_VARIABLE}, row {wrong[0] + 1}, column 1: label {matrix[wrong[0], 0]:g} is not "
                        f"{NULL} (null) or {min(GESTURES)} to {max(GESTURES)}.", _AGAIN)
    counts, saturated = to_counts(matrix[:, _READ], CHANNELS)
    return Recording("right-arm", "1", RATE_HZ, counts, labels), (
        describe_saturation(saturated, len(counts), CHANNELS),
        f"The null class is dropped: {int(null.sum()):,} of {len(null):,} samples.")


def blocks_in_time(pool: Windows, starts: np.ndarray, window: int) -> tuple[Windows, int]:
    """Number the tenths of each class in time; leave out windows that overlap one of another block.

    Parameters
    ----------
    starts : [N] int    first sample of each window, ascending
    window : int        samples

    Returns
    -------
    windows whose subject and recording are block-01 to block-10, and how many were left out
    """
    block = np.zeros(len(pool), np.int64)
    for c in np.unique(pool.y):
        mine = np.flatnonzero(pool.y == c)
        block[mine] = np.arange(len(mine)) * BLOCKS // len(mine)
    kept = np.ones(len(pool), bool)
    first = np.searchsorted(starts, starts - window, side="right")  # of the windows that overlap each one
    for i in range(len(pool)):
        earlier = slice(first[i], i)
        kept[i] = not (kept[earlier] & (block[earlier] != block[i])).any()
    names = np.array([_block_name(b) for b in block.tolist()])
    return Windows(pool.raw, pool.y, names, names).select(kept), int((~kept).sum())


def _block_name(block: int) -> str:
    return f"block-{block + 1:02d}"
