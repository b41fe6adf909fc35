"""The default dataset: smartwatch recordings of shoulder exercises, as they lie in the seglearn wheel.

The file is a pickled NumPy object array. It is read by an unpickler that can rebuild arrays of numbers,
lists, dicts and strings and nothing else, and seglearn itself (which wants pandas) is never imported.
"""

import importlib.metadata
import importlib.util
import pickle
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from harembed.data.archive import sha256_of
from harembed.data.dataset import Dataset, DatasetInfo, Division, Protocol, Request, choose, divide
from harembed.data.recording import Channel, Recording, describe_saturation, to_counts
from harembed.data.split import LEAKING, LOSO, SUBJECTS
from harembed.errors import DataError

RATE_HZ = 50.0
# Chosen from the training people alone: one of 20 repetitions takes 88 samples in the median recording and
# 131 in the slowest, so 192 samples (3.84 s) hold one whole repetition of everybody and two of most; a hop
# of 64 is a multiple of every product of strides up to six stride-2 layers.
WINDOW, HOP = 192, 64
TEST_SUBJECTS = ("08", "09", "10")  # the last three of ten, fixed before anything was trained
# As an IMU set to ±8 g (4,096 counts per g) and about ±2,000 degrees/s delivers them; nothing saturates.
CHANNELS = (*(Channel(f"a{axis}", "acc", "g", 1 / 4096, place="wrist") for axis in "xyz"),
            *(Channel(f"w{axis}", "gyro", "rad/s", 1 / 1024, place="wrist") for axis in "xyz"))


def load_watch(request: Request) -> Dataset:
    """Load the smartwatch set; both sides of a person are always on the same side of the split.

    Raises
    ------
    DataError    seglearn is not installed, its file is damaged, or holds anything but arrays of numbers
    """
    _, split = choose(request, "watch", (), (SUBJECTS, LOSO, LEAKING))
    path = watch_path()
    recordings, classes, saturation = read_watch(path)
    info = DatasetInfo(
        name="watch", title="Smartwatch shoulder exercises (seglearn)", rate_hz=RATE_HZ, channels=CHANNELS,
        classes=classes,
        protocol=Protocol(request.window or WINDOW, request.hop or HOP, "", "macro F1", False,
                          f"seglearn {importlib.metadata.version('seglearn')}, {path.name}, "
                          f"sha256 {sha256_of(path)}"),
        citation="D. M. Burns, N. Leung, M. Hardisty, C. M. Whyne, P. Henry, S. McLachlin: Shoulder physiotherapy "
                 "exercise recognition: machine learning the inertial signals from a smartwatch. Physiological "
                 "Measurement 39(7), 2018. arXiv:1802.01489",
        licence="BSD-3-Clause (seglearn)",
        licence_notice="The recordings come with the seglearn package under its BSD licence.",
        notes=(saturation, "The file states no units: g and rad/s are read off the data (median norm of the "
                           "acceleration 1.07)."))
    return divide(info, recordings, split, {SUBJECTS: Division(
        f"by subject: people {', '.join(TEST_SUBJECTS)} of 10 are the test set, both their sides",
        lambda r: r.subject in TEST_SUBJECTS)})


def watch_path() -> Path:
    """Where the installed seglearn keeps the file."""
    spec = importlib.util.find_spec("seglearn")
    folders = spec.submodule_search_locations if spec is not None else None
    if not folders:
        raise DataError("The package seglearn, which carries the watch recordings, is not installed.",
                        "Type `pip install seglearn`.")
    return Path(folders[0]) / "data" / "watch_dataset.npy"


def read_watch(path: Path) -> tuple[list[Recording], tuple[str, ...], str]:
    """Read all recordings, the names of the classes, and a sentence on saturation."""
    data = _read_object(path)
    try:
        if list(data["X_labels"]) != [c.name for c in CHANNELS]:
            raise DataError(f"{path}: channels are {data['X_labels']}, expected {[c.name for c in CHANNELS]}.")
        classes = tuple(str(c) for c in data["y_labels"])
        columns = zip(data["X"], data["y"], data["subject"], data["side"], strict=True)
        recordings, saturated, total = [], np.zeros(len(CHANNELS), np.int64), 0
        for samples, label, subject, side in columns:
            name = f"{int(subject):02d}-{'right' if side else 'left'}-{classes[int(label)]}"
            if not np.isfinite(samples).all():
                raise DataError(f"{path}: recording {name} has a value that is not finite.")
            counts, beyond = to_counts(samples, CHANNELS)
            saturated, total = saturated + beyond, total + len(counts)
            recordings.append(Recording(name, f"{int(subject):02d}", RATE_HZ, counts,
                                        np.full(len(counts), int(label), np.int16)))
    except (KeyError, TypeError, ValueError, IndexError) as e:
        raise DataError(f"{path} is not the smartwatch file of seglearn: {e!r}.", _REINSTALL) from e
    return recordings, classes, describe_saturation(saturated, total, CHANNELS)


_REINSTALL = "Type `pip install --force-reinstall --no-deps seglearn`."


def _read_object(path: Path) -> dict[str, Any]:
    """The dict that a .npy file with a single pickled object holds."""
    try:
        with open(path, "rb") as f:
            version = np.lib.format.read_magic(f)
            if version != (1, 0):
                raise DataError(f"{path}: .npy version {version} instead of (1, 0).", _REINSTALL)
            shape, _, dtype = np.lib.format.read_array_header_1_0(f)
            if dtype != np.dtype(object) or shape != ():
                raise DataError(f"{path} holds {dtype} {shape}, not a single object.", _REINSTALL)
            array = _ArrayUnpickler(f).load()
        return dict(array.item())
    except (OSError, EOFError, ValueError, TypeError, AttributeError, KeyError, IndexError, MemoryError,
            UnicodeDecodeError, pickle.UnpicklingError) as e:
        raise DataError(f"{path} is missing or damaged: {e or type(e).__name__}.", _REINSTALL) from e


class _ArrayUnpickler(pickle.Unpickler):
    """Rebuilds NumPy arrays; every other class or function in the file is refused before it is called."""

    def __init__(self, file: BinaryIO) -> None:
        super().__init__(file)

    def find_class(self, module: str, name: str) -> Any:
        module = module.replace("numpy._core", "numpy.core")  # renamed in NumPy 2
        allowed: dict[tuple[str, str], Any] = {
            ("numpy.core.multiarray", "_reconstruct"): _empty_array,
            ("numpy", "ndarray"): np.ndarray,
            ("numpy", "dtype"): np.dtype,
            ("_codecs", "encode"): _latin1_bytes,
        }
        if (module, name) not in allowed:
            raise DataError(f"The data file asks for {module}.{name}; only NumPy arrays are read.", _REINSTALL)
        return allowed[module, name]


def _empty_array(subtype: type, shape: tuple[int, ...], typecode: bytes) -> np.ndarray:
    if subtype is not np.ndarray or shape != (0,):
        raise pickle.UnpicklingError(f"array of {subtype} {shape}")
    return np.ndarray.__new__(np.ndarray, shape, np.dtype(typecode.decode("ascii")))


def _latin1_bytes(text: str, encoding: str) -> bytes:
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"encoding {encoding}")
    return text.encode("latin1")
