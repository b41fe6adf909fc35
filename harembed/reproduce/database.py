"""The database of networks and the predictors that a table needs: made where the folder lacks them."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console

from harembed import predictor
from harembed.reproduce.definitions import Database
from harembed.rundir import RunDir
from harembed.search.predictors.database import FILE, first_runs, pairs, read_entries
from harembed.settings import RunSettings


def make_predictors(asked: Database, settings: RunSettings, folder: Path, data_root: Path | None,
                    console: Console) -> dict[str, Any]:
    """Train the networks that the folder lacks; fit predictors if networks were added or other epochs are asked for.

    Predictors that suffice are left alone: searches that were begun with them refuse others.

    A folder that holds more networks than are asked for is taken whole.

    Returns
    -------
    dict    harembed.search.predictors.assessment.Assessment as plain data
    """
    predictor.database(settings, folder, asked.networks, asked.twice, asked.epochs, settings.processes, data_root,
                       console)
    run = RunDir(folder)
    if not _suffices(run, asked.at):
        predictor.fit(folder, asked.at, None, console)
    found: dict[str, Any] = run.read_json(predictor.ASSESSMENT_FILE)
    return found


def _suffices(run: RunDir, at: Sequence[int]) -> bool:
    """Whether predictors were fitted on all networks that the folder holds, for these epochs."""
    if not (run.has(predictor.ASSESSMENT_FILE) and run.has(predictor.PREDICTORS_FILE)):
        return False
    known, entries = run.read_json(predictor.ASSESSMENT_FILE), read_entries(run.file(FILE))
    return (known["networks"] == len(first_runs(entries)) and known["groups"][0]["twice"] == len(pairs(entries))
            and set(at) <= {row["epochs"] for row in known["rows"]})


def fitted_at(folder: Path) -> str:
    """When, ISO 8601, by the clock of the computer."""
    moment = RunDir(folder).file(predictor.ASSESSMENT_FILE).stat().st_mtime
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="seconds")
