"""Which way to make a network small is best for so many bytes: int8, Lego filters or signs, each with and without
teachers.

The network of a finished search is made as wide, in each form, as its constants may be large. All of them, and the
teachers, learn from the same two thirds of the training people. The third third says which is best; test people are
scored beside, and choose nothing.
"""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console

from harembed.compress.forms import FORMS, Form, widest
from harembed.compress.teachers import teacher_scores
from harembed.cost.dims import dims_of
from harembed.cost.macs import constant_bytes, parameters, total_macs
from harembed.data.normalise import channel_statistics
from harembed.data.recording import Windows, vectors
from harembed.data.split import subject_folds
from harembed.errors import RunError
from harembed.export.lower import lower
from harembed.ir.interpreter import Interpreter
from harembed.models import build_model
from harembed.nn.quant import Mode
from harembed.progress import stage
from harembed.report.combinations import print_rows, render
from harembed.rundir import RunDir
from harembed.search.candidate import derived_seed
from harembed.search.executor import workers
from harembed.search_job import SearchJob
from harembed.settings import RunSettings, load_settings, stored_settings
from harembed.space import Architecture, Network, network_from_dict
from harembed.train import qat
from harembed.train.augment import Sensors
from harembed.train.loop import State, normalise, state_from_bytes, state_to_bytes, train
from harembed.train.metrics import scores
from harembed.train.recipe import Recipe
from harembed.train.teacher import Opinion, Teacher

FILE, PAGE, TEACHERS = "combinations.json", "combinations.html", "teachers.pt"
FORMAT_VERSION = 1
PARTS = 3  # of the training people: one says what is best
ALONE, TAUGHT = "alone", "taught"
_KEPT = ("board", "dataset", "window", "hop", "train_hop", "rotation", "split", "seed")  # settings of the search


@dataclass(frozen=True)
class Effort:
    """How much training each network gets; `teachers` networks of the search's own width teach."""

    epochs: int
    qat_epochs: int
    teachers: int
    seeds: tuple[int, ...]


@dataclass(frozen=True)
class Variant:
    budget: int  # bytes of constants, at most
    form: Form
    taught: bool
    seed: int
    arch: Network

    @property
    def key(self) -> str:
        return f"{self.budget}-{self.form.name}-{TAUGHT if self.taught else ALONE}-{self.seed}"


@dataclass(frozen=True, eq=False)
class _Lesson:
    """In each process."""

    taught: Windows
    held: Windows
    test: Windows
    mean: np.ndarray
    std: np.ndarray
    sensors: tuple[tuple[int, int, int], ...]
    classes: tuple[str, ...]
    effort: Effort
    recipe: Recipe
    teacher_arch: Network


def combine(source: Path, budgets: Sequence[int], effort: Effort, folder: Path, processes: int,
            data_root: Path | None, console: Console) -> dict[str, Any]:
    """Train and score every combination; what is done stays done.

    Parameters
    ----------
    source : folder of a finished search
    budgets : bytes of constants
    folder : gets combinations.json and combinations.html, and a file for each network

    Returns
    -------
    dict    what combinations.json says

    Raises
    ------
    RunError    the folder holds no finished search, its network is no chain of convolutions, or no form fits
    """
    arch, settings = _network(source)
    run, begun = RunDir(folder), time.monotonic()
    run.claim(f"{settings.to_toml()}{_bound(arch, effort)}")
    job = SearchJob(settings, run, data_root, None, console)
    lesson = _lesson(job, arch, effort)
    variants = [Variant(budget, form, taught, seed, made) for seed in effort.seeds for budget in budgets
                for form in FORMS if (made := widest(arch, form, budget)) for taught in (False, True)]
    if not variants:
        raise RunError(f"No form of {arch.describe()} fits into {' or '.join(map(str, budgets))} bytes.",
                       "Give more --bytes.")
    missing = [v for v in variants if not run.has(_file(v))]
    console.print(f"{len(variants)} networks from {arch.describe()}, {len(variants) - len(missing)} are done",
                  highlight=False)
    with workers(processes, _same, (lesson,), _trained) as pool:
        teachers = _teachers(run, pool, effort, console)
        with stage(console, "Combine") as tick:
            for number, (variant, found) in enumerate(zip(missing, pool([(v, teachers) for v in missing]),
                                                          strict=True), 1):
                run.write_json(_file(variant), found)
                tick(number, len(missing), f"{variant.key}: {found['validation']:.4f}")
    rows = _rows([(v, run.read_json(_file(v))) for v in variants])
    result = {"format_version": FORMAT_VERSION, "source": source.name, "dataset": settings.dataset,
              "network": arch.describe(), "epochs": effort.epochs, "qat_epochs": effort.qat_epochs,
              "teachers": _heard(lesson, teachers), "seeds": list(effort.seeds),
              "people": {"taught": len(lesson.taught.subjects), "held out": len(lesson.held.subjects),
                         "test": len(lesson.test.subjects)}, "rows": rows,
              "best": {str(b): best_of(rows, b) for b in budgets if any(r["budget"] == b for r in rows)},
              "seconds": round(time.monotonic() - begun, 1)}
    run.write_json(FILE, result)
    run.write(PAGE, render(result))
    print_rows(result, console)
    console.print(f"macro F1, int8 arithmetic; best by validation people; {folder / PAGE}", highlight=False)
    return result


