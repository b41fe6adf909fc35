"""The csv format for the user's own recordings, and its reader."""

import csv
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from harembed.data.recording import Channel
from harembed.errors import DataError

CSV_FORMAT = """\
A file, or a folder of files with the same columns (all *.csv in it are read):

    # rate_hz: 50
    # classes: walk, run, rest
    # test_subjects: p3
    subject,label,recording,acc_x[g],acc_y[g],acc_z[g],gyro_z[rad/s]
    p1,walk,morning,0.013,-0.982,0.101,0.02
    p1,walk,morning,0.015,-0.979,0.099,0.03

Comment lines before the header:
  # rate_hz: 50          samples per second; needed without a column time_s
  # classes: walk, run   order of the classes; without it they are sorted
  # test_subjects: p3    who is held out for test; without it 30 % of the
                         subjects, drawn with seed 0
Columns, separated by commas, one row per sample; UTF-8, decimal points:
  subject     who; needed, because people in training and test must differ
  label       the class; needed; empty where a sample belongs to none
  recording   optional; a new file, subject or recording cuts, so keep the
              rows of one together
  time_s      optional; seconds, evenly spaced within a recording
  NAME[UNIT]  every other column is a channel
Channels become int16 counts, as a sensor delivers them. Counts per unit:
  g 4096, m/s2 400, rad/s 1024, deg/s 16, uT 16, deg 128, count 1
Other counts, and other units, as NAME[UNIT/COUNTS], e.g. acc_x[g/8192].
The channel's kind is its name up to the last "_" or "." (acc_x: acc).
"""

COUNTS_PER_UNIT = {"g": 4096.0, "m/s2": 400.0, "rad/s": 1024.0, "deg/s": 16.0, "uT": 16.0, "deg": 128.0, "count": 1.0}
_CHANNEL = re.compile(r"(?P<name>[^\[\]]+)\[(?P<unit>[^\[\]]+)\]")
_KEYS = ("rate_hz", "classes", "test_subjects")
_JITTER = 0.5  # a time step may differ from the median by this fraction of it


@dataclass(frozen=True, eq=False)
class CsvFile:
    """One file, checked, in physical units."""

    path: Path
    header_line: int
    channels: tuple[Channel, ...]
    rate_hz: float
    rate_stated: bool  # by a comment line, else computed from time_s
    classes: tuple[str, ...]  # empty: not declared in this file
    test_subjects: tuple[str, ...]
    values: np.ndarray  # [rows, C] float64
    labels: tuple[str, ...]  # [rows], "" where there is none
    first_line_of_label: dict[str, int]
    pieces: tuple[tuple[str, str, slice], ...]  # (name, subject, rows) of each recording


def read_csv_file(path: Path) -> CsvFile:
    """Read and check one file.

    Raises
    ------
    DataError    names the file and line of the first fault
    """
    try:
        lines = path.read_text("utf-8-sig").splitlines()
    except UnicodeDecodeError as e:
        raise DataError(f"{path}: byte {e.start} is not UTF-8.", "Save the file as UTF-8.") from e
    except OSError as e:
        raise DataError(f"{path} cannot be read: {e.strerror}.", "Check the path and its rights.") from e
    settings, header_line = _comments(path, lines)
    columns = [c.strip() for c in next(csv.reader([lines[header_line - 1]]))]
    channels, places = _columns(path, header_line, columns)
    rows, line_numbers = _rows(path, lines, header_line, len(columns))
    values = _numbers(path, rows, line_numbers, columns, [places[c.name] for c in channels])
    labels = tuple(r[places["label"]].strip() for r in rows)
    first = dict(zip(reversed(labels), reversed(line_numbers), strict=True))
    pieces = _pieces(path, rows, line_numbers, places)
    stated = _rate(path, settings)
    if stated is None and "time_s" not in places:
        raise DataError(f"{path}: the rate is not stated.",
                        "Write `# rate_hz: 50` (your rate) above the header, or add a column time_s.")
    rate_hz = stated
    if "time_s" in places:
        times = _numbers(path, rows, line_numbers, columns, [places["time_s"]])[:, 0]
        rate_hz = _rate_of_times(path, times, pieces, line_numbers, stated)
    assert rate_hz is not None
    return CsvFile(path, header_line, channels, rate_hz, stated is not None, _words(settings, "classes"),
                   _words(settings, "test_subjects"), values, labels, first, pieces)


