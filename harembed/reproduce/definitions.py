"""What a table of a paper is, as data: rows with the figures as printed, and how this project makes them again."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from harembed.errors import RunError, unknown_name

Metric = Literal["macro_f1", "weighted_f1"]
# How far a network goes: scored in float; fine-tuned to int8 and scored as integers; built and run on the simulator.
Until = Literal["float", "int8", "firmware"]
ALL_WINDOWS = 1_000_000_000  # search_windows of papers, whose searches learn from all that they have


def key_of(name: str) -> str:
    """A row's name as an option and a folder: "DCL + PaS" is "dcl-pas"."""
    return re.sub(r"[^a-z0-9.]+", "-", name.lower()).strip("-")


@dataclass(frozen=True)
class Printed:
    """A row's figures in the paper, scores in per cent as they are printed there; None where it prints none."""

    parameters: float | None = None
    mmacs: float | None = None  # million multiply-accumulates of one inference
    macro_f1: float | None = None
    weighted_f1: float | None = None
    accuracy: float | None = None
    macro_f1_std: float | None = None  # over trainings, as the next two
    weighted_f1_std: float | None = None
    accuracy_std: float | None = None
    hours: float | None = None  # of the search


@dataclass(frozen=True)
class Row:
    """One row.

    Attributes
    ----------
    name : as printed
    settings : of harembed.settings.RunSettings, without dataset, seed and what the budget says
    series : rows of one series are joined by a line where the table is drawn
    effort : under which name budgets have it; by default that of its strategy
    against : key of the row whose score this one's is compared with
    """

    name: str
    printed: Printed
    settings: Mapping[str, Any]
    until: Until
    series: str = ""
    effort: str = ""

    def __post_init__(self) -> None:
        if not self.effort:
            object.__setattr__(self, "effort", str(self.settings["strategy"]))
    against: str = ""

    @property
    def key(self) -> str:
        """What --only takes, and the name of run folders."""
        return key_of(self.name)

    @property
    def strategy(self) -> str:
        return str(self.settings["strategy"])

    @property
    def predicted(self) -> bool:
        """Whether its search needs predictors, and so a database of networks."""
        return "predict_at" in self.settings


@dataclass(frozen=True)
class Database:
    """Random networks that performance predictors are fitted on, see harembed/predictor.py.

    Attributes
    ----------
    networks, twice : how many, and how many of them are trained a second time
    epochs : of every training
    at : epochs after which to predict
    settings : of RunSettings, without dataset; its seed is 0
    minutes : on two cores, the fit included; measured or extrapolated
    """

    networks: int
    twice: int
    epochs: int
    at: tuple[int, ...]
    settings: Mapping[str, Any]
    minutes: float


@dataclass(frozen=True)
class Budget:
    """How much training a row gets.

    Attributes
    ----------
    seeds : how many; they are 0, 1, ...
    settings : by effort of the rows, of RunSettings
    minutes : by effort, of one run on two cores; measured or extrapolated; for the time left, too
    database : that rows are predicted by, or that a figure shows
    """

    seeds: int
    settings: Mapping[str, Mapping[str, Any]]
    minutes: Mapping[str, float]
    database: Database | None = None


@dataclass(frozen=True)
class Table:
    """A table or figure of a paper.

    Attributes
    ----------
    name : what the command takes
    title : paper and number
    subject : what the dataset is called
    dataset : as harembed.data.load_dataset takes it
    archive : file that must be at hand
    metric : the paper's
    by_subject : whether the paper's split tests on new people; then the honest figure is the same
    new_people : in words, where the column of new people comes from
    settings : of RunSettings, of every row
    remarks : what differs from the paper
    drawn : whether the page has the two plots of figure 5
    paired : names of rows, seeds of the first are compared with those of the second
    best_group : of a figure on predictors, which has no rows but a database: correlations that the paper's text
        prints for the best 20 % of networks, by (predictor, epochs)
    """

    name: str
    title: str
    subject: str
    dataset: str
    archive: str
    metric: Metric
    by_subject: bool
    new_people: str
    rows: tuple[Row, ...]
    budgets: Mapping[str, Budget]
    settings: Mapping[str, Any] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()
    drawn: bool = False
    paired: tuple[tuple[str, str], ...] = ()
    best_group: Mapping[tuple[str, int], float] = field(default_factory=dict)

    def select(self, only: list[str]) -> tuple[Row, ...]:
        """The rows of these keys or names, in the table's order; all if none is named.

        Raises
        ------
        RunError    names a row that does not exist
        """
        wanted = [key_of(name) for name in only]
        keys = [row.key for row in self.rows]
        if wanted and not keys:
            raise RunError(f"{self.name} has no rows to choose from.", "Leave out --only.")
        for key in wanted:
            if key not in keys:
                raise RunError(unknown_name(f"row in {self.name}", key, keys), f"Use --only {keys[0]}.")
        return tuple(row for row in self.rows if not wanted or row.key in wanted)

    def shortened(self, given: Budget, rows: Sequence[Row]) -> list[str]:
        """In what a budget differs from the paper's for these rows, in words."""
        full = self.budgets["paper"]
        found = [] if given.seeds >= full.seeds else [f"{_count(given.seeds, 'seed')} instead of {full.seeds}"]
        if given.database is not None and full.database is not None and self.needs_database(rows):
            found += _differences("database", _flat(full.database), _flat(given.database))
        for effort in dict.fromkeys(row.effort for row in rows):
            found += _differences(effort, full.settings[effort], given.settings[effort])
        return found

    def needs_database(self, rows: Sequence[Row]) -> bool:
        """Whether these rows are predicted, or the table is a figure on predictors."""
        return not self.rows or any(row.predicted for row in rows)


def _flat(database: Database) -> dict[str, Any]:
    return {"networks": database.networks, "twice": database.twice, "epochs": database.epochs,
            "at": " ".join(map(str, database.at)), **database.settings}


def _differences(what: str, want: Mapping[str, Any], have: Mapping[str, Any]) -> list[str]:
    """One line in words, or none."""
    less = [f"{key} {have.get(key, 'default')} instead of {want.get(key, 'default')}"
            for key in dict.fromkeys([*want, *have]) if want.get(key) != have.get(key)]
    return [f"{what}: {', '.join(less)}"] if less else []


def _count(n: int, what: str) -> str:
    return f"{n} {what}" if n == 1 else f"{n} {what}s"
