"""All predictors on one database: correlations over all networks and by quintile (figure 4 of Pellatt and Roggen)."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from harembed.errors import SearchError
from harembed.search.predictors.correlation import GROUPS, Interval, correlation, difference, groups, spearman
from harembed.search.predictors.curve import Metric
from harembed.search.predictors.database import Entry, first_runs, pairs
from harembed.search.predictors.features import density
from harembed.search.predictors.fitting import FOLDS, FitSettings, cross_validate, fit
from harembed.search.predictors.predictor import BASELINE, PREDICTORS, Origin, Predictor

ALL = 0  # as a group; 1 is the worst quintile, 5 the best
Told = Callable[[int, int, str], None]


@dataclass(frozen=True)
class Row:
    """One predictor in one group.

    Attributes
    ----------
    correlation : Spearman of predictions for networks that were not in the fit, all folds together
    gain : over the baseline's correlation, on the same draws; None for the baseline
    fold_mean, fold_std : of the correlations fold by fold, as the paper has them; None where folds have under 3
    """

    kind: str
    epochs: int
    group: int
    correlation: Interval
    gain: Interval | None
    fold_mean: float | None
    fold_std: float | None


@dataclass(frozen=True)
class Group:
    """What the networks of a group are like, and the ceiling: two trainings of one network against each other."""

    group: int
    networks: int
    target: tuple[float, float]  # lowest and highest true score
    layers: float  # mean
    density: float  # mean
    macs: float  # mean
    ceiling: Interval | None  # None where under 3 networks were trained twice
    twice: int


@dataclass(frozen=True)
class Assessment:
    metric: Metric
    networks: int
    rows: tuple[Row, ...]
    groups: tuple[Group, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain data; figures that are not defined become null."""
        return _without_nan(asdict(self))

    @staticmethod
    def from_dict(d: dict[str, Any]) -> "Assessment":
        """The inverse.

        Raises
        ------
        TypeError, KeyError    it is none
        """
        rows = tuple(Row(**{**r, "correlation": _interval(r["correlation"]),
                            "gain": r["gain"] and _interval(r["gain"])}) for r in d["rows"])
        groups = tuple(Group(**{**g, "target": tuple(g["target"]),
                                "ceiling": g["ceiling"] and _interval(g["ceiling"])}) for g in d["groups"])
        return Assessment(**{**d, "rows": rows, "groups": groups})

    def row(self, kind: str, epochs: int, group: int) -> Row:
        return next(r for r in self.rows if (r.kind, r.epochs, r.group) == (kind, epochs, group))

    def best(self, epochs: int) -> Row | None:
        """What ranks the best fifth of the networks best, the baseline apart; None where that is not defined."""
        known = [r for r in self.rows if r.epochs == epochs and r.group == GROUPS and r.kind != BASELINE
                 and np.isfinite(r.correlation.value)]
        return max(known, key=lambda r: r.correlation.value, default=None)


def assess(entries: Sequence[Entry], metric: Metric, at: Sequence[int], origin: Origin, settings: FitSettings,
           told: Told = lambda done, of, what: None) -> tuple[Assessment, list[Predictor]]:
    """Cross-validate every predictor at every number of epochs, and fit each on the whole database.

    Raises
    ------
    SearchError    too few networks, or shorter curves than asked for
    """
    firsts = first_runs(entries)
    recorded = min((len(e.curve) for e in firsts), default=0)
    if not at or min(at) < 1 or max(at) > recorded:
        raise SearchError(f"Predictors were asked for after {', '.join(map(str, at))} epochs; the networks of the "
                          f"database were trained for {recorded}.", f"Use --at with numbers from 1 to {recorded}.")
    subjects = [e.subject for e in firsts]
    target = np.array([e.target[metric] for e in firsts])
    rows: list[Row] = []
    fitted: list[Predictor] = []
    for turn, (epochs, kind) in enumerate((epochs, kind) for epochs in at for kind in PREDICTORS):
        told(turn, len(at) * len(PREDICTORS), f"{kind} at {epochs} epochs")
        predicted, fold = cross_validate(subjects, target, kind, epochs, metric, origin, settings)
        if kind == BASELINE:
            base = predicted
        rows += _rows(kind, epochs, predicted, base, target, fold, settings.seed)
        fitted.append(fit(subjects, target, kind, epochs, metric, origin, settings))
    return Assessment(metric, len(firsts), tuple(rows), _groups(entries, metric, settings.seed)), fitted


def _rows(kind: str, epochs: int, predicted: np.ndarray, base: np.ndarray, target: np.ndarray, fold: np.ndarray,
          seed: int) -> list[Row]:
    rows = []
    for group, part in enumerate(groups(target)):
        p, b, t, f = predicted[part], base[part], target[part], fold[part]
        gain = None if kind == BASELINE else difference(p, b, t, seed)
        by_fold = [float(spearman(p[f == i], t[f == i])) for i in range(FOLDS) if (f == i).sum() >= 3]
        known = [c for c in by_fold if np.isfinite(c)]
        mean, std = (float(np.mean(known)), float(np.std(known))) if known else (None, None)
        rows.append(Row(kind, epochs, group, correlation(p, t, seed), gain, mean, std))
    return rows


def _groups(entries: Sequence[Entry], metric: Metric, seed: int) -> tuple[Group, ...]:
    firsts = first_runs(entries)
    second = {first.number: other.target[metric] for first, other in pairs(entries)}
    target = np.array([e.target[metric] for e in firsts])
    found = []
    for group, part in enumerate(groups(target)):
        members = [firsts[i] for i in part]
        both = [(e.target[metric], second[e.number]) for e in members if e.number in second]
        ceiling = correlation(np.array(both)[:, 0], np.array(both)[:, 1], seed) if len(both) >= 3 else None
        graphs = [e.architecture.features for e in members]
        found.append(Group(group, len(members), (float(target[part].min()), float(target[part].max())),
                           float(np.mean([len(g.layers) for g in graphs])),
                           float(np.mean([density(g) for g in graphs])),
                           float(np.mean([e.macs for e in members])), ceiling, len(both)))
    return tuple(found)


def _interval(d: dict[str, float | None]) -> Interval:
    """Of plain data; null figures are not defined."""
    return Interval(**{name: float("nan") if v is None else v for name, v in d.items()})


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _without_nan(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_nan(v) for v in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value
