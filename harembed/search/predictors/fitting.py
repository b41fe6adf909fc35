"""Fit predictors, and say how well they do on networks that they have not seen.

The loss is the squared error weighted by the true score (section 3.4: good networks matter most). The paper states no
optimiser: Adam with a rate of 1e-3, batches of 64, a little weight decay.

Nor does it say how long its networks learn. A few hundred examples are soon learnt by heart (135 networks of watch
were ranked worse by all four, which had learnt for 200 epochs, than by the baseline, which is among what they read),
so a fifth of them is held out first, to see after how many epochs the loss on it is least; then all are learnt from
for as long.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from harembed.errors import SearchError
from harembed.search.candidate import derived_seed
from harembed.search.predictors.curve import Metric
from harembed.search.predictors.features import STATISTICS, Subject, series, static
from harembed.search.predictors.networks import NETWORKS
from harembed.search.predictors.predictor import BASELINE, KINDS, Origin, Predictor, Scaling, scaled_inputs

FOLDS = 10


@dataclass(frozen=True)
class FitSettings:
    epochs: int = 200  # at most
    patience: int = 50  # epochs without a lower loss on the examples that are held out
    held_out: float = 0.2  # share of the examples
    batch: int = 64  # networks
    learning_rate: float = 1e-3
    weight_decay: float = 1e-3
    seed: int = 0


def weighted_loss(predicted: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Mean squared error, each network weighted by its true score."""
    return (weight * (predicted - target) ** 2).mean()


def fit(subjects: Sequence[Subject], target: np.ndarray, kind: str, epochs: int, metric: Metric, origin: Origin,
        settings: FitSettings) -> Predictor:
    """Fit one predictor.

    Parameters
    ----------
    target : [N] float    converged scores
    kind : one of predictor.PREDICTORS
    epochs : that it reads
    """
    if kind == BASELINE:
        return Predictor(kind, epochs, metric, origin)
    name, structure = KINDS[kind]
    max_layers = origin.max_layers if structure else None
    scaling = _scaling(subjects, target, epochs, max_layers)
    inputs = scaled_inputs(subjects, epochs, max_layers, scaling)
    wanted = torch.from_numpy((target - scaling.target_mean) / scaling.target_std).float()
    examples = _Examples(*inputs, wanted, torch.from_numpy(target).float())
    seed = derived_seed(settings.seed, kind, epochs)

    def fresh() -> nn.Module:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return NETWORKS[name](len(STATISTICS), epochs, inputs[1].shape[1])

    network = fresh()
    for _ in islice(_descend(network, examples, settings, seed), _long_enough(fresh(), examples, settings, seed)):
        pass
    weights: dict[str, Any] = {k: v.tolist() for k, v in network.state_dict().items()}
    return Predictor(kind, epochs, metric, origin, scaling, weights)


class _Examples(NamedTuple):
    """Networks to learn from; all [N, ...] float32."""

    series: Tensor
    static: Tensor
    wanted: Tensor
    weight: Tensor

    def of(self, rows: Tensor) -> "_Examples":
        return _Examples(*(values[rows] for values in self))

    def loss(self, network: nn.Module) -> Tensor:
        return weighted_loss(network(self.series, self.static), self.wanted, self.weight)


def _descend(network: nn.Module, examples: _Examples, settings: FitSettings, seed: int) -> Iterator[int]:
    """Learn epoch by epoch; yields how many are done."""
    optimizer = torch.optim.AdamW(network.parameters(), settings.learning_rate, weight_decay=settings.weight_decay,
                                  fused=True)
    generator = torch.Generator().manual_seed(seed)
    for epoch in range(settings.epochs):
        for rows in torch.randperm(len(examples.wanted), generator=generator).split(settings.batch):
            loss = examples.of(rows).loss(network)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
        yield epoch + 1


def _long_enough(network: nn.Module, examples: _Examples, settings: FitSettings, seed: int) -> int:
    """Epochs after which the loss on examples that are held out is least."""
    order = torch.randperm(len(examples.wanted), generator=torch.Generator().manual_seed(seed))
    count = max(1, round(settings.held_out * len(order)))
    held, best, found = examples.of(order[:count]), float("inf"), 1
    for epoch in _descend(network, examples.of(order[count:]), settings, seed):
        with torch.no_grad():
            loss = float(held.loss(network))
        if loss < best:
            best, found = loss, epoch
        elif epoch - found >= settings.patience:
            break
    return found


def _scaling(subjects: Sequence[Subject], target: np.ndarray, epochs: int, max_layers: int | None) -> Scaling:
    over_time, fixed = series(subjects, epochs), static(subjects, max_layers)
    return Scaling(tuple(over_time.mean((0, 2)).tolist()), tuple(_positive(over_time.std((0, 2))).tolist()),
                   tuple(fixed.mean(0).tolist()), tuple(_positive(fixed.std(0)).tolist()),
                   float(target.mean()), float(_positive(target.std())))


def _positive(std: np.ndarray) -> np.ndarray:
    """A feature that never varies says nothing: its deviation counts as 1."""
    return np.where(std > 1e-9, std, 1.0)


def cross_validate(subjects: Sequence[Subject], target: np.ndarray, kind: str, epochs: int, metric: Metric,
                   origin: Origin, settings: FitSettings, folds: int = FOLDS) -> tuple[np.ndarray, np.ndarray]:
    """Predict every network by a predictor that was fitted without it.

    Returns
    -------
    (predicted [N] float, fold [N] int)

    Raises
    ------
    SearchError    fewer networks than folds
    """
    if len(subjects) < folds:
        raise SearchError(f"{len(subjects)} networks are too few for a {folds}-fold cross-validation.",
                          f"Build a database of {folds} networks or more.")
    order = np.random.default_rng(derived_seed(settings.seed, "folds")).permutation(len(subjects))
    fold = np.empty(len(subjects), int)
    predicted = np.empty(len(subjects))
    for number, held in enumerate(np.array_split(order, folds)):
        rest = np.setdiff1d(order, held)
        fitted = fit([subjects[i] for i in rest], target[rest], kind, epochs, metric, origin, settings)
        predicted[held] = fitted.predict([subjects[i] for i in held])
        fold[held] = number
    return predicted, fold