def best_of(rows: Sequence[dict[str, Any]], budget: int) -> str:
    """What the people who were kept aside say: the name of a row."""
    return str(max((r for r in rows if r["budget"] == budget), key=lambda r: (r["validation"], r["name"]))["name"])


def _network(source: Path) -> tuple[Architecture, RunSettings]:
    run = RunDir(source)
    settings = stored_settings(run.file("run.toml"))
    if not isinstance(settings, RunSettings) or not run.has("search.json"):
        raise RunError(f"{source} has no search.json: it holds no network that a search chose.",
                       "Run `harembed search --out DIR` first.")
    arch = network_from_dict(run.read_json("search.json")["architecture"])
    if not isinstance(arch, Architecture) or arch.lego or arch.xnor:
        raise RunError(f"The network of {source} is {arch.describe()}: no plain chain of convolutions.",
                       "Take a search by another strategy than dqn, without --lego and --xnor.")
    kept = {k: getattr(settings, k) for k in _KEPT}
    return arch, load_settings(None, {k: v for k, v in kept.items() if v is not None})


def _bound(arch: Architecture, effort: Effort) -> str:
    """What must be the same to go on in a folder; further numbers of bytes and seeds may come."""
    return (f"combined = {json.dumps(arch.describe())}\nepochs = {effort.epochs}\nqat = {effort.qat_epochs}\n"
            f"teachers = {effort.teachers}\n")


def _lesson(job: SearchJob, arch: Network, effort: Effort) -> _Lesson:
    taught, held = subject_folds(job.dataset.train, PARTS, job.settings.seed)[0]
    mean, std = channel_statistics(taught)
    return _Lesson(taught, held, job.dataset.test, mean, std, vectors(job.dataset.info.channels),
                   tuple(job.dataset.info.classes), effort, job.recipe(effort.epochs), arch)


def _same(lesson: _Lesson) -> _Lesson:
    return lesson


def _teachers(run: RunDir, pool: Any, effort: Effort, console: Console) -> list[State]:
    """Networks of the search's own architecture; kept in teachers.pt."""
    if not run.has(TEACHERS):
        with stage(console, "Teach") as tick:
            states: list[State] = []
            for state in pool([(number, []) for number in range(effort.teachers)]):
                states.append(state)
                tick(len(states), effort.teachers, f"teacher {len(states)} of {effort.teachers}")
        run.write(TEACHERS, state_to_bytes({"states": states}))
    return list(state_from_bytes(run.file(TEACHERS).read_bytes())["states"])


def _heard(lesson: _Lesson, teachers: list[State]) -> dict[str, Any]:
    """How good they are, in float: each, and their ensemble."""
    every, ensemble = tuple(range(len(lesson.mean))), _ensemble(lesson, teachers)
    return {name: teacher_scores(ensemble, normalise(windows.raw, lesson.mean, lesson.std, every), windows.y,
                                 len(lesson.classes))
            for name, windows in (("validation", lesson.held), ("test", lesson.test))}


