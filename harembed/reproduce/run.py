"""Making a table: every row and seed is a run folder of its own, and what is finished is not done again."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape

import harembed
from harembed import pipeline, predictor
from harembed.data.source import ENVIRONMENT
from harembed.errors import BoardError, MissingDataError, RunError, SearchError
from harembed.reproduce.database import fitted_at, make_predictors
from harembed.reproduce.definitions import Budget, Database, Row, Table, key_of
from harembed.reproduce.figures import figures, protocol
from harembed.reproduce.results import Failure, Result, RowResult, Run, run_name, save
from harembed.rundir import SECONDS_FILE, RunDir
from harembed.search_job import SearchJob
from harembed.settings import RunSettings, load_settings

ROW_FILE = "row.json"  # exists when a row is finished
RESULT_FILE = "result.json"
DATABASE = "database"  # folder of the networks that predictors are fitted on, unless another is given
# What a search takes and a database does not.
_OF_TRAINING = ("float_epochs", "qat_epochs", "search_epochs", "train_epochs", "episodes")


@dataclass(frozen=True)
class Asked:
    """What is to be made.

    Attributes
    ----------
    only : keys or names of rows; empty is all
    seeds : how many; None is the budget's number
    settings : TOML file with settings that win over the budget's
    database : folder of a database that is to be gone on with; None takes one in the table's folder
    """

    table: Table
    budget: str
    only: list[str] = field(default_factory=list)
    seeds: int | None = None
    settings: Path | None = None
    database: Path | None = None

    @property
    def rows(self) -> tuple[Row, ...]:
        return self.table.select(self.only)

    @cached_property
    def changed(self) -> dict[str, Any]:
        """What the file says.

        Raises
        ------
        RunError    it says something that makes a row what it is
        """
        given = load_settings(self.settings, {})
        for key in ("dataset", "seed", *self.table.settings, *(key for row in self.rows for key in row.settings)):
            if key in given.model_fields_set:
                raise RunError(f"{self.settings}: {key} is fixed by the rows of {self.table.name}.",
                               "Remove the key.")
        return {key: getattr(given, key) for key in RunSettings.model_fields if key in given.model_fields_set}

    @cached_property
    def effort(self) -> Budget:
        """The budget with everything that was given by hand."""
        budget = self.table.budgets[self.budget]
        if self.seeds and not self.table.rows:
            raise RunError(f"{self.table.name} is made of one database, not of seeds.", "Leave out --seeds.")
        return Budget(self.seeds or budget.seeds, {s: {**v, **self.changed} for s, v in budget.settings.items()},
                      budget.minutes, self._database(budget.database))

    def _database(self, asked: Database | None) -> Database | None:
        """None where no row needs it."""
        if asked is None and self.database is not None:
            raise RunError(f"{self.table.name} has nothing to do with predictors.", "Leave out --database.")
        if asked is None or not self.table.needs_database(self.rows):
            return None
        changed = {key: value for key, value in self.changed.items() if key not in _OF_TRAINING}
        return replace(asked, settings={**asked.settings, **changed})

    @property
    def command(self) -> str:
        """What to type to get the same, without paths."""
        words = ["harembed reproduce", self.table.name, "--budget", self.budget]
        words += ["--only", ",".join(row.key for row in self.rows)] if self.only else []
        words += ["--seeds", str(self.seeds)] if self.seeds else []
        return " ".join(words)

    def settings_of(self, row: Row, seed: int, predictors: Path | None = None) -> RunSettings:
        """Of one run; predictors are for rows that are predicted."""
        # Tables tell of classes, not of how sure a network is of them.
        return load_settings(None, {"calibrate": False, **self.effort.settings[row.effort], **self.table.settings,
                                    **row.settings,
                                    "dataset": self.table.dataset, "seed": seed,
                                    "predictor": str(predictors) if predictors and row.predicted else None})

    def settings_of_database(self, asked: Database) -> RunSettings:
        """Of the networks that predictors are fitted on: the same for every seed of the rows."""
        return load_settings(None, {**self.table.settings, **asked.settings, "strategy": "dqn",
                                    "dataset": self.table.dataset, "seed": 0})


def reproduce(asked: Asked, folder: Path, data_root: Path | None, console: Console,
              toolchain: str | None = None) -> Result:
    """Make the rows that the folder lacks; write result.json after each, so that a killed command goes on.

    Parameters
    ----------
    folder : gets a run folder for each row and seed, and result.json

    Returns
    -------
    Result    of everything that is finished; a row for which no network was found says why, and data that are not at
        hand are one line
    """
    wanted = [(row, seed) for seed in range(asked.effort.seeds) for row in asked.rows]
    databases = asked.database or folder / DATABASE
    # Checked before hours are spent.
    checked = {(row.key, seed): asked.settings_of(row, seed, databases / predictor.PREDICTORS_FILE)
               for row, seed in wanted}
    found = _Found()
    runs = f"{len(asked.rows)} x {asked.effort.seeds} runs, " if wanted else ""
    console.print(f"[bold]{asked.table.title}[/bold]: {runs}budget {asked.budget}, into {folder}/", highlight=False)
    for words in asked.table.shortened(asked.effort, asked.rows):
        console.print(f"  {words}", highlight=False, soft_wrap=True)
    try:
        _predict(asked, databases, found, data_root, console)
        pace = _Pace(asked, wanted)
        for row, seed in wanted:
            run = RunDir(folder / run_name(row.key, seed))
            kept = run.has(ROW_FILE)
            if not kept:
                console.rule(f"{escape(row.name)}, seed {seed} · {pace.text()}")
            try:
                found.runs[row.key, seed] = _make(row, checked[row.key, seed], run, asked.table, data_root, console,
                                                  toolchain)
                found.protocol = found.protocol or protocol(run)
            except (SearchError, BoardError) as e:  # anything else is not the row's fault
                found.errors[row.key, seed] = e.message
                console.print(f"[bold red]error:[/bold red] {escape(e.message)}", highlight=False, soft_wrap=True)
            pace.done(row, kept)
            save(_result(asked, found), folder / RESULT_FILE)
    except MissingDataError as e:
        found.missing = _missing(asked.table)
        console.print(f"[bold yellow]{found.missing}[/bold yellow]\n[dim]{escape(e.message)}[/dim]",
                      highlight=False, soft_wrap=True)
    result = _result(asked, found)
    save(result, folder / RESULT_FILE)
    return result


def _predict(asked: Asked, folder: Path, found: "_Found", data_root: Path | None, console: Console) -> None:
    """The database and its predictors, if these rows need any."""
    database = asked.effort.database
    if database is None:
        return
    minutes = f" · about {database.minutes:.0f} min in all" if asked.budget == "desk" else ""
    console.rule(f"{database.networks:,} networks to learn from, {folder}/{minutes}")
    assessment = make_predictors(database, asked.settings_of_database(database), folder, data_root, console)
    run = RunDir(folder)
    found.seconds = run.read_json(SECONDS_FILE) if run.has(SECONDS_FILE) else None
    found.predictors = _of_database(assessment, database.epochs)
    if not asked.table.rows:
        found.assessment, found.fitted, found.protocol = assessment, fitted_at(folder), protocol(run)


def _make(row: Row, settings: RunSettings, run: RunDir, table: Table, data_root: Path | None, console: Console,
          toolchain: str | None) -> Run:
    """One row with one seed, or what the folder knows of it."""
    if run.has(ROW_FILE):
        run.claim(settings.to_toml())
        console.print(f"[dim]kept {escape(row.name)}, seed {settings.seed}[/dim]", highlight=False)
        return Run(**run.read_json(ROW_FILE))
    with run.count_seconds():
        if row.until == "firmware":
            pipeline.search(settings, run.path, data_root, console, toolchain)
        else:
            stages = pipeline.to_float() if row.until == "float" else pipeline.from_recordings()
            job = SearchJob(settings, run, data_root, toolchain, console)
            job.check()
            pipeline.run_stages(job, settings.dataset, settings.to_toml(), stages)
    made = Run(seed=settings.seed, date=datetime.now(UTC).isoformat(timespec="seconds"),
               seconds=run.read_json(SECONDS_FILE), **figures(run, table.by_subject))
    run.write_json(ROW_FILE, made.model_dump())
    return made


def _missing(table: Table) -> str:
    return (f"{table.subject}: not at hand; put {table.archive} into a folder and name it with --data-root or "
            f"{ENVIRONMENT}.")


@dataclass
class _Found:
    """What is known so far, by (key of the row, seed)."""

    runs: dict[tuple[str, int], Run] = field(default_factory=dict)
    errors: dict[tuple[str, int], str] = field(default_factory=dict)
    protocol: tuple[str, str] | None = None
    missing: str | None = None
    assessment: dict[str, Any] | None = None  # of a figure on predictors
    fitted: str | None = None  # when that was made
    seconds: float | None = None  # that the database took
    predictors: str | None = None  # what they were fitted on, in words


def _result(asked: Asked, found: _Found) -> Result:
    table, seeds = asked.table, list(range(asked.effort.seeds))
    rows = [RowResult(
        key=row.key, name=row.name, series=row.series, against=row.against,
        settings=asked.settings_of(row, 0).model_dump(
            mode="json", exclude_unset=True, exclude={"seed", "dataset", "predictor"}),
        printed={k: v for k, v in vars(row.printed).items() if v is not None},
        runs=[found.runs[row.key, s] for s in seeds if (row.key, s) in found.runs],
        failures=[Failure(seed=s, error=found.errors[row.key, s]) for s in seeds if (row.key, s) in found.errors])
        for row in asked.rows]
    dataset, words = found.protocol or (None, None)
    return Result(
        table=table.name, title=table.title, subject=table.subject, harembed=harembed.__version__,
        command=asked.command, date=max((run.date for run in found.runs.values()), default=found.fitted),
        budget=asked.budget, seeds=seeds, shortened=table.shortened(asked.effort, asked.rows), changed=asked.changed,
        dataset=dataset, protocol=words, new_people=table.new_people, missing=found.missing,
        remarks=[*table.remarks, *([found.predictors] if found.predictors else [])],
        paired=[(key_of(a), key_of(b)) for a, b in table.paired],
        printed={f"{kind}, {epochs} epochs": value for (kind, epochs), value in table.best_group.items()},
        assessment=found.assessment, seconds=found.seconds, rows=rows)


def _of_database(assessment: dict[str, Any], epochs: int) -> str:
    """What predictors cost, in words."""
    networks, twice = assessment["networks"], assessment["groups"][0]["twice"]
    return (f"Predictors were fitted on {networks:,} random networks of {epochs} epochs each ({twice:,} of them "
            f"trained twice): {(networks + twice) * epochs:,} epochs, once, which no search's epochs contain.")


class _Pace:
    """How long the rest will take: the budget's minutes of each row, corrected by those of rows that were made."""

    def __init__(self, asked: Asked, wanted: Sequence[tuple[Row, int]], clock: Callable[[], float] = time.monotonic,
                 ) -> None:
        self._minutes = asked.table.budgets[asked.budget].minutes
        self._measured = asked.budget != "desk"  # only the desk's minutes are known before anything ran
        self._left = sum(self._minutes[row.effort] for row, _ in wanted)
        self._made = self._took = 0.0
        self._clock, self._last = clock, clock()

    def done(self, row: Row, kept: bool) -> None:
        """A row is finished; one that was kept says nothing about the pace."""
        minutes, now = self._minutes[row.effort], self._clock()
        self._left -= minutes
        if not kept:
            self._made += minutes
            self._took += (now - self._last) / 60
        self._last = now

    def text(self) -> str:
        """In words."""
        if not self._made and self._measured:
            return "time left: not known yet"
        minutes = self._left * (self._took / self._made if self._made else 1.0)
        return f"about {int(minutes // 60)} h {int(minutes % 60):02d} min left"
