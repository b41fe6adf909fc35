"""Strategy dqn as a run asks for it: its space, its metric, its predictor."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harembed.errors import RunError
from harembed.rundir import RunDir
from harembed.search.dqn.settings import TAIL_FEATURES, DqnSettings
from harembed.search.predictors.curve import Metric
from harembed.search.predictors.predictor import Predictor, find
from harembed.search.predictors.stored import load_predictors
from harembed.search.settings import SearchSettings
from harembed.settings import RunSettings
from harembed.space import RECURRENT_TAILS, ConvTail, RecurrentTail

if TYPE_CHECKING:  # it imports this
    from harembed.search_job import SearchJob

PREDICTORS_FILE = "predictors.json"  # the copy in the run folder: the given file may change or move


def with_dqn(job: "SearchJob", settings: SearchSettings) -> SearchSettings:
    """Settings of a search, completed by what only this strategy has, also for networks of its space that are not
    searched. Where scores are predicted, a short training is as long as the predictor needs."""
    predictor = predictor_of(job.settings, job.run)
    if job.settings.predictor is not None and not job.run.has(PREDICTORS_FILE):
        job.run.write(PREDICTORS_FILE, Path(job.settings.predictor).read_bytes())
    settings = replace(settings, dqn=_dqn_settings(job.settings, metric_of(job), predictor))
    if predictor is None:
        return settings
    return replace(settings, recipe=replace(predictor.origin.training, epochs=predictor.epochs))


def metric_of(job: "SearchJob") -> Metric:
    """What the controller learns from: as asked for, else the metric of the recordings."""
    if job.settings.metric is not None:
        return job.settings.metric
    return "weighted_f1" if "weighted" in job.dataset.info.protocol.metric else "macro_f1"


def predictor_of(s: RunSettings, run: RunDir) -> Predictor | None:
    """The one that was asked for.

    Raises
    ------
    RunError       its file is not there, damaged, or has changed since the run began
    SearchError    the file has none of that kind for so many epochs
    """
    if s.predictor is None:
        return None
    given, copy = Path(s.predictor), run.file(PREDICTORS_FILE)
    if copy.is_file() and given.is_file() and given.read_bytes() != copy.read_bytes():
        raise RunError(f"{given} has changed since the search in {run.path} began.", "Use another folder with --out.")
    return find(load_predictors(copy if copy.is_file() else given), s.predict_with or "mlp", s.predict_at or 5)


def _dqn_settings(s: RunSettings, metric: Metric, predictor: Predictor | None) -> DqnSettings:
    given: dict[str, Any] = {
        "space": s.space, "filters": s.filters, "max_layers": s.max_layers, "sensors": s.sensors,
        "episodes": s.episodes, "policy": s.policy, "price": s.price}
    return replace(DqnSettings(), metric=metric, predictor=predictor, tail=_tail(s),
                   **{name: value for name, value in given.items() if value is not None})


def _tail(s: RunSettings) -> ConvTail | RecurrentTail:
    hidden, kind = s.hidden or TAIL_FEATURES, s.tail or "deepconvlstm"
    return ConvTail(hidden) if kind == "conv" else RECURRENT_TAILS[kind](hidden)
