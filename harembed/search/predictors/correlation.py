"""How well predictions rank networks: Spearman's correlation over all and by quintile, with bootstrap intervals.

Quintiles are of the true converged score (figure 4 of Pellatt and Roggen): the top one tells whether good networks
are told from very good ones. How far chance of training blurs a ranking is what a second training of the same
networks says: the ceiling is the correlation of two trainings from different random numbers, in the quintiles of the
first. It is no strict bound: who knew what a network scores on average would come to about its square root, and the
first epochs belong to the very training whose end is predicted.
"""

from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata

GROUPS = 5
RESAMPLES = 2000
LEVEL = 0.95


@dataclass(frozen=True)
class Interval:
    """A figure with its percentile interval; all are nan where ranks do not differ or there are under 3 networks."""

    value: float
    low: float
    high: float


def quintiles(target: np.ndarray, count: int = GROUPS) -> list[np.ndarray]:
    """Indices of the networks by group, the worst first; sizes differ by one at most."""
    return list(np.array_split(np.argsort(target, kind="stable"), count))


def spearman(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Rank correlation along the last axis, ties by their mean rank; nan where one side has a single rank.

    Parameters
    ----------
    a, b : [..., N]
    """
    x, y = (rankdata(v, axis=-1) for v in (a, b))
    x, y = (v - v.mean(-1, keepdims=True) for v in (x, y))
    with np.errstate(invalid="ignore"):
        return (x * y).sum(-1) / np.sqrt((x * x).sum(-1) * (y * y).sum(-1))


def correlation(predicted: np.ndarray, target: np.ndarray, seed: int = 0, resamples: int = RESAMPLES) -> Interval:
    """Spearman over networks that are drawn again with replacement."""
    if len(target) < 3:
        return Interval(*[float("nan")] * 3)
    rows = _draws(len(target), seed, resamples)
    return _interval(float(spearman(predicted, target)), spearman(predicted[rows], target[rows]))


def difference(predicted: np.ndarray, other: np.ndarray, target: np.ndarray, seed: int = 0,
               resamples: int = RESAMPLES) -> Interval:
    """By how much one prediction's correlation exceeds another's, over the same draws of networks."""
    if len(target) < 3:
        return Interval(*[float("nan")] * 3)
    rows = _draws(len(target), seed, resamples)
    gain = float(spearman(predicted, target) - spearman(other, target))
    return _interval(gain, spearman(predicted[rows], target[rows]) - spearman(other[rows], target[rows]))


def groups(target: np.ndarray) -> list[np.ndarray]:
    """Indices of all networks, then of the quintiles."""
    return [np.arange(len(target)), *quintiles(target)]


def _draws(count: int, seed: int, resamples: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, count, (resamples, count))


def _interval(value: float, resampled: np.ndarray) -> Interval:
    known = resampled[np.isfinite(resampled)]
    if not len(known) or not np.isfinite(value):
        return Interval(*[float("nan")] * 3)
    low, high = np.quantile(known, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(value, float(low), float(high))
