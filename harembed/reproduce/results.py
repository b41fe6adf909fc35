"""What a reproduced table is stored as: a small JSON file that the README's tables are written from.

Every figure of every seed is in it; means are taken where they are shown. It holds no path of the computer that
made it.
"""

import json
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from harembed.errors import RunError
from harembed.rundir import dump_json, write_atomic

FORMAT_VERSION = 1


class _Stored(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Run(_Stored):
    """One row with one seed."""

    seed: int
    date: str = Field(description="when it was finished, ISO 8601, by the clock of the computer")
    seconds: float = Field(description="of computation, interruptions apart")
    network: str = Field(description="one line")
    filters: list[int] = Field(description="of the first stage, by layer")
    channels: int = Field(description="sensor channels that the network reads")
    sensors: str | None = Field(None, description="these channels by place, in words")
    parameters: int = Field(description="weights and biases after batch-norm folding")
    macs: int = Field(description="multiply-accumulates of one inference")
    macro_f1: float = Field(description="test subjects, float, a fraction")
    weighted_f1: float = Field(description="test subjects, float, a fraction")
    accuracy: float = Field(description="test subjects, float, a fraction")
    validation_f1: float | None = Field(None, description="macro F1 of the chosen network in the finals of its "
                                        "search, on training subjects who are held out; where there were finals")
    macro_f1_int8: float | None = Field(None, description="test subjects, the integer program")
    new_people_f1: float | None = Field(None, description="macro F1, float, of people who are not in training")
    latency_us: float | None = Field(None, description="of one inference by the board's cycle model, estimated")
    peak_ram_bytes: int | None = Field(None, description="arena by plan")
    generations_f1: list[float] = Field([], description="macro F1, float, test subjects, of the networks that taught "
                                        "this one, in the order of their training")
    ensemble_f1: float | None = Field(None, description="of all of these together")
    epochs_trained: int | None = Field(None, description="by the search in all, see harembed/search/effort.py")


class Failure(_Stored):
    """A row that ended with an error for one seed."""

    seed: int
    error: str


class RowResult(_Stored):
    key: str
    name: str = Field(description="as the paper prints it")
    series: str = ""
    against: str = Field("", description="key of the row whose score this one's is compared with")
    settings: dict[str, Any] = Field(description="of the runs, without seed; what is not named is the default")
    printed: dict[str, float] = Field(description="the paper's figures: scores in per cent, mmacs in millions, hours "
                                      "of search")
    runs: list[Run] = []
    failures: list[Failure] = []

    def values(self, figure: Callable[[Run], float | None]) -> list[float]:
        """A figure of all seeds that have it."""
        return [v for v in map(figure, self.runs) if v is not None]


class Result(_Stored):
    format_version: int = FORMAT_VERSION
    table: str
    title: str
    subject: str
    harembed: str = Field(description="version that wrote it")
    command: str
    date: str | None = Field(None, description="of the last run that was finished")
    budget: str
    seeds: list[int]
    shortened: list[str] = Field([], description="in what the budget differs from the paper's")
    changed: dict[str, Any] = Field({}, description="settings that were given with --settings")
    dataset: str | None = Field(None, description="title")
    protocol: str | None = Field(None, description="split, windows and metric in words")
    new_people: str = Field(description="where the column of new people comes from")
    missing: str | None = Field(None, description="what to do for data that are not at hand")
    remarks: list[str] = []
    paired: list[tuple[str, str]] = Field([], description="keys of rows that are compared seed by seed")
    printed: dict[str, float] = Field({}, description="of a figure on predictors: the paper's correlations of the "
                                      "best 20 % of networks, by row")
    assessment: dict[str, Any] | None = Field(None, description="of a figure on predictors: assessment.json")
    seconds: float | None = Field(None, description="that its database took, where that is known")
    rows: list[RowResult]

    @field_validator("assessment")
    @classmethod
    def _is_one(cls, value: dict[str, Any] | None) -> dict[str, Any] | None:
        if value is not None:
            from harembed.search.predictors.assessment import Assessment  # imports PyTorch, which takes seconds

            try:
                Assessment.from_dict(value)
            except (TypeError, KeyError) as e:
                raise ValueError(f"is no assessment of predictors: {e}") from e
        return value

    def row(self, key: str) -> RowResult | None:
        return next((row for row in self.rows if row.key == key), None)


def run_name(key: str, seed: int) -> str:
    """The run folder of a row and seed, in the table's folder."""
    return f"{key}-seed{seed}"


def mean_and_deviation(values: list[float]) -> tuple[float, float | None]:
    """Mean and sample standard deviation; None for a single value."""
    return statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else None


def save(result: Result, path: Path) -> Path:
    """Write the file; keys that are null or empty by default are left out."""
    return write_atomic(path, dump_json({"format_version": result.format_version,
                                         **result.model_dump(exclude_defaults=True)}))


def load(path: Path) -> Result:
    """Read a result file.

    Raises
    ------
    RunError    not readable, of another format, or it holds an unknown key
    """
    again = "Make it again with `harembed reproduce`."
    try:
        document = json.loads(path.read_text())
    except OSError as e:
        raise RunError(f"Cannot read {path}: {e.strerror}.", again) from e
    except json.JSONDecodeError as e:
        raise RunError(f"{path} is not valid JSON: {e}.", again) from e
    if (version := document.get("format_version")) != FORMAT_VERSION:
        raise RunError(f"{path} has format version {version}, this harembed reads {FORMAT_VERSION}.", again)
    try:
        return Result(**document)
    except ValidationError as e:
        first = e.errors()[0]
        raise RunError(f"{path}: {'.'.join(map(str, first['loc']))}: {first['msg']}.", again) from e
