"""MotionSense: six activities of 24 people with a phone in the front pocket of the trousers, 50 Hz.

Variants: none (rotation rate, user acceleration, gravity: 9 channels as the phone delivers them), `raw`
(total acceleration = user acceleration + gravity, and rotation rate: what a bare IMU measures) and `trials`
(the first nine channels in the split of Malekzadeh et al. and of the SFTNAS paper).
"""

from pathlib import Path

import numpy as np

from harembed.data.archive import iterate_members, parse_table
from harembed.data.dataset import Dataset, DatasetInfo, Division, Protocol, Request, choose, divide
from harembed.data.recording import Channel, Recording, describe_saturation, to_counts
from harembed.data.source import ArchiveSource, describe_checksum, find_or_download
from harembed.data.split import LEAKING, LOSO, SUBJECTS
from harembed.errors import DataError

RATE_HZ = 50.0
WINDOW, HOP = 128, 64
TRIALS = "trials"
TRIALS_HOP = 118  # SFTNAS paper, sec. IV-A: windows of 128 readings that overlap by 10
TEST_SUBJECTS = tuple(f"{s:02d}" for s in range(19, 25))  # the last six of 24, fixed before anything was trained
# In the order of the authors' code.
ACTIVITIES = {"dws": "downstairs", "ups": "upstairs", "wlk": "walking", "jog": "jogging", "std": "standing",
              "sit": "sitting"}
TRIAL_NUMBERS = {"dws": (1, 2, 11), "ups": (3, 4, 12), "wlk": (7, 8, 15), "jog": (9, 16), "std": (6, 14),
                 "sit": (5, 13)}
LAST_TRAINING_TRIAL = 10  # in the split by trials
SUBJECT_NUMBERS = range(1, 25)
HEADER = ("", *(f"attitude.{a}" for a in ("roll", "pitch", "yaw")),
          *(f"{group}.{axis}" for group in ("gravity", "rotationRate", "userAcceleration") for axis in "xyz"))

_GYRO = tuple(Channel(f"rotationRate.{axis}", "gyro", "rad/s", 1 / 1024, place="pocket") for axis in "xyz")
# The phone separates gravity by its own sensor fusion, which the firmware does not have.
CHANNELS = (*_GYRO,
            *(Channel(f"userAcceleration.{axis}", "body_acc", "g", 1 / 4096, False, "pocket") for axis in "xyz"),
            *(Channel(f"gravity.{axis}", "gravity", "g", 1 / 16384, False, "pocket") for axis in "xyz"))
RAW_CHANNELS = (*(Channel(f"totalAcceleration.{axis}", "acc", "g", 1 / 2048, place="pocket") for axis in "xyz"),
                *_GYRO)
VARIANTS: dict[str | None, tuple[Channel, ...]] = {None: CHANNELS, "raw": RAW_CHANNELS}

# The git id of the archive in the tree of the authors' repository: no SHA-256 is published.
_GIT_BLOB = "78f9957d9f4d0a4b6457461009e1f2e0453a872d"
_COMMIT = "261cb0d60611a049ab38127738e42cc510ed50f4"
SOURCE = ArchiveSource(
    title="MotionSense", names=("A_DeviceMotion_data.zip", "A_DeviceMotion_data.tar.xz", "A_DeviceMotion_data"),
    url=f"https://github.com/mmalekzadeh/motion-sense/raw/{_COMMIT}/data/A_DeviceMotion_data.zip",
    download_name="A_DeviceMotion_data.zip", sha256=None, git_blob=_GIT_BLOB,
    official=(f"git blob {_GIT_BLOB}",))


