"""Scoring candidates: costs by formula, macro F1 by short trainings on folds of the training subjects."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

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
from harembed.search.executor import Map
from harembed.search.settings import SearchSettings
from harembed.space import Network
from harembed.train.augment import Sensors
from harembed.train.device import device_of
from harembed.train.loop import normalise, predict, train
from harembed.train.metrics import scores as classification_scores
from harembed.train.recipe import Recipe

Vectors = tuple[tuple[int, int, int], ...]
Told = Callable[[int, int, Candidate], None]
Begun = Callable[[Told], list[Candidate]]  # waits for trainings that were handed out, and says how it goes
Rejected = list[tuple[Candidate, str]]  # with what was exceeded, in words


@dataclass(frozen=True, eq=False)
class Fold:
    """Normalised windows of one division of the training subjects, where they are trained; statistics are of its
    training part."""

    x: Tensor  # [N, 1, sensors, T] float32, all channels
    y: Tensor  # [N] int64
    x_val: Tensor
    y_val: np.ndarray  # [M] int64
    sensors: Sensors


def make_folds(windows: Windows, count: int, seed: int, vectors: Vectors, device: str = "cpu") -> list[Fold]:
    """Divide training windows by subject; every subject validates once.

    Parameters
    ----------
    device : for harembed.train.device.device_of; asked in the process that trains
    """
    folds = subject_folds(windows, min(count, len(windows.subjects)), seed)
    return [make_fold(*parts, vectors, device) for parts in folds]


def make_fold(train_part: Windows, held: Windows, vectors: Vectors, device: str = "cpu") -> Fold:
    mean, std = channel_statistics(train_part)
    channels, place = tuple(range(train_part.raw.shape[2])), device_of(device)
    return Fold(normalise(train_part.raw, mean, std, channels).to(place), torch.from_numpy(train_part.y).to(place),
                normalise(held.raw, mean, std, channels).to(place), held.y, Sensors(mean, std, vectors))


def cost_scores(arch: Network, settings: SearchSettings) -> Scores:
    """What formulas say of an architecture; no macro F1 yet."""
    dims = dims_of(arch)
    macs = total_macs(dims)

    def estimated(value: float) -> Figure:
        return Figure(value, "estimated")

    scores = Scores(estimated(macs), estimated(parameters(dims)), estimated(peak_bytes(dims)),
                    estimated(constant_bytes(dims)), estimated(settings.latency_us_of(macs)))
    if settings.predict_us is None or _too_large(scores, settings):  # a prediction takes milliseconds
        return scores
    return replace(scores, latency_us=estimated(settings.predict_us(arch)))


def violations(arch: Network, scores: Scores, settings: SearchSettings) -> list[str]:
    """Which limits are exceeded, in words with numbers; the latency of what is too large anyway is not asked for."""
    found = _too_large(scores, settings)
    limit, latency = settings.latency_us, scores.latency_us.value
    if limit is not None and latency > limit and not (found and settings.predict_us):
        found.append(f"{latency:,.0f} us (limit {limit:,.0f}, estimated)")
    if settings.channels is not None and len(arch.channels) > settings.channels:
        found.append(f"{len(arch.channels)} sensor channels (limit {settings.channels})")
    return found


def sort_out(candidates: Iterable[Candidate], settings: SearchSettings) -> tuple[list[Candidate], Rejected]:
    """Those within all limits, and what is wrong with the others."""
    fitting: list[Candidate] = []
    rejected: Rejected = []
    for c in candidates:
        if wrong := violations(c.architecture, c.scores, settings):
            rejected.append((c, "; ".join(wrong)))
        else:
            fitting.append(c)
    return fitting, rejected


def _too_large(scores: Scores, settings: SearchSettings) -> list[str]:
    """As violations, of all but the latency. With beta2 = 0 memory is no concern of the search."""
    found = []
    if scores.macs.value > settings.macs:
        found.append(f"{scores.macs.value:,.0f} MACs (limit {settings.macs:,})")
    if settings.parameters is not None and scores.parameters.value > settings.parameters:
        found.append(f"{scores.parameters.value:,.0f} parameters (limit {settings.parameters:,})")
    if settings.bilevel.beta2 and scores.peak_ram_bytes.value > settings.live_limit_bytes:
        found.append(f"{scores.peak_ram_bytes.value:,.0f} bytes of RAM (limit {settings.ram_bytes:,})")
    if settings.flash_bytes is not None and scores.flash_bytes.value > settings.flash_bytes:
        found.append(f"{scores.flash_bytes.value:,.0f} bytes of flash (limit {settings.flash_bytes:,})")
    return found


def train_and_score(folds: list[Fold], arch: Network, fold: int, recipe: Recipe, seed: int) -> float:
    """Macro F1 on the held-out subjects of a fold, of a network trained from scratch on the others."""
    data = folds[fold]
    sensors = data.sensors.using(arch.channels)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = build_model(arch)
    train(model, data.x, data.y, recipe, seed, sensors=sensors)
    predicted = predict(model, sensors.select(data.x_val)).argmax(1)
    return classification_scores(predicted, data.y_val, arch.classes).macro_f1


def begin_screening(candidates: list[Candidate], settings: SearchSettings, ledger: Ledger, run: Map) -> Begun:
    """Score every candidate on the first fold by a short training: enough to tell the hopeless."""
    return _begin(candidates, "macro_f1", 1, settings.recipe, settings, ledger, run)


def score_fully(candidates: list[Candidate], trials: int, settings: SearchSettings, ledger: Ledger, run: Map,
                progress: Told) -> list[Candidate]:
    """Train every candidate by the full recipe on the first so many folds. Among good networks a short training says
    nothing: it prefers those that learn quickly."""
    return _begin(candidates, "final_f1", trials, settings.final_recipe, settings, ledger, run)(progress)


def _with_trials(candidate: Candidate, field: str, trials: tuple[Figure, ...]) -> Candidate:
    changes: dict[str, Any] = {field: trials}
    return replace(candidate, scores=replace(candidate.scores, **changes))


def _begin(candidates: list[Candidate], field: str, trials: int, recipe: Recipe, settings: SearchSettings,
           ledger: Ledger, run: Map) -> Begun:
    """Train each candidate once on each of the first folds; what the ledger knows already is not trained again.

    The seed of a training is a hash of the run's seed, the candidate and the fold, so the order in which they are
    trained, and in how many processes, does not matter.
    """
    known = [ledger.get(c.id) or c for c in candidates]
    missing = [(c, fold) for c in known for fold in range(len(getattr(c.scores, field)), trials)]
    # The 0 counted repetitions once; with it, figures that were published come out again.
    tasks = [(c.architecture, fold, recipe, derived_seed(settings.seed, c.id, field, fold, 0)) for c, fold in missing]
    results = run(tasks)

    def finish(progress: Told) -> list[Candidate]:
        done = []
        for number, candidate in enumerate(known):
            current = _with_results(candidate, field, trials, results, ledger)
            done.append(_with_trials(current, "final_f1", ()) if field == "macro_f1" else current)
            progress(number + 1, len(candidates), done[-1])
        return done

    return finish


def _with_results(current: Candidate, field: str, trials: int, results: Iterator[float],
                  ledger: Ledger) -> Candidate:
    """Fill up a candidate's scores to so many trials, and write each into the ledger."""
    while len(getattr(current.scores, field)) < trials:
        found = (*getattr(current.scores, field), Figure(next(results), "estimated"))
        current = _with_trials(current, field, found)
        ledger.append(current)
    # A resumed search may find more in the ledger than this stage had: it must not see that yet.
    return _with_trials(current, field, getattr(current.scores, field)[:trials])
