"""Who the people of MotionSense are: sex, age, height and weight, from the table of its authors."""

import csv
from dataclasses import dataclass
from pathlib import Path

from harembed.data.motionsense import SOURCE as RECORDINGS
from harembed.data.source import ArchiveSource, find_or_download
from harembed.errors import DataError

HEADER = ["code", "weight", "height", "age", "gender"]
SOURCE = ArchiveSource(
    title="MotionSense, the people", names=("data_subjects_info.csv",),
    url=RECORDINGS.url.replace("A_DeviceMotion_data.zip", "data_subjects_info.csv"),
    download_name="data_subjects_info.csv", sha256=None, git_blob=None, official=())


@dataclass(frozen=True)
class Person:
    man: bool  # the table says 1
    age: int  # years
    height: int  # cm
    weight: int  # kg


def load_people(data_root: Path | None) -> dict[str, Person]:
    """People by the names that harembed.data.motionsense gives them, "01" to "24".

    Raises
    ------
    MissingDataError    the table is not at hand and cannot be downloaded
    DataError           it is not that table; names the line
    """
    path = find_or_download(SOURCE, data_root)
    try:
        rows = list(csv.reader(path.read_text(encoding="utf-8-sig").splitlines()))
    except (OSError, UnicodeDecodeError) as e:
        raise DataError(f"Cannot read {path}: {e}.", f"Get it again from {SOURCE.url}.") from e
    if not rows or rows[0] != HEADER:
        raise DataError(f"{path}, line 1: expected {','.join(HEADER)}.", f"Get it again from {SOURCE.url}.")
    people = {}
    for number, row in enumerate(rows[1:], start=2):
        try:
            code, weight, height, age, gender = map(int, row)
        except ValueError as e:
            raise DataError(f"{path}, line {number}: {','.join(row)!r} is not five whole numbers.",
                            f"Get it again from {SOURCE.url}.") from e
        people[f"{code:02d}"] = Person(gender == 1, age, height, weight)
    return people
