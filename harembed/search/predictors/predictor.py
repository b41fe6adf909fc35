"""One predictor that is fitted: plain numbers that become a network again; kept as JSON."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch

from harembed.errors import SearchError, unknown_name
from harembed.search.predictors.curve import Metric
from harembed.search.predictors.features import STATISTICS, Subject, baseline, series, static
from harembed.search.predictors.networks import NETWORKS, Cnn, Mlp
from harembed.train.recipe import Recipe

BASELINE = "baseline"
# name -> (network, with the structure)
KINDS: dict[str, tuple[str, bool]] = {
    "mlp": ("mlp", False), "cnn": ("cnn", False), "mlp-struct": ("mlp", True), "cnn-struct": ("cnn", True)}
PREDICTORS = (BASELINE, *KINDS)


@dataclass(frozen=True)
class Origin:
    """The database that a predictor was fitted on: a search must train in the same way to be predicted by it."""

    dataset: str
    window: int
    channels: int
    classes: int
    seed: int  # of the division of the training people
    max_layers: int
    recipe: dict[str, Any]
    networks: int

    @property
    def training(self) -> Recipe:
        return Recipe(**self.recipe)


@dataclass(frozen=True)
class Scaling:
    """Means and deviations of what goes in, [statistics] (over all epochs) and [static], and of the target."""

    series_mean: tuple[float, ...]
    series_std: tuple[float, ...]
    static_mean: tuple[float, ...]
    static_std: tuple[float, ...]
    target_mean: float
    target_std: float


@dataclass(frozen=True, eq=False)
class Predictor:
    """Predicts the converged score from the first epochs.

    Attributes
    ----------
    kind : one of PREDICTORS
    epochs : that it reads
    metric : that it predicts
    scaling, weights : None for the baseline; weights by name of the parameter, as nested lists
    """

    kind: str
    epochs: int
    metric: Metric
    origin: Origin
    scaling: Scaling | None = None
    weights: dict[str, Any] | None = None

    def predict(self, subjects: Sequence[Subject]) -> np.ndarray:
        """[N] scores; the curves may be longer than needed."""
        if self.scaling is None:
            return baseline(subjects, self.epochs, self.metric)
        inputs = scaled_inputs(subjects, self.epochs, self._max_layers, self.scaling)
        with torch.no_grad():
            found = self._network(*inputs)
        return found.double().numpy() * self.scaling.target_std + self.scaling.target_mean

    @property
    def _max_layers(self) -> int | None:
        return self.origin.max_layers if KINDS[self.kind][1] else None

    @cached_property
    def _network(self) -> Mlp | Cnn:
        assert self.scaling is not None and self.weights is not None
        network = NETWORKS[KINDS[self.kind][0]](len(STATISTICS), self.epochs, len(self.scaling.static_mean))
        network.load_state_dict({name: torch.tensor(values) for name, values in self.weights.items()})
        return network.eval()


def scaled_inputs(subjects: Sequence[Subject], epochs: int, max_layers: int | None,
                  scaling: Scaling) -> tuple[torch.Tensor, torch.Tensor]:
    """Standardised inputs of a network: [N, statistics, epochs] and [N, static], float32."""
    mean, std = (np.array(v)[None, :, None] for v in (scaling.series_mean, scaling.series_std))
    over_time = (series(subjects, epochs) - mean) / std
    fixed = (static(subjects, max_layers) - np.array(scaling.static_mean)) / np.array(scaling.static_std)
    return torch.from_numpy(over_time).float(), torch.from_numpy(fixed).float()


def find(predictors: Sequence[Predictor], kind: str, epochs: int) -> Predictor:
    """The one of a kind that reads so many epochs.

    Raises
    ------
    SearchError    there is none; names those that there are
    """
    if kind not in PREDICTORS:
        raise SearchError(unknown_name("predictor", kind, list(PREDICTORS)), "See `harembed search --help`.")
    for p in predictors:
        if (p.kind, p.epochs) == (kind, epochs):
            return p
    known = sorted({p.epochs for p in predictors})
    raise SearchError(f"No predictor was fitted for {epochs} epochs; there are some for "
                      f"{', '.join(map(str, known))}.", f"Use --predict-at {known[0] if known else 5}, or "
                      f"`harembed predictor fit DIR --at {epochs}`.")
