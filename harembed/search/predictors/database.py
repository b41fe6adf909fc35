"""A database of random networks, each trained to the end, with its curve and what it was worth to new people.

One JSON object per line. A command that was killed goes on behind the last whole line, and one that asks for more
networks trains only what is missing. Some networks are trained a second time from other random numbers: how far two
trainings of one network agree is the ceiling of what a predictor can be asked for.
"""

import json
import os
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harembed.data.recording import Windows
from harembed.errors import RunError
from harembed.search.candidate import architecture_id, derived_seed
from harembed.search.dqn.draw import draw_within
from harembed.search.executor import workers
from harembed.search.predictors.curve import Curve
from harembed.search.predictors.features import Subject
from harembed.search.predictors.training import Division, divide, train_with_curve
from harembed.search.score import cost_scores
from harembed.search.settings import SearchSettings
from harembed.space import GraphArchitecture
from harembed.train.recipe import Recipe

FILE = "database.jsonl"
Told = Callable[[int, int, "Entry"], None]


@dataclass(frozen=True)
class Entry:
    """One training.

    Attributes
    ----------
    number : of the network, from 0
    run : 0; 1 for the second training of a network
    target : converged, of the target people: macro_f1, weighted_f1, accuracy
    """

    number: int
    run: int
    architecture: GraphArchitecture
    macs: float
    curve: Curve
    target: dict[str, float]

    @property
    def subject(self) -> Subject:
        return Subject(self.architecture.features, self.macs, self.curve)

    def to_dict(self) -> dict[str, Any]:
        return {"number": self.number, "run": self.run, "id": architecture_id(self.architecture),
                "describe": self.architecture.describe(), "macs": self.macs, "target": self.target,
                "curve": self.curve.to_dict(), "architecture": self.architecture.to_dict()}

    @staticmethod
    def from_dict(d: dict[str, Any]) -> "Entry":
        return Entry(d["number"], d["run"], GraphArchitecture.from_dict(d["architecture"]), d["macs"],
                     Curve.from_dict(d["curve"]), d["target"])


def build(windows: Windows, settings: SearchSettings, recipe: Recipe, networks: int, twice: int, folder: Path,
          told: Told = lambda done, of, entry: None) -> list[Entry]:
    """Draw networks within the limits of a search, train what the folder lacks.

    Parameters
    ----------
    windows : of all training subjects
    settings : limits, the space (settings.dqn), the seed, and how many processes
    recipe : of every training, to its end
    twice : how many of the networks are trained twice, the first ones

    Raises
    ------
    SearchError    the limits leave no networks
    RunError       the folder's file is damaged
    """
    drawn = draw_within(random.Random(derived_seed(settings.seed, "database")), windows, settings, networks)
    tasks = [(number, arch, 0) for number, arch in enumerate(drawn)]
    tasks += [(number, arch, 1) for number, arch in enumerate(drawn[:twice])]
    done = {(e.number, e.run): e for e in read_entries(folder / FILE)}
    left = []
    for number, arch, run in tasks:
        if (number, run) not in done:
            left.append((number, arch, run))
        elif done[number, run].architecture != arch:
            raise RunError(f"{folder / FILE} holds other networks than were drawn now.",
                           "Give the settings that it was begun with, or another folder with --out.")
    divided = (windows, settings.seed, settings.vectors, settings.device)
    with workers(settings.processes, divide, divided, _train) as run_tasks:
        found = run_tasks([(arch, recipe, derived_seed(settings.seed, architecture_id(arch), "database", run))
                           for _, arch, run in left])
        for turn, ((number, arch, run), (curve, target)) in enumerate(zip(left, found, strict=True), start=1):
            entry = Entry(number, run, arch, cost_scores(arch, settings).macs.value, curve, target)
            _append(folder / FILE, entry)
            done[number, run] = entry
            told(len(tasks) - len(left) + turn, len(tasks), entry)
    return [done[number, run] for number, _, run in tasks]


def _train(division: Division, arch: GraphArchitecture, recipe: Recipe, seed: int) -> tuple[Curve, dict[str, float]]:
    trained = train_with_curve(division.fold, arch, recipe, seed, recipe.epochs,
                               (division.x_target, division.y_target))
    assert trained.target is not None
    return trained.curve, trained.target


def _append(path: Path, entry: Entry) -> None:
    """A whole line, on the disk before the next training begins to count."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a", encoding="utf-8") as f:
        f.write(json.dumps(entry.to_dict(), ensure_ascii=False, allow_nan=False) + "\n")
        f.flush()
        os.fsync(f.fileno())


def read_entries(path: Path) -> list[Entry]:
    """What was trained so far; a last line that a killed process left half written is cut off.

    Raises
    ------
    RunError    names a line that is no entry
    """
    if not path.is_file():
        return []
    text = path.read_text(encoding="utf-8")
    whole = text[: text.rfind("\n") + 1]
    if whole != text:
        with open(path, "r+b") as f:
            f.truncate(len(whole.encode()))
    entries = []
    for number, line in enumerate(whole.splitlines(), start=1):
        try:
            entries.append(Entry.from_dict(json.loads(line)))
        except (ValueError, KeyError, TypeError) as e:
            raise RunError(f"{path}:{number} is no entry of a database: {e}.",
                           "Delete the line and all behind it; the networks are trained again.") from e
    return entries


def first_runs(entries: Sequence[Entry]) -> list[Entry]:
    return [e for e in entries if e.run == 0]


def pairs(entries: Sequence[Entry]) -> list[tuple[Entry, Entry]]:
    """First and second training of the networks that have both."""
    second = {e.number: e for e in entries if e.run == 1}
    return [(e, second[e.number]) for e in first_runs(entries) if e.number in second]