def _comments(path: Path, lines: list[str]) -> tuple[dict[str, str], int]:
    """Settings above the header, and the header's line number."""
    settings: dict[str, str] = {}
    for number, line in enumerate(lines, start=1):
        text = line.strip()
        if not text:
            continue
        if not text.startswith("#"):
            return settings, number
        key, colon, value = text[1:].partition(":")
        if colon and (name := key.strip().lower().replace(" ", "_")) in _KEYS:
            settings[name] = f"{number}:{value.strip()}"
    raise DataError(f"{path} has no header line.", _need("subject,label,acc_x[g],..."))


def _need(header: str) -> str:
    return f"The first line that is no comment must name the columns, e.g. {header}"


def _columns(path: Path, line: int, columns: list[str]) -> tuple[tuple[Channel, ...], dict[str, int]]:
    """Channels in file order, and the place of every column by name."""
    for needed in ("subject", "label"):
        if needed not in columns:
            raise DataError(f"{path}, line {line}: the header has no column {needed!r}: {','.join(columns)[:60]!r}.",
                            _need("subject,label,acc_x[g],..."))
    places: dict[str, int] = {}
    channels = []
    for place, column in enumerate(columns):
        name = column
        if column not in ("subject", "label", "recording", "time_s"):
            channel = _channel(path, line, column)
            channels.append(channel)
            name = channel.name
        if name in places:
            raise DataError(f"{path}, line {line}: two columns are named {name!r}.", "Rename one of them.")
        places[name] = place
    if not channels:
        raise DataError(f"{path}, line {line}: the header has no channel.", _need("subject,label,acc_x[g],..."))
    return tuple(channels), places


def _channel(path: Path, line: int, column: str) -> Channel:
    """Parse NAME[UNIT] or NAME[UNIT/COUNTS]; m/s2 and the like contain a stroke themselves."""
    match = _CHANNEL.fullmatch(column)
    if match is None:
        raise DataError(f"{path}, line {line}: column {column!r} has no unit.",
                        f"Write the unit behind the name, e.g. {column}[g].")
    name, unit = match["name"].strip(), match["unit"].strip()
    counts = COUNTS_PER_UNIT.get(unit)
    if counts is None:
        unit, _, divisor = unit.rpartition("/")
        if not unit or not _is_number(divisor) or not 0 < float(divisor) < float("inf"):
            raise DataError(f"{path}, line {line}: column {column!r} has an unknown unit.",
                            f"Use one of {', '.join(COUNTS_PER_UNIT)}, or state the counts: {name}[UNIT/1000].")
        counts = float(divisor)
    return Channel(name, re.split(r"[_.](?=[^_.]*$)", name)[0], unit, 1 / counts)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _rows(path: Path, lines: list[str], header_line: int, columns: int) -> tuple[list[list[str]], list[int]]:
    """Split the data lines, with the line number of each."""
    rows, numbers = [], []
    for number, line in enumerate(lines[header_line:], start=header_line + 1):
        if not line.strip():
            continue
        # A quoted field has no place among numbers and short names, but commas in a label may be quoted.
        row = next(csv.reader([line])) if '"' in line else line.split(",")
        if len(row) != columns:
            raise DataError(f"{path}, line {number}: {len(row)} columns, the header has {columns}.",
                            "Correct that line; decimals need a point, not a comma.")
        rows.append(row)
        numbers.append(number)
    if not rows:
        raise DataError(f"{path} has a header but no sample.", "Leave the file out.")
    return rows, numbers


