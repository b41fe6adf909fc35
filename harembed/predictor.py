"""The two verbs of performance predictors: build a database of random networks, fit predictors on it.

A database folder holds run.toml (what was asked for), database.json (which recordings and people), database.jsonl
(the trainings), data.json (the recordings in words) and, after the fit, predictors.json, assessment.json and
assessment.svg.
"""

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from rich.console import Console

from harembed.dqn_job import metric_of
from harembed.errors import RunError
from harembed.progress import stage
from harembed.report.predictors import plot, print_assessment
from harembed.rundir import SECONDS_FILE, RunDir
from harembed.search.predictors.assessment import Assessment, assess
from harembed.search.predictors.curve import Metric
from harembed.search.predictors.database import FILE, Entry, build, read_entries
from harembed.search.predictors.fitting import FitSettings
from harembed.search.predictors.predictor import Origin
from harembed.search.predictors.stored import save_predictors
from harembed.search.settings import SearchSettings
from harembed.search_job import SearchJob
from harembed.settings import RunSettings
from harembed.stages import data_document, search_settings
from harembed.train.one_thread import one_thread
from harembed.train.recipe import Recipe

FORMAT_VERSION = 1
ASSESSMENT_FILE, PREDICTORS_FILE = "assessment.json", "predictors.json"


def database(settings: RunSettings, folder: Path, networks: int, twice: int, epochs: int, processes: int | None,
             data_root: Path | None, console: Console) -> list[Entry]:
    """Train random networks to the end, as many as the folder lacks.

    Parameters
    ----------
    settings : limits and space as a search with strategy dqn has them; recordings and seed
    twice : how many of them are trained a second time
    epochs : of every training
    processes : None takes the default of a search; any number gives the same database
    """
    if not 0 <= twice <= networks:
        raise RunError(f"{twice} networks were to be trained twice, of {networks}.", f"Use --twice 0 to {networks}.")
    run = RunDir(folder)
    job = SearchJob(settings, run, data_root, None, console)
    job.check()
    # The paper's rate is constant, too: first epochs say more then than under a cycle, which begins slowly.
    asked, recipe = search_settings(job), replace(job.recipe(epochs), schedule="constant")
    if processes is not None:
        asked = replace(asked, processes=processes)
    run.claim(f'verb = "predictor"\nepochs = {epochs}\n{settings.to_toml()}')
    run.write_json("data.json", data_document(job))
    run.write_json("database.json", {
        "format_version": FORMAT_VERSION, "origin": asdict(_origin(job, asked, recipe, networks)),
        "metric": metric_of(job)})
    # Without the time of what was trained before times were kept, a sum would say nothing.
    untimed = run.has(FILE) and not run.has(SECONDS_FILE)
    with nullcontext() if untimed else run.count_seconds(), stage(console, "Database") as tick:
        def told(done: int, of: int, entry: Entry) -> None:
            tick(done, of, f"{done}/{of}: macro F1 {entry.target['macro_f1']:.3f}, "
                           f"{entry.architecture.features.describe()}")

        found = build(job.search_windows, asked, recipe, networks, twice, folder, told)
        tick(1, 1, f"{len(found)} trainings of {networks} networks, {epochs} epochs each")
    return found


def _origin(job: SearchJob, asked: SearchSettings, recipe: Recipe, networks: int) -> Origin:
    return Origin(job.settings.dataset, *job.dataset.train.shape, asked.seed, asked.dqn.max_layers, recipe.to_dict(),
                  networks)


def fit(folder: Path, at: Sequence[int], metric: Metric | None, console: Console,
        settings: FitSettings = FitSettings()) -> Assessment:
    """Cross-validate and fit all predictors after so many epochs; write and print how well they do.

    Parameters
    ----------
    metric : None takes that of the recordings

    Raises
    ------
    RunError       the folder holds no database
    SearchError    it has too few networks, or shorter trainings than `at` asks for
    """
    run = RunDir(folder)
    if not run.has(FILE):
        raise RunError(f"{folder} holds no database of networks.",
                       f"Build one: `harembed predictor database --out {folder}`.")
    about = run.read_json("database.json")
    entries = read_entries(run.file(FILE))
    origin = Origin(**{**about["origin"], "networks": sum(e.run == 0 for e in entries)})
    with stage(console, "Fit") as tick, one_thread():
        assessment, fitted = assess(entries, metric or about["metric"], at, origin, settings, tick)
        tick(1, 1, f"{len(fitted)} predictors on {origin.networks} networks")
    written: dict[str, Any] = {"predictors.json": save_predictors(fitted, run.file(PREDICTORS_FILE)),
                               "assessment.json": run.write_json(ASSESSMENT_FILE, assessment.to_dict()),
                               "assessment.svg": run.write("assessment.svg", plot(assessment))}
    print_assessment(assessment, console)
    for path in written.values():
        console.print(f"wrote {path}", highlight=False)
    return assessment
