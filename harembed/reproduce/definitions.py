"""What a table of a paper is, as data: rows with the figures as printed, and how this project makes them again."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from harembed.errors import RunError, unknown_name

Metric = Literal["macro_f1", "weighted_f1"]
# How far a network goes: scored in float; fine-tuned to int8 and scored as integers; built and run on the simulator.
Until = Literal["float", "int8", "firmware"]


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


@dataclass(frozen=True)
class Row:
    """One row.

    Attributes
    ----------
    name : as printed
    settings : of harembed.settings.RunSettings, without dataset, seed and what the budget says
    series : rows of one series are joined by a line where the table is drawn
    against : key of the row whose score this one's is compared with
    """

    name: str
    printed: Printed
    settings: Mapping[str, Any]
    until: Until
    series: str = ""
    against: str = ""

    @property
    def key(self) -> str:
        """What --only takes, and the name of run folders."""
        return key_of(self.name)

    @property
    def strategy(self) -> str:
        return str(self.settings["strategy"])


@dataclass(frozen=True)
class Budget:
    """How much training a row gets.

    Attributes
    ----------
    seeds : how many; they are 0, 1, ...
    settings : by strategy, of RunSettings
    minutes : by strategy, of one run on two cores; measured or extrapolated; for the time left, too
    """

    seeds: int
    settings: Mapping[str, Mapping[str, Any]]
    minutes: Mapping[str, float]


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

    def select(self, only: list[str]) -> tuple[Row, ...]:
        """The rows of these keys or names, in the table's order; all if none is named.

        Raises
        ------
        RunError    names a row that does not exist
        """
        wanted = [key_of(name) for name in only]
        keys = [row.key for row in self.rows]
        for key in wanted:
            if key not in keys:
                raise RunError(unknown_name(f"row in {self.name}", key, keys), f"Use --only {keys[0]}.")
        return tuple(row for row in self.rows if not wanted or row.key in wanted)

    def shortened(self, given: Budget, rows: Sequence[Row]) -> list[str]:
        """In what a budget differs from the paper's for these rows, in words."""
        full = self.budgets["paper"]
        found = [] if given.seeds >= full.seeds else [f"{_count(given.seeds, 'seed')} instead of {full.seeds}"]
        for strategy in dict.fromkeys(row.strategy for row in rows):
            want, have = full.settings[strategy], given.settings[strategy]
            less = [f"{key} {have.get(key, 'default')} instead of {want.get(key, 'default')}"
                    for key in dict.fromkeys([*want, *have]) if want.get(key) != have.get(key)]
            found += [f"{strategy}: {', '.join(less)}"] if less else []
        return found


def _count(n: int, what: str) -> str:
    return f"{n} {what}" if n == 1 else f"{n} {what}s"
