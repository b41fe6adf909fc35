"""The temperature of a network's confidence, from people whom it did not learn from.

The network of the firmware learns from all training people. So a twin of it, the same architecture under the same
recipe, is trained without a third of them, beside it in another process; its scores of these fit the temperature. A
third of few people says little: then there are more twins, each without others. No test person is seen.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from torch import Tensor

from harembed.compress.pretraining import start_from
from harembed.data.recording import Windows, vectors
from harembed.data.split import subject_folds
from harembed.models import build_model
from harembed.progress import Tick
from harembed.search.candidate import derived_seed
from harembed.search.executor import workers
from harembed.search.score import Fold, make_folds
from harembed.search.settings import SearchSettings
from harembed.search_job import SearchJob
from harembed.space import Network
from harembed.train.calibration import calibration, fit_temperature, probabilities
from harembed.train.device import device_of
from harembed.train.local_loss import LocalLosses
from harembed.train.loop import predict, train
from harembed.train.recipe import Recipe
from harembed.train.teacher import Teacher

FILE = "temperature.json"
THIRDS = 3
# Held out in all, at least, where there are so many. Two people on watch gave a temperature of 1.23, with which the
# confidence in its test people was off by 0.11, and by 0.05 without: far too few to say anything.
PEOPLE = 6


@contextmanager
def twins_trained(job: SearchJob, arch: Network, recipe: Recipe, teacher: Teacher | None,
                  start: Mapping[str, Tensor] | None, tick: Tick) -> Iterator[None]:
    """While the body trains the network, train its twins; on leaving write temperature.json.

    With one process, or where a GPU would be shared, they are trained on leaving. A run that is not to be calibrated
    trains none.
    """
    if job.settings.calibrate is False:
        yield
        return
    seed = derived_seed(job.settings.seed, "temperature")
    windows = job.dataset.train
    thirds = min(THIRDS, len(windows.subjects))
    held = enough([part for _, part in subject_folds(windows, thirds, seed)])
    processes = job.settings.processes or SearchSettings.processes
    alone = processes == 1 or device_of(job.settings.device).type != "cpu"
    lesson = (windows, thirds, seed, vectors(job.dataset.info.channels), job.settings.device)
    with workers(1 if alone else 2, make_folds, lesson, held_out_logits) as run:
        local = bool(job.settings.local_loss)
        logits = run([(number, arch, recipe, derived_seed(seed, number), teacher, local, start)
                      for number in range(len(held))])
        yield
        everybody, found, whole = Windows.concatenate(held), [], len(held)
        for number in range(whole):
            tick(number, whole, f"twin {number + 1} of {whole}, which tells how sure the network may be")
            found.append(next(logits))
        job.run.write_json(FILE, fitted(np.concatenate(found), everybody.y, everybody.subjects, seed))


def enough(parts: Sequence[Windows]) -> list[Windows]:
    """The first so many that have PEOPLE people together, or all."""
    people = np.cumsum([len(part.subjects) for part in parts])
    return list(parts[: int(np.searchsorted(people, PEOPLE)) + 1])


def held_out_logits(folds: Sequence[Fold], number: int, arch: Network, recipe: Recipe, seed: int,
                    teacher: Teacher | None, local_loss: bool, start: Mapping[str, Tensor] | None) -> np.ndarray:
    """Scores [N, classes] of the people whom a fold holds out, by a network that learned from the others."""
    fold = folds[number]
    sensors = fold.sensors.using(arch.channels)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = build_model(arch)
        start_from(model, start)
        local = LocalLosses(model, sensors.select(fold.x[:1]), arch.classes) if local_loss else None
    train(model, fold.x, fold.y, recipe, seed, sensors=sensors, teacher=teacher, local=local)
    return predict(model, sensors.select(fold.x_val))


def fitted(logits: np.ndarray, truth: np.ndarray, subjects: tuple[str, ...], seed: int) -> dict[str, Any]:
    """What temperature.json says."""
    temperature = fit_temperature(logits, truth)
    return {"temperature": temperature, "subjects": subjects, "windows": len(truth),
            **before_and_after(logits, temperature, truth, seed)}


def before_and_after(logits: np.ndarray, temperature: float, truth: np.ndarray, seed: int,
                     confidence: np.ndarray | None = None) -> dict[str, dict[str, Any]]:
    """How well scores [N, classes] are calibrated as they are, and over the temperature.

    Parameters
    ----------
    confidence : [N, classes] float, of the firmware, instead of the scores over the temperature
    """
    after = probabilities(logits, temperature) if confidence is None else confidence
    return {"before": asdict(calibration(probabilities(logits), truth, seed)),
            "after": asdict(calibration(after, truth, seed))}