def _numbers(path: Path, rows: list[list[str]], line_numbers: list[int], columns: list[str],
             places: list[int]) -> np.ndarray:
    """Some columns as finite float64 [rows, len(places)]."""
    try:
        values = np.array([[float(row[p]) for p in places] for row in rows])
        if np.isfinite(values).all():
            return values
    except ValueError:
        pass
    for row, number in zip(rows, line_numbers, strict=True):
        for p in places:
            if not _is_number(row[p]):
                raise DataError(f"{path}, line {number}: {columns[p]} is {row[p].strip()!r}, not a number.",
                                "Correct that line, or fill the gap by interpolation.")
            if not np.isfinite(float(row[p])):
                raise DataError(f"{path}, line {number}: {columns[p]} is {row[p].strip()}, not a finite number.",
                                "Fill the gap by interpolation, or cut the recording there.")
    raise AssertionError("unreachable: a fault was found before")


def _pieces(path: Path, rows: list[list[str]], line_numbers: list[int],
            places: dict[str, int]) -> tuple[tuple[str, str, slice], ...]:
    """Recordings: runs of rows with the same subject and recording."""
    keys = []
    for row, line in zip(rows, line_numbers, strict=True):
        subject = row[places["subject"]].strip()
        if not subject:
            raise DataError(f"{path}, line {line}: the subject is empty.", "Name the person, e.g. p1.")
        keys.append((subject, row[places["recording"]].strip() if "recording" in places else ""))
    starts = [i for i in range(len(keys)) if i == 0 or keys[i] != keys[i - 1]]
    pieces, seen = [], set()
    for start, end in zip(starts, [*starts[1:], len(keys)], strict=True):
        subject, recording = keys[start]
        if keys[start] in seen:
            raise DataError(f"{path}, line {line_numbers[start]}: subject {subject!r}, recording {recording!r} goes "
                            "on after other rows.", "Keep the rows of a recording together, or name it anew.")
        seen.add(keys[start])
        pieces.append(("/".join(filter(None, (path.stem, subject, recording))), subject, slice(start, end)))
    return tuple(pieces)


def _rate(path: Path, settings: dict[str, str]) -> float | None:
    if "rate_hz" not in settings:
        return None
    line, _, text = settings["rate_hz"].partition(":")
    if not _is_number(text) or not 0 < float(text) < float("inf"):
        raise DataError(f"{path}, line {line}: rate_hz is {text!r}, not a positive number.",
                        "Write `# rate_hz: 50` with your rate.")
    return float(text)


def _rate_of_times(path: Path, times: np.ndarray, pieces: tuple[tuple[str, str, slice], ...],
                   line_numbers: list[int], stated: float | None) -> float:
    """Rate from the median step; refuse gaps and a contradiction to the stated rate."""
    steps = np.concatenate([np.diff(times[rows]) for _, _, rows in pieces])
    if not steps.size or np.median(steps) <= 0:
        raise DataError(f"{path}: time_s does not rise.", "Give seconds since the start of the recording.")
    step = float(np.median(steps))
    for _, _, rows in pieces:
        far = np.flatnonzero(np.abs(np.diff(times[rows]) - step) > _JITTER * step)
        if far.size:
            at = rows.start + int(far[0]) + 1
            raise DataError(f"{path}, line {line_numbers[at]}: time_s steps by {times[at] - times[at - 1]:.4g} s, "
                            f"the median step is {step:.4g} s.", "Cut the recording at the gap, or resample it.")
    mean_rate = sum(r.stop - r.start - 1 for _, _, r in pieces) / float(steps.sum())
    if stated is not None and abs(mean_rate - stated) > 0.02 * stated:
        raise DataError(f"{path}: time_s gives {mean_rate:.4g} Hz, `# rate_hz` says {stated:g} Hz.", "Correct one.")
    return stated if stated is not None else round(mean_rate, 2)


def _words(settings: dict[str, str], key: str) -> tuple[str, ...]:
    value = settings.get(key, "0:").partition(":")[2]
    return tuple(w for w in (word.strip() for word in value.split(",")) if w)
