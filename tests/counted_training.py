"""Work that leaves a line in a file when it begins, for tests of executors: a module that their workers import."""

import os
import signal
import time
from pathlib import Path
from typing import Any

from harembed.search.score import train_and_score

LOG = "HAREMBED_TEST_TRAININGS"  # file


def counted(folds: Any, arch: Any, fold: int, recipe: Any, seed: int) -> float:
    note(f"begin {seed}")
    return train_and_score(folds, arch, fold, recipe, seed)


def note(line: str) -> None:
    with open(os.environ[LOG], "a") as f:
        f.write(line + "\n")


def twice(number: int) -> int:
    return 2 * number


def times(factor: int, number: int, killed_by: str) -> int:
    """The process is killed when there is a file of this name, which is the first time."""
    path = Path(killed_by)
    if killed_by and path.exists():
        path.unlink()
        os.kill(os.getpid(), signal.SIGKILL)
    return factor * number


def sleep(_: int, seconds: float) -> None:
    note("begin")
    time.sleep(seconds)
