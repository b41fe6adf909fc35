"""OPPORTUNITY: 17 gestures and the null class in a kitchen, 113 body-worn channels of four people, 30 Hz.

Format, from column_names.txt of the archive: dataset/S1-ADL1.dat and so on, 250 columns per line, integers,
NaN where missing. The 113 channels of the challenge (Chavarriaga et al. 2013) are the twelve accelerometers
(milli-g), acceleration, gyroscope and magnetometer of five IMUs (their quaternions are left out), and all of
both shoes. The label is column 250, ML_Both_Arms. The null class is kept as a class.

Missing values are interpolated linearly within a run, held at its ends, and 0 where a channel has none.
"""

import re
from pathlib import Path

import numpy as np

from harembed.data.archive import iterate_members, parse_table
from harembed.data.dataset import Dataset, DatasetInfo, Division, Protocol, Request, choose, divide
from harembed.data.gaps import fill_gaps
from harembed.data.partial import Holding, by_person, name_part
from harembed.data.recording import Channel, Recording, describe_saturation, to_counts
from harembed.data.source import describe_checksum, find_or_download, uci_archive
from harembed.data.split import LEAKING, LOSO, SUBJECTS
from harembed.data.windows import LAST
from harembed.errors import DataError

RATE_HZ = 30.0
WINDOW, HOP = 16, 8  # 500 ms, labelled by their last sample: Pellatt and Roggen 2021, sec. 3.3 (who state no hop)
CHALLENGE = "challenge"
CHALLENGE_TEST = ("S2-ADL4", "S2-ADL5", "S3-ADL4", "S3-ADL5")
CHALLENGE_PEOPLE = ("S1", "S2", "S3")
TEST_SUBJECTS = ("S4",)  # fixed before anything was trained
OFFICIAL = tuple(f"S{s}-{run}" for s in range(1, 5) for run in (*(f"ADL{i}" for i in range(1, 6)), "Drill"))
# Codes of ML_Both_Arms, from label_legend.txt.
GESTURES = {
    0: "null", 406516: "open door 1", 406517: "open door 2", 404516: "close door 1", 404517: "close door 2",
    406520: "open fridge", 404520: "close fridge", 406505: "open dishwasher", 404505: "close dishwasher",
    406519: "open drawer 1", 404519: "close drawer 1", 406511: "open drawer 2", 404511: "close drawer 2",
    406508: "open drawer 3", 404508: "close drawer 3", 408512: "clean table", 407521: "drink from cup",
    405506: "toggle switch"}
COLUMNS = 250
_ACCELEROMETERS = ("RKN^", "HIP", "LUA^", "RUA_", "LH", "BACK", "RKN_", "RWR", "RUA^", "LUA_", "LWR", "RH")
_IMUS = ("BACK", "RUA", "RLA", "LUA", "LLA")
_SHOES = ("L-SHOE", "R-SHOE")
# Euler angles, compass and what is in the navigation frame come from the shoe's own sensor fusion. They are no
# vectors in the frame of the shoe, so their names do not end like those of x, y and z of one.
_SHOE = (*((f"Eu{a} fused", "euler", "deg") for a in "XYZ"), *((f"Nav_A{a} fused", "acc_nav", "mg") for a in "xyz"),
         *((f"Body_A{a}", "acc", "mg") for a in "xyz"), *((f"AngVelBodyFrame{a}", "gyro", "raw") for a in "XYZ"),
         *((f"AngVelNavFrame{a} fused", "gyro_nav", "raw") for a in "XYZ"), ("Compass fused", "compass", "deg"))


def _channels() -> tuple[Channel, ...]:
    """In the order of the columns; all values of the files are integers, so a count is one unit."""
    found = [Channel(f"{place}.acc.{a}", "acc", "mg", 1.0, place=place) for place in _ACCELEROMETERS for a in "xyz"]
    for place in _IMUS:
        found += [Channel(f"IMU {place}.{kind}.{a}", kind, unit, 1.0, place=f"IMU {place}")
                  for kind, unit in (("acc", "mg"), ("gyro", "raw"), ("mag", "raw")) for a in "xyz"]
    found += [Channel(f"{shoe}.{name}", kind, unit, 1.0, kind in ("acc", "gyro"), shoe)
              for shoe in _SHOES for name, kind, unit in _SHOE]
    return tuple(found)


CHANNELS = _channels()
_READ = [*range(1, 37), *(37 + 13 * imu + i for imu in range(5) for i in range(9)), *range(102, 134)]  # from 0

