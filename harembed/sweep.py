"""Many runs that differ in strategy, beta1 and seed, one folder each, and one table of what they found.

beta1 is the weight of the complexity loss (eq. 10 of Zhou et al.; their figure 5 varies it), of sftnas and pas: other
strategies run once for each seed.
"""

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

import harembed
from harembed import pipeline
from harembed.errors import HarembedError, RunError
from harembed.rundir import dump_json, write_atomic
from harembed.settings import RunSettings, load_settings

FORMAT_VERSION = 1
# Of report.json: they are averaged over seeds.
FIGURES = ("macro_f1_int8", "macro_f1_float", "macro_f1_validation", "macs", "parameters", "peak_ram_bytes",
           "flash_bytes", "latency_us")

WEIGHED = ("sftnas", "pas")  # strategies whose loss beta1 weighs


@dataclass(frozen=True)
class Point:
    """One search of a sweep; beta1 None takes the default."""

    strategy: str
    beta1: float | None
    seed: int

    @property
    def name(self) -> str:
        weight = "" if self.beta1 is None else f"-beta1_{self.beta1:g}"
        return f"{self.strategy}{weight}-seed{self.seed}"


def points(strategies: Sequence[str], beta1: Sequence[float], seeds: Sequence[int]) -> list[Point]:
    """All combinations, seeds innermost; repetitions count once."""
    found = [Point(strategy, weight, seed) for strategy in strategies
             for weight in (beta1 if strategy in WEIGHED and beta1 else [None]) for seed in seeds]
    return list(dict.fromkeys(found))


def numbers(text: str, kind: Callable[[str], Any], option: str) -> list[Any]:
    """"0,0.1,0.3" as a list.

    Raises
    ------
    RunError    names the part that is no number
    """
    found = []
    for part in text.split(","):
        try:
            found.append(kind(part))
        except ValueError as e:
            raise RunError(f"{option}: {part.strip()!r} is not {'a whole' if kind is int else 'a'} number.",
                           f"Give numbers with commas between them, as in {option} 0,1,2.") from e
    return found


def sweep(wanted: Sequence[Point], settings_file: Path | None, given: dict[str, Any], folder: Path,
          data_root: Path | None, console: Console, toolchain: str | None = None) -> dict[str, Any]:
    """Run every search that the folder lacks; write sweep.json after each, so that a killed sweep goes on.

    Parameters
    ----------
    settings_file, given : of all searches, see harembed.settings.load_settings
    folder : gets a run folder for each point, and sweep.json

    Returns
    -------
    dict    the content of sweep.json: `runs`, one row a search, with `error` in words where it failed; `means` over
            the seeds, with sample standard deviations
    """
    asked = {p: load_settings(settings_file, {**given, "strategy": p.strategy, "beta1": p.beta1, "seed": p.seed})
             for p in wanted}

    def search(point: Point, run: Path) -> dict[str, Any]:
        return pipeline.search(asked[point], run, data_root, console, toolchain)

    return _collect(asked, search, folder, console)


def compress(source: Path, seeds: Sequence[int], changes: dict[str, Any], teachers: Sequence[Path], folder: Path,
             data_root: Path | None, console: Console, toolchain: str | None = None) -> dict[str, Any]:
    """As `sweep`, but of trainings of one network: see harembed.pipeline.compress."""
    settings = {seed: pipeline.compress_settings(source, {**changes, "seed": seed}, teachers) for seed in seeds}
    asked = {Point(s.strategy, None, seed): s for seed, s in settings.items()}

    def compress(point: Point, run: Path) -> dict[str, Any]:
        return pipeline.compress(source, asked[point], teachers, run, data_root, console, toolchain)

    return _collect(asked, compress, folder, console)


def _collect(asked: Mapping[Point, RunSettings], make: Callable[[Point, Path], dict[str, Any]], folder: Path,
             console: Console) -> dict[str, Any]:
    rows: list[dict[str, Any]] = []
    document: dict[str, Any] = {}
    for point, settings in asked.items():
        console.rule(point.name)
        rows.append({"folder": point.name, "strategy": point.strategy, "beta1": point.beta1, "seed": point.seed,
                     **_row(partial(make, point, folder / point.name), console)})
        document = {"format_version": FORMAT_VERSION, "harembed": harembed.__version__, "dataset": settings.dataset,
                    "board": settings.board, "runs": rows, "means": means(rows)}
        write_atomic(folder / "sweep.json", dump_json(document))
    return document


def _row(make: Callable[[], dict[str, Any]], console: Console) -> dict[str, Any]:
    """Figures of a run; one that fails (at a high price of MACs no network may be left) does not end the sweep."""
    try:
        facts = make()
    except HarembedError as e:
        console.print(f"[bold red]error:[/bold red] {escape(e.message)}", highlight=False, soft_wrap=True)
        return {"error": e.message}
    trained = facts["epochs_trained"]
    return {**{key: facts[key] for key in FIGURES}, "epochs_trained": trained and trained["total"],
            "text": facts["architecture"]["text"], "architecture": facts["architecture"]}


def means(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Mean and sample standard deviation (null for one seed) of every figure, by strategy and beta1."""
    groups: dict[tuple[str, float | None], list[dict[str, Any]]] = {}
    for row in rows:
        if "error" not in row:
            groups.setdefault((row["strategy"], row["beta1"]), []).append(row)
    found = []
    for (strategy, beta1), members in groups.items():
        summary: dict[str, Any] = {"strategy": strategy, "beta1": beta1, "seeds": [m["seed"] for m in members]}
        for key in (*FIGURES, "epochs_trained"):
            values = [m[key] for m in members if m[key] is not None]
            summary[key] = statistics.fmean(values) if values else None
            summary[f"{key}_std"] = statistics.stdev(values) if len(values) > 1 else None
        found.append(summary)
    return found


def print_sweep(document: dict[str, Any], folder: Path, console: Console) -> None:
    """The rows, then the means where there are several seeds."""
    table = Table("run", "F1 int8", "F1 float", "F1 validation", "MACs", "param.", "RAM", "epochs", "network",
                  box=None, header_style="bold")
    for row in document["runs"]:
        if "error" in row:
            table.add_row(row["folder"], "[red]failed[/red]", *[""] * 6, escape(row["error"]))
        else:
            table.add_row(row["folder"], *_cells(row), escape(row["text"]))
    for mean in document["means"]:
        if len(mean["seeds"]) > 1:
            name = Point(mean["strategy"], mean["beta1"], 0).name.removesuffix("-seed0")
            table.add_row(f"[bold]{name}, mean of {len(mean['seeds'])}[/bold]", *_cells(mean),
                          f"± {mean['macro_f1_int8_std']:.4f} F1 int8")
    console.print(table)
    console.print(f"wrote {folder / 'sweep.json'}", highlight=False)


def _cells(row: dict[str, Any]) -> list[str]:
    f1 = [f"{row[key]:.4f}" for key in FIGURES[:3]]
    counts = [f"{row[key]:,.0f}" for key in ("macs", "parameters", "peak_ram_bytes")]
    return [*f1, *counts, f"{row['epochs_trained']:,.0f}" if row["epochs_trained"] is not None else ""]