def load_motionsense(request: Request) -> Dataset:
    """Load with people 19 to 24 held out for test, or in the split by trials.

    Raises
    ------
    DataError    unknown variant or split, or a damaged archive
    """
    variant, split = choose(request, "motionsense", ("raw",), (SUBJECTS, TRIALS, LOSO, LEAKING))
    path = find_or_download(SOURCE, request.data_root)
    channels = VARIANTS[variant]
    recordings, saturation = read_motionsense(path, channels)
    words, other = describe_checksum(SOURCE, path)
    info = DatasetInfo(
        name="motionsense" if request.variant is None else f"motionsense:{request.variant}",
        title="MotionSense (device motion)", rate_hz=RATE_HZ, channels=channels, classes=tuple(ACTIVITIES.values()),
        protocol=Protocol(request.window or WINDOW, request.hop or (TRIALS_HOP if split == TRIALS else HOP),
                          "", "macro F1", False, words),
        citation="M. Malekzadeh, R. G. Clegg, A. Cavallaro, H. Haddadi: Mobile sensor data anonymization. "
                 "IoTDI 2019",
        licence="MIT", licence_notice="MotionSense is under the MIT licence of its authors' repository.",
        notes=(saturation, *(() if other is None else (other,))))
    return divide(info, recordings, split, _DIVISIONS)


def _trial(recording: Recording) -> int:
    return int(recording.name.rsplit("-", 1)[1])


_DIVISIONS = {
    SUBJECTS: Division("by subject: people 19 to 24 of 24 are the test set", lambda r: r.subject in TEST_SUBJECTS),
    TRIALS: Division("by trial: the short trials (11 to 16) are the test set; the same 24 people are in train and "
                     "test, so this is not subject-independent and too high for new people",
                     lambda r: _trial(r) > LAST_TRAINING_TRIAL),
}


def read_motionsense(path: Path, channels: tuple[Channel, ...]) -> tuple[list[Recording], str]:
    """Parse all 360 recordings, sorted by subject and trial, and a sentence on saturation.

    Raises
    ------
    DataError    a member is missing or damaged (names member and line)
    """
    wanted = {f"{activity}_{trial}/sub_{subject}.csv": (activity, trial, subject) for activity in ACTIVITIES
              for trial in TRIAL_NUMBERS[activity] for subject in SUBJECT_NUMBERS}
    found: dict[tuple[int, int], Recording] = {}
    saturated, samples = np.zeros(len(channels), np.int64), 0
    for name, raw in iterate_members(path, lambda n: _tail(n) in wanted):
        activity, trial, subject = wanted[_tail(name)]
        values = _values(parse_csv(raw, f"{path.name}: {name}"), channels)
        counts, beyond = to_counts(values, channels)
        saturated, samples = saturated + beyond, samples + len(counts)
        labels = np.full(len(counts), list(ACTIVITIES).index(activity), np.int16)
        person = f"{subject:02d}"
        found[subject, trial] = Recording(f"{person}-{activity}-{trial}", person, RATE_HZ, counts, labels)
    missing = [n for n, (_, trial, subject) in wanted.items() if (subject, trial) not in found]
    if missing:
        raise DataError(f"{path} lacks {len(missing)} of {len(wanted)} recordings, the first is {missing[0]}.",
                        f"Get the archive again from {SOURCE.url}.")
    return [found[key] for key in sorted(found)], describe_saturation(saturated, samples, channels)


def parse_csv(raw: bytes, where: str) -> np.ndarray:
    """Parse one official csv into [T, 13] float64 (an index, then HEADER's columns)."""
    header = tuple(raw.split(b"\n", 1)[0].decode("utf-8", "replace").strip().split(","))
    if header != HEADER:
        raise DataError(f"{where}, line 1: the header is {','.join(header)[:80]!r}, expected "
                        f"{','.join(HEADER)[:40]!r}...", f"Get the archive again from {SOURCE.url}.")
    return parse_table(raw, where, len(HEADER), delimiter=",", header_lines=1)


def _values(table: np.ndarray, channels: tuple[Channel, ...]) -> np.ndarray:
    columns = {name: table[:, i] for i, name in enumerate(HEADER)}
    for axis in "xyz":
        columns[f"totalAcceleration.{axis}"] = columns[f"gravity.{axis}"] + columns[f"userAcceleration.{axis}"]
    return np.stack([columns[c.name] for c in channels], axis=1)


def _tail(name: str) -> str:
    """The last folder and the file name."""
    return "/".join(name.split("/")[-2:])
