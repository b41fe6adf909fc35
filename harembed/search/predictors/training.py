"""Train a network and record its curve, on people whom it does not learn from.

The paper's predictors learn the F1 on the TEST set from figures of the validation set (sections 3.4 and 5): its
search is steered by what the test people told about 5,000 networks. Here test people stay out of every search. The
training people are divided in three: some train, the validation people give the curve, and others again (the target
people) say what the network was worth in the end.
"""

from contextlib import suppress
from statistics import fmean
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from harembed.data.recording import Windows
from harembed.data.split import hold_out_subjects
from harembed.models import build_model
from harembed.search.candidate import derived_seed
from harembed.search.predictors.curve import Curve
from harembed.search.score import Fold, Vectors, make_fold
from harembed.space import Network
from harembed.train.loop import Epoch, normalise, predict, train
from harembed.train.metrics import Scores, scores
from harembed.train.recipe import Recipe

TARGET_SHARE = 0.25  # of the training people
VALIDATION_SHARE = 1 / 3  # of the others
CONVERGED = 5  # last epochs


class Division(NamedTuple):
    """Training and validation people, and the target people, normalised by the training people's statistics."""

    fold: Fold
    x_target: Tensor  # [N, 1, sensors, T] float32
    y_target: np.ndarray  # [N] int64


def divide(windows: Windows, seed: int, vectors: Vectors, device: str = "cpu") -> Division:
    """Divide training windows by person; the same seed gives the same people, in a database and in a search."""
    rest, target = hold_out_subjects(windows, TARGET_SHARE, derived_seed(seed, "target people"))
    learning, validation = hold_out_subjects(rest, VALIDATION_SHARE, derived_seed(seed, "validation people"))
    fold = make_fold(learning, validation, vectors, device)
    channels = tuple(range(windows.raw.shape[2]))
    return Division(fold, normalise(target.raw, fold.sensors.mean, fold.sensors.std, channels), target.y)


class Trained(NamedTuple):
    curve: Curve
    target: dict[str, float] | None  # converged scores by name; None if the target people were not asked


class _EnoughError(Exception):
    """Ends a training before its recipe does."""


def train_with_curve(fold: Fold, arch: Network, recipe: Recipe, seed: int, epochs: int,
                     target: tuple[Tensor, np.ndarray] | None = None) -> Trained:
    """Train a network from scratch for the first epochs of a recipe, and record its curve.

    The schedule of the learning rate is that of the whole recipe, so that the first epochs are the same in a database
    and in a search that stops after them.

    Parameters
    ----------
    epochs : at most those of the recipe
    target : windows and classes of the target people. The converged score is the mean over the last five epochs: at a
        constant learning rate it goes up and down from epoch to epoch. (The paper stops a training when the
        validation F1 has not risen for 30 epochs.)
    """
    sensors = fold.sensors.using(arch.channels)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = build_model(arch)
    x_val, y_val = sensors.select(fold.x_val), torch.from_numpy(fold.y_val)
    rows: list[tuple[float, ...]] = []
    late: list[Scores] = []

    def after(epoch: int, entry: Epoch) -> None:
        logits = predict(model, x_val)
        s = scores(logits.argmax(1), fold.y_val, arch.classes)
        val_loss = float(F.cross_entropy(torch.from_numpy(logits), y_val))
        rows.append((entry["loss"], val_loss, s.accuracy, s.weighted_f1, s.macro_f1))
        if target is not None and epoch >= epochs - CONVERGED:
            predicted = predict(model, sensors.select(target[0]).to(x_val.device)).argmax(1)
            late.append(scores(predicted, target[1], arch.classes))
        if epoch + 1 == epochs:
            raise _EnoughError

    with suppress(_EnoughError):
        train(model, fold.x, fold.y, recipe, seed, sensors=sensors, progress=after)
    curve = Curve(*zip(*rows, strict=True))
    if target is None:
        return Trained(curve, None)
    return Trained(curve, {name: fmean(getattr(s, name) for s in late)
                           for name in ("macro_f1", "weighted_f1", "accuracy")})
