"""Whether a network's confidence can be believed, and the one number that mends it.

Guo, Pleiss, Sun and Weinberger (2017), "On calibration of modern neural networks": reliability diagrams, expected
calibration error (eq. 3), temperature scaling (eq. 9). The confidence is that in the predicted class, and it is held
against whether that class was right.
"""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax

BINS = 10
TEMPERATURES = (0.05, 20.0)  # the loss is convex in 1 / T; an answer at an end says that the scores mean little
DRAWS = 1000  # of the bootstrap
INTERVAL = (2.5, 97.5)  # per cent


@dataclass(frozen=True)
class Bin:
    """Windows whose confidence lies in (low, high]."""

    low: float
    high: float
    windows: int
    confidence: float  # mean; 0 of an empty bin
    accuracy: float  # share of windows whose predicted class is the true one; 0 of an empty bin


@dataclass(frozen=True)
class Calibration:
    """How confidence and accuracy agree.

    Attributes
    ----------
    error : expected calibration error
    interval : 95 %, percentiles of a bootstrap over windows. Those of one person are alike: it is a little narrow
    """

    error: float
    interval: tuple[float, float]
    bins: tuple[Bin, ...]


def probabilities(logits: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    """Softmax of logits [N, classes] over a temperature (eq. 9), float64."""
    return np.asarray(softmax(np.asarray(logits, np.float64) / temperature, axis=1))


def fit_temperature(logits: np.ndarray, truth: np.ndarray) -> float:
    """The temperature with the least negative log-likelihood; which class is the largest does not change.

    Parameters
    ----------
    logits : [N, classes] float    of windows that the network did not learn from
    truth : [N] int
    """
    z, rows = np.asarray(logits, np.float64), np.arange(len(truth))

    def loss(log_t: float) -> float:
        return float(-log_softmax(z / np.exp(log_t), axis=1)[rows, truth].mean())

    low, high = np.log(TEMPERATURES)
    return float(np.exp(minimize_scalar(loss, bounds=(low, high), method="bounded", options={"xatol": 1e-4}).x))


def calibration(probability: np.ndarray, truth: np.ndarray, seed: int, bins: int = BINS) -> Calibration:
    """Score confidences.

    Parameters
    ----------
    probability : [N, classes] float
    truth : [N] int
    seed : int    of the bootstrap
    """
    confidence = probability.max(axis=1)
    right = probability.argmax(axis=1) == truth
    edges = np.linspace(0.0, 1.0, bins + 1)
    place = np.clip(np.searchsorted(edges, confidence, side="left") - 1, 0, bins - 1)
    gaps = np.zeros((len(truth), bins))
    gaps[np.arange(len(truth)), place] = right - confidence
    weights = np.random.default_rng(seed).multinomial(len(truth), np.full(len(truth), 1 / len(truth)), size=DRAWS)
    low, high = np.percentile(np.abs(weights @ gaps).sum(axis=1) / len(truth), INTERVAL)
    return Calibration(_error(gaps), (float(low), float(high)),
                       tuple(_bin(edges[b : b + 2], confidence[place == b], right[place == b]) for b in range(bins)))


def _error(gaps: np.ndarray) -> float:
    """Eq. 3, of gaps [N, bins] between right (1 or 0) and confidence, each in its bin's column."""
    return float(np.abs(gaps.sum(axis=0)).sum() / len(gaps))


def _bin(edges: np.ndarray, confidence: np.ndarray, right: np.ndarray) -> Bin:
    low, high = map(float, edges)
    if not len(confidence):
        return Bin(low, high, 0, 0.0, 0.0)
    return Bin(low, high, len(confidence), float(confidence.mean()), float(right.mean()))