def _trained(lesson: _Lesson, task: Variant | int, teachers: list[State]) -> Any:
    """Scores of a variant; the weights of a teacher."""
    return _teacher(lesson, task) if isinstance(task, int) else _scored(lesson, task, teachers)


def _teacher(lesson: _Lesson, number: int) -> State:
    model = _fit(lesson, lesson.teacher_arch, derived_seed(number, "teacher"), None)
    return model.state_dict()


def _fit(lesson: _Lesson, arch: Network, seed: int, teacher: Teacher | None) -> torch.nn.Sequential:
    torch.manual_seed(seed)
    model = build_model(arch)
    train(model, *_tensors(lesson), lesson.recipe, seed,
          sensors=_sensors(lesson, arch), teacher=teacher)
    return model


def _tensors(lesson: _Lesson) -> tuple[torch.Tensor, torch.Tensor]:
    every = tuple(range(len(lesson.mean)))
    return (normalise(lesson.taught.raw, lesson.mean, lesson.std, every), torch.from_numpy(lesson.taught.y))


def _sensors(lesson: _Lesson, arch: Network) -> Sensors:
    return Sensors(lesson.mean, lesson.std, lesson.sensors, arch.channels)


def _scored(lesson: _Lesson, variant: Variant, teachers: list[State]) -> dict[str, Any]:
    arch, effort = variant.arch, lesson.effort
    teacher = _ensemble(lesson, teachers) if variant.taught else None
    seed = derived_seed(variant.seed, "combination")
    model = _fit(lesson, arch, seed, teacher).eval()
    net = qat.quantise(model, lesson.std[list(arch.channels)])
    qat.fine_tune(net, Mode.INT8, *_tensors(lesson), qat.fine_tuning(lesson.recipe, effort.qat_epochs),
                  seed, sensors=_sensors(lesson, arch), teacher=teacher)
    graph = lower(net, arch, lesson.mean, lesson.std, lesson.classes, "combination")
    dims = dims_of(arch)
    return {"bytes": int(constant_bytes(dims)), "macs": int(total_macs(dims)), "parameters": int(parameters(dims)),
            "network": arch.describe(),
            **{name: _macro_f1(Interpreter(graph), windows, len(lesson.classes))
               for name, windows in (("validation", lesson.held), ("test", lesson.test))}}


def _ensemble(lesson: _Lesson, teachers: list[State]) -> Teacher:
    opinions = []
    for state in teachers:
        model = build_model(lesson.teacher_arch)
        model.load_state_dict(state)
        opinions.append(Opinion(model.eval(), lesson.teacher_arch.channels, lesson.teacher_arch.describe()))
    return Teacher(tuple(opinions))


def _macro_f1(interpreter: Interpreter, windows: Windows, classes: int) -> float:
    parts = np.array_split(windows.raw, -(-len(windows) // 256))
    said = np.concatenate([interpreter.run_raw(part)[0] for part in parts])
    return scores(said.reshape(len(windows), -1).argmax(1), windows.y, classes).macro_f1


def _file(variant: Variant) -> str:
    return f"networks/{variant.key.replace(' ', '').replace(',', '-')}.json"


def _rows(found: Sequence[tuple[Variant, dict[str, Any]]]) -> list[dict[str, Any]]:
    """Means over seeds."""
    rows = []
    for key in dict.fromkeys((v.budget, v.form.name, v.taught) for v, _ in found):
        runs = [f for v, f in found if (v.budget, v.form.name, v.taught) == key]
        budget, form, taught = key
        rows.append({"budget": budget, "name": f"{form}, {TAUGHT}" if taught else form,
                     **{k: runs[0][k] for k in ("network", "bytes", "macs", "parameters")},
                     **{k: float(np.mean([r[k] for r in runs])) for k in ("validation", "test")},
                     "each": [{k: r[k] for k in ("validation", "test")} for r in runs]})
    return rows
