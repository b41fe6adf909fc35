"""Divide windows by whole subjects, so that no person is on both sides.

Overlapping windows of one recording resemble each other: dividing them at random raises accuracy by 10 to
16 points over a split by subject. That is refused here unless asked for by the name LEAKING.
"""

from collections.abc import Iterable

import numpy as np

from harembed.data.recording import Windows
from harembed.errors import DataError, unknown_name

SUBJECTS = "subjects"
LOSO = "loso"  # asked for as loso=SUBJECT: one fold of leave-one-subject-out
RECORDINGS = "recordings"
LEAKING = "leaking-random-windows"
SPLITS = (SUBJECTS, RECORDINGS, LOSO, LEAKING)
_TRIES = 100  # draws before a split is accepted in which a class is missing on one side


def hold_out_subjects(windows: Windows, fraction_or_count: float, seed: int) -> tuple[Windows, Windows]:
    """Divide windows into (train, held out) by whole subjects.

    Subjects are drawn at random; of up to 100 draws the first in which every class exists on both sides is
    taken, else the one that misses the fewest.

    Parameters
    ----------
    fraction_or_count : float or int    below 1 a fraction of the subjects (rounded, at least one), else how many

    Raises
    ------
    DataError    fewer than two subjects, or none would be left to train
    """
    held = _draw_groups(windows.subject, windows.y, fraction_or_count, seed, "subject")
    return windows.select(~held), windows.select(held)


def hold_out_recordings(windows: Windows, fraction_or_count: float, seed: int) -> tuple[Windows, Windows]:
    """Divide windows into (train, held out) by whole recordings; the same people are on both sides."""
    held = _draw_groups(windows.recording, windows.y, fraction_or_count, seed, "recording")
    return windows.select(~held), windows.select(held)


def hold_out_windows(windows: Windows, fraction: float, seed: int, split: str) -> tuple[Windows, Windows]:
    """Divide single windows at random, whatever recording they come from: the result leaks.

    Raises
    ------
    DataError    `split` does not name what it is (LEAKING)
    """
    if split != LEAKING:
        raise DataError(f"Windows of one recording would come into train and test (split {split!r}).",
                        f"Split by subject, or ask for it by name with --split {LEAKING}.")
    held = np.zeros(len(windows), bool)
    count = min(max(round(fraction * len(windows)), 1), len(windows) - 1)
    held[np.random.default_rng(seed).permutation(len(windows))[:count]] = True
    return windows.select(~held), windows.select(held)


def subject_folds(windows: Windows, k: int, seed: int) -> list[tuple[Windows, Windows]]:
    """k divisions (train, held out); every subject is held out exactly once.

    Raises
    ------
    DataError    k is below 2 or above the number of subjects
    """
    names = np.array(windows.subjects)
    if not 2 <= k <= len(names):
        raise DataError(f"{k} folds by subject need 2 <= folds <= {len(names)} subjects.")
    order = np.random.default_rng(seed).permutation(names)
    folds = []
    for fold in range(k):
        held = np.isin(windows.subject, order[fold::k])
        folds.append((windows.select(~held), windows.select(held)))
    return folds


def check_split(split: str, known: tuple[str, ...]) -> None:
    """Refuse the name of a split that a dataset does not have; LOSO in `known` stands for every loso=SUBJECT."""
    if LOSO in known and split.startswith(f"{LOSO}="):
        return
    if split not in known or split == LOSO:
        shown = [f"{LOSO}=SUBJECT" if name == LOSO else name for name in known]
        raise DataError(unknown_name("split", split, shown), f"Use --split {shown[0]}.")


def left_out(split: str, subjects: Iterable[str]) -> tuple[str, str]:
    """The person whom loso=SUBJECT names, and the split in words.

    Raises
    ------
    DataError    nobody of that name, or nobody else
    """
    person, people = split.partition("=")[2], sorted(set(subjects))
    if person not in people:
        raise DataError(unknown_name("subject", person, people), f"Use --split {LOSO}={people[0]}.")
    if len(people) < 2:
        raise DataError(f"{person} is the only person: nobody would be left to train on.", _way_out("subject"))
    return person, (f"by subject: {person} (of {len(people)} people) is the test set, one fold of "
                    "leave-one-subject-out; its score is that of one person")


def check_disjoint(train: Windows, test: Windows) -> None:
    """Refuse windows of one recording on both sides.

    Raises
    ------
    DataError    names a shared recording and counts all
    """
    shared = np.intersect1d(np.unique(train.recording), np.unique(test.recording))
    if shared.size:
        raise DataError(f"Windows of {shared.size} recordings are in train and test, {shared[0]} among them.",
                        f"Split by subject, or ask for it by name with --split {LEAKING}.")


def _draw_groups(groups: np.ndarray, y: np.ndarray, fraction_or_count: float, seed: int, what: str) -> np.ndarray:
    """Boolean mask [N] of the windows whose group is held out."""
    names = np.unique(groups)
    count = round(fraction_or_count * len(names)) if fraction_or_count < 1 else int(fraction_or_count)
    count = max(count, 1)
    if len(names) < 2:
        only = f"is only one {what} ({names[0]})" if len(names) else f"is no {what}"
        raise DataError(f"There {only}: the windows cannot be split by {what}.", _way_out(what))
    if count >= len(names):
        raise DataError(f"Holding out {count} of {len(names)} {what}s leaves none to train on.",
                        f"Hold out {len(names) - 1} or fewer.")
    rng = np.random.default_rng(seed)
    classes = np.unique(y).size
    best, fewest = np.zeros(len(y), bool), 2 * classes + 1
    for _ in range(_TRIES):
        held = np.isin(groups, rng.permutation(names)[:count])
        missing = 2 * classes - np.unique(y[held]).size - np.unique(y[~held]).size
        if missing < fewest:
            best, fewest = held, missing
        if not missing:
            break
    return best


def _way_out(what: str) -> str:
    if what == "subject":
        return (f"Record a second person; or use --split {RECORDINGS} (whole recordings of the same people), "
                f"or --split {LEAKING} (scores too high).")
    return f"Make a second recording; or use --split {LEAKING} (scores too high)."
