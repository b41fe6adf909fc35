"""The numbers that a predictor reads (section 3.4): the curve so far, density, FLOPs, and the network's vectors."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from harembed.feature_graph import FeatureGraph, vectors
from harembed.search.predictors.curve import Curve

STATISTICS = ("train_loss", "val_loss", "accuracy", "weighted_f1", "macro_f1")  # of every epoch
VECTOR = 6  # numbers of a layer
_ENDS = 2  # vectors of the input and the terminal layer


@dataclass(frozen=True)
class Subject:
    """A network of which something is to be predicted, and what is known of it."""

    graph: FeatureGraph
    macs: float  # in place of the paper's FLOPs
    curve: Curve


def density(graph: FeatureGraph) -> float:
    """Connections between layers over layers (section 3.4); those from the input count, those to the tail do not."""
    return sum(len(layer.sources) for layer in graph.layers) / len(graph.layers)


def series(subjects: Sequence[Subject], epochs: int) -> np.ndarray:
    """[N, len(STATISTICS), epochs] float64, of the first epochs."""
    return np.array([[getattr(s.curve, name)[:epochs] for name in STATISTICS] for s in subjects])


def static(subjects: Sequence[Subject], max_layers: int | None) -> np.ndarray:
    """[N, 2] density and logarithm of MACs; with max_layers also the vectors, [N, 2 + 6 * (max_layers + 2)], zeros
    where a network has fewer layers."""
    rows = []
    for s in subjects:
        row = [density(s.graph), math.log10(s.macs)]
        if max_layers is not None:
            flat = [float(v) for vector in vectors(s.graph) for v in vector]
            row += flat + [0.0] * (VECTOR * (max_layers + _ENDS) - len(flat))
        rows.append(row)
    return np.array(rows)


def baseline(subjects: Sequence[Subject], epochs: int, metric: str) -> np.ndarray:
    """[N] the paper's baseline: the mean of the validation score over the last five epochs so far."""
    return np.array([np.mean(getattr(s.curve, metric)[max(epochs - 5, 0) : epochs]) for s in subjects])
