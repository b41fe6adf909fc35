"""Scoring candidates: costs by formula, macro F1 by short trainings on folds of the training subjects."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from harembed.cost.dims import dims_of
from harembed.cost.live_sets import peak_bytes
from harembed.cost.macs import constant_bytes, parameters, total_macs
from harembed.data.normalise import channel_statistics
from harembed.data.recording import Windows
from harembed.data.split import subject_folds
from harembed.models import build_model
from harembed.search.candidate import Candidate, Figure, Ledger, Scores, derived_seed
from harembed.search.settings import SearchSettings
from harembed.space import Architecture
from harembed.train.loop import normalise, predict, train
from harembed.train.metrics import scores as classification_scores


@dataclass(frozen=True, eq=False)
class Fold:
    """Normalised windows of one division of the training subjects; statistics are of its training part."""

    x: Tensor  # [N, 1, sensors, T] float32, all channels
    y: Tensor  # [N] int64
    x_val: Tensor
    y_val: np.ndarray  # [M] int64


def make_folds(windows: Windows, count: int, seed: int) -> list[Fold]:
    """Divide training windows by subject; every subject validates once."""
    return [make_fold(*parts) for parts in subject_folds(windows, min(count, len(windows.subjects)), seed)]


def make_fold(train_part: Windows, held: Windows) -> Fold:
    mean, std = channel_statistics(train_part)
    channels = tuple(range(train_part.raw.shape[2]))
    return Fold(normalise(train_part.raw, mean, std, channels), torch.from_numpy(train_part.y),
                normalise(held.raw, mean, std, channels), held.y)


def cost_scores(arch: Architecture, settings: SearchSettings) -> Scores:
    """What formulas say of an architecture; no macro F1 yet."""
    dims = dims_of(arch)
    macs = total_macs(dims)

    def estimated(value: float) -> Figure:
        return Figure(value, "estimated")

    return Scores(estimated(macs), estimated(parameters(dims)), estimated(peak_bytes(dims)),
                  estimated(constant_bytes(dims)), estimated(settings.latency_us_of(macs)))


def violations(scores: Scores, settings: SearchSettings) -> list[str]:
    """Which limits are exceeded, in words with numbers. With beta2 = 0 memory is no concern of the search."""
    found = []
    if scores.macs.value > settings.macs:
        found.append(f"{scores.macs.value:,.0f} MACs (limit {settings.macs:,})")
    if settings.bilevel.beta2 and scores.peak_ram_bytes.value > settings.live_limit_bytes:
        found.append(f"{scores.peak_ram_bytes.value:,.0f} bytes of RAM (limit {settings.ram_bytes:,})")
    if settings.flash_bytes is not None and scores.flash_bytes.value > settings.flash_bytes:
        found.append(f"{scores.flash_bytes.value:,.0f} bytes of flash (limit {settings.flash_bytes:,})")
    if settings.latency_us is not None and scores.latency_us.value > settings.latency_us:
        found.append(f"{scores.latency_us.value:,.0f} us (limit {settings.latency_us:,.0f}, estimated)")
    return found


def train_and_score(arch: Architecture, fold: Fold, settings: SearchSettings, seed: int) -> float:
    """Macro F1 on the held-out subjects of a fold, of a network trained from scratch on the others."""
    kept = list(arch.channels)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = build_model(arch)
    train(model, fold.x[:, :, kept], fold.y, settings.recipe, seed)
    predicted = predict(model, fold.x_val[:, :, kept]).argmax(1)
    return classification_scores(predicted, fold.y_val, arch.classes).macro_f1


def score_on_folds(candidates: list[Candidate], folds: list[Fold], upto: int, settings: SearchSettings,
                   ledger: Ledger, progress: Callable[[int, int, Candidate], None]) -> list[Candidate]:
    """Score every candidate on folds[:upto]; what the ledger knows already is not trained again.

    The seed of a training is a hash of the run's seed, the candidate and the fold, so the order in which
    candidates are scored does not matter.
    """
    done = []
    for number, candidate in enumerate(candidates):
        current = ledger.get(candidate.id) or candidate
        for fold in range(len(current.scores.macro_f1), upto):
            seed = derived_seed(settings.seed, current.id, fold)
            f1 = Figure(train_and_score(current.architecture, folds[fold], settings, seed), "estimated")
            current = replace(current, scores=replace(current.scores, macro_f1=(*current.scores.macro_f1, f1)))
            ledger.append(current)
        # A resumed search may find more folds in the ledger than this stage had: it must not see them yet.
        current = replace(current, scores=replace(current.scores, macro_f1=current.scores.macro_f1[:upto]))
        done.append(current)
        progress(number + 1, len(candidates), current)
    return done