_OUTER_NAME = "opportunity+activity+recognition.zip"
_INNER_NAME = "OpportunityUCIDataset.zip"
SOURCE = uci_archive(
    "OPPORTUNITY", 226, _OUTER_NAME, (_INNER_NAME, "OpportunityUCIDataset", _OUTER_NAME))
_AGAIN = f"Get the archive again from {SOURCE.url}."
_MEMBER = re.compile(r"(?:^|/)(S[1-4]-(?:ADL[1-5]|Drill))\.dat$")


def load_opportunity(request: Request) -> Dataset:
    """Load with person S4 held out, or in the split of the challenge; a partial archive is named as such.

    Raises
    ------
    DataError    unknown variant or split, or a damaged archive
    """
    _, split = choose(request, "opportunity", (), (SUBJECTS, CHALLENGE, LOSO, LEAKING))
    path = find_or_download(SOURCE, request.data_root)
    recordings, notes = read_opportunity(path)
    words, other = describe_checksum(SOURCE, path)
    people = [r.subject for r in recordings]
    info = name_part(DatasetInfo(
        name="opportunity", title="OPPORTUNITY gestures", rate_hz=RATE_HZ, channels=CHANNELS,
        classes=tuple(GESTURES.values()),
        protocol=Protocol(request.window or WINDOW, request.hop or HOP, "", "weighted F1", False, words, LAST),
        citation="R. Chavarriaga, H. Sagha, A. Calatroni, S. T. Digumarti, G. Tröster, J. del R. Millán, D. Roggen: "
                 "The Opportunity challenge: a benchmark database for on-body sensor-based activity recognition. "
                 "Pattern Recognition Letters 34(15), 2013",
        licence="CC BY 4.0 (UCI repository)",
        licence_notice="OPPORTUNITY is under CC BY 4.0: cite Chavarriaga et al. 2013.",
        notes=(*notes, "The null class is kept as a class: weighted F1 is mostly its F1.",
               *(() if other is None else (other,))),
        continuous=True, null_class=0),
        Holding([r.name for r in recordings], OFFICIAL, "runs"))
    divisions = {CHALLENGE: Division(
        "as the challenge: runs ADL4 and ADL5 of S2 and S3 are the test set, S4 is not used; S2 and S3 are in train "
        "and test, so this is not subject-independent and too high for new people", _challenge)}
    return divide(info, recordings, split, divisions | by_person(split, people, TEST_SUBJECTS))


def _challenge(recording: Recording) -> bool | None:
    return recording.name in CHALLENGE_TEST if recording.subject in CHALLENGE_PEOPLE else None


def read_opportunity(path: Path) -> tuple[list[Recording], tuple[str, ...]]:
    """Parse the runs that the archive holds, sorted, and sentences on saturation and missing values.

    Raises
    ------
    DataError    a file is damaged (names file and line), or there is none
    """
    recordings, saturated, missing, samples = [], np.zeros(len(CHANNELS), np.int64), 0, 0
    for name, raw in iterate_members(path, lambda n: bool(_MEMBER.search(n)), inner=_INNER_NAME):
        match = _MEMBER.search(name)
        assert match is not None
        where = f"{path.name}: {name}"
        table = parse_table(raw, where, COLUMNS, missing=True)
        missing += int(np.isnan(table[:, _READ]).sum())
        samples += len(table)
        counts, beyond = to_counts(fill_gaps(table[:, _READ])[0], CHANNELS)
        saturated += beyond
        recordings.append(Recording(match[1], match[1][:2], RATE_HZ, counts, _labels(table[:, -1], where)))
    if not recordings:
        raise DataError(f"{path} holds no file like dataset/S1-ADL1.dat.", _AGAIN)
    recordings.sort(key=lambda r: r.name)
    return recordings, (
        describe_saturation(saturated, samples, CHANNELS),
        f"{100 * missing / (samples * len(CHANNELS)):.1f} % of the values are missing and interpolated.")


def _labels(codes: np.ndarray, where: str) -> np.ndarray:
    """Class of each row [T] int16."""
    classes = np.full(len(codes), -1, np.int16)
    for index, code in enumerate(GESTURES):
        classes[codes == code] = index
    wrong = np.flatnonzero(classes < 0)
    if wrong.size:
        raise DataError(f"{where}, line {wrong[0] + 1}, column {COLUMNS}: {codes[wrong[0]]:g} is no code of "
                        "ML_Both_Arms.", _AGAIN)
    return classes
