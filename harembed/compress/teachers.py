"""Who teaches a run's network: networks of its own architecture that are trained here, and those of other runs.

teachers.pt holds their architectures and weights, so that a folder needs no other to go on. They may know the people
on whom the temperature is fitted (temperature.py); test people none of them has seen.
"""

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from harembed.errors import RunError
from harembed.models import build_model
from harembed.models.widths import scaled
from harembed.progress import Tick
from harembed.rundir import RunDir
from harembed.search.candidate import derived_seed
from harembed.search.executor import Map, workers
from harembed.search.settings import SearchSettings
from harembed.search_job import SearchJob
from harembed.settings import RunSettings, stored_settings
from harembed.space import Network, chain_of, dense, network_from_dict
from harembed.train.augment import Sensors
from harembed.train.calibration import probabilities
from harembed.train.device import device_of
from harembed.train.loop import State, predict, state_from_bytes, state_to_bytes, train
from harembed.train.metrics import scores
from harembed.train.recipe import Recipe
from harembed.train.teacher import Opinion, Teacher

FILE = "teachers.pt"
_SAME = ("dataset", "window", "hop", "train_hop", "split")  # settings that say which recordings a network knows


def teacher_of(job: SearchJob, arch: Network, x: Tensor, y: Tensor, sensors: Sensors,
               tick: Tick) -> Teacher | None:
    """The teacher of a run, None if it has none; trains those of --teachers that teachers.pt lacks. They have neither
    Lego filters nor signs, and with --teacher-width they are wider.

    Parameters
    ----------
    x, y, sensors : what the network learns from, see harembed.train.loop.train
    """
    s = job.settings
    if not s.teachers and not s.teacher:
        return None
    known = _read(job.run)
    for number in _train(job, _architecture(arch, s), (x, y, sensors), sum(not n["given"] for n in known), known):
        _write(job.run, known)
        tick(number, s.teachers or 0, f"teacher {number} of {s.teachers}")
    return _teacher(known, s).to(x.device)


def teacher_scores(teacher: Teacher, x: Tensor, truth: np.ndarray, classes: int) -> dict[str, Any]:
    """Macro F1 of each teacher, and of their averaged probabilities.

    Parameters
    ----------
    x : [N, 1, C, T] float, all recorded channels    windows of test people; nothing is chosen by them
    truth : [N] int
    """
    said = [probabilities(predict(o.network, x[:, :, list(o.channels)])) for o in teacher.opinions]
    *each, ensemble = (scores(p.argmax(1), truth, classes).macro_f1 for p in (*said, np.mean(said, axis=0)))
    return {"each": each, "ensemble": ensemble}


def _teacher(known: list[dict[str, Any]], s: RunSettings) -> Teacher:
    opinions = tuple(map(_opinion, known))
    defaults = Teacher(opinions)
    return Teacher(opinions, s.soft_temperature or defaults.temperature,
                   defaults.weight if s.soft_weight is None else s.soft_weight)


def give(run: RunDir, folders: Sequence[Path]) -> None:
    """Put the networks of other runs into a run's teachers.pt."""
    if folders and not run.has(FILE):
        _write(run, [{"given": True, "architecture": RunDir(f).read_json("search.json")["architecture"],
                      "state": state_from_bytes(RunDir(f).file("float.pt").read_bytes())} for f in folders])


def identity(folder: Path, student: RunSettings) -> str:
    """Eight hex digits that name the network of a run.

    Raises
    ------
    RunError    the folder has no trained network, or it knows other recordings than the student will
    """
    run = RunDir(folder)
    settings = stored_settings(run.file("run.toml"))
    if not isinstance(settings, RunSettings) or not run.has("float.pt"):
        raise RunError(f"{folder} has no float.pt: it cannot teach.",
                       "Name the folder of a `harembed search` or `compress` that came as far as its stage Train.")
    for key in _SAME:
        if getattr(settings, key) != getattr(student, key):
            raise RunError(f"{folder} was trained with {key} = {getattr(settings, key)!r}, its student would be with "
                           f"{getattr(student, key)!r}.", "Both need the same windows and test people.")
    return hashlib.sha256(run.file("float.pt").read_bytes()).hexdigest()[:8]


def _architecture(arch: Network, s: RunSettings) -> Network:
    """What the networks of --teachers look like."""
    plain = dense(arch)
    return scaled(chain_of(plain, "Wider teachers are"), s.teacher_width) if s.teacher_width else plain


def _train(job: SearchJob, arch: Network, lesson: tuple[Tensor, Tensor, Sensors], have: int,
           known: list[dict[str, Any]]) -> Iterator[int]:
    """Append the missing ones of --teachers to those that are known; yields how many there are after each."""
    want = job.settings.teachers or 0
    if have >= want:
        return
    alone = device_of(job.settings.device).type != "cpu"
    processes = 1 if alone else min(want - have, job.settings.processes or SearchSettings.processes)
    recipe = job.recipe(job.settings.float_epochs)
    seeds = [derived_seed(job.settings.seed, "teacher", n) for n in range(have, want)]
    with workers(1 if job.settings.born_again else processes, _same, lesson, _trained) as run:
        states = (_generations(run, arch, recipe, seeds, known, job.settings) if job.settings.born_again
                  else run([(arch, recipe, seed, None) for seed in seeds]))
        for number, state in enumerate(states, have + 1):
            known.append({"given": False, "architecture": arch.to_dict(), "state": state})
            yield number


def _generations(run: Map, arch: Network, recipe: Recipe, seeds: list[int], known: list[dict[str, Any]],
                 s: RunSettings) -> Iterator[State]:
    """One after another, each taught by the one before: born-again networks (Furlanello et al. 2018)."""
    for seed in seeds:
        yield from run([(arch, recipe, seed, _teacher(known[-1:], s) if known else None)])


def _same(*lesson: Any) -> tuple[Any, ...]:
    return lesson


def _trained(lesson: tuple[Tensor, Tensor, Sensors], arch: Network, recipe: Recipe, seed: int,
             teacher: Teacher | None) -> State:
    x, y, sensors = lesson
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = build_model(arch)
    train(model, x, y, recipe, seed, sensors=sensors, teacher=teacher)
    return model.cpu().state_dict()


def _opinion(network: dict[str, Any]) -> Opinion:
    arch = network_from_dict(network["architecture"])
    model = build_model(arch)
    model.load_state_dict(network["state"])
    return Opinion(model, arch.channels, arch.describe())


def _read(run: RunDir) -> list[dict[str, Any]]:
    return list(state_from_bytes(run.file(FILE).read_bytes())["networks"]) if run.has(FILE) else []


def _write(run: RunDir, networks: list[dict[str, Any]]) -> None:
    run.write(FILE, state_to_bytes({"networks": networks}))
