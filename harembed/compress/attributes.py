"""An example of several tasks in one network: from the gait in MotionSense, what a person does, their sex and age.

Shen's thesis (appendix A) learned sex and age from gait and balanced the two by GradNorm. Here every person is held
out once: nobody of whom the scores tell was in training. Nothing is chosen by them.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from torch.nn import functional as F

from harembed.data import load_dataset
from harembed.data.normalise import channel_statistics
from harembed.data.people import Person, load_people
from harembed.data.recording import Channel, Windows, vectors
from harembed.data.split import subject_folds
from harembed.errors import DataError
from harembed.models import build_model
from harembed.progress import stage
from harembed.rundir import dump_json, write_atomic
from harembed.search.candidate import derived_seed
from harembed.space import Architecture, ConvTail, TemporalConv
from harembed.train.augment import Sensors, augment
from harembed.train.gradnorm import GradNorm
from harembed.train.loop import normalise
from harembed.train.metrics import scores
from harembed.train.one_thread import one_thread
from harembed.train.recipe import Recipe

GAITS = ("downstairs", "upstairs", "walking", "jogging")
TASKS = ("activity", "sex", "age")
BALANCES = ("equal weights", "GradNorm")
FORMAT_VERSION = 1
_CONVS = (TemporalConv(5, 2, 8), TemporalConv(5, 2, 16))
_TAIL = ConvTail(32, (TemporalConv(3, 1, 32),))


@dataclass(frozen=True, eq=False)
class _Said:
    """What was said of windows of held-out people."""

    truth: Windows
    activity: np.ndarray  # [N] int
    man: np.ndarray  # [N] probability
    age: np.ndarray  # [N] years


def run(folder: Path, folds: int, epochs: int, seed: int, data_root: Path | None, console: Console) -> dict[str, Any]:
    """Train and score; writes attributes.json into the folder.

    Parameters
    ----------
    folds : how often a part of the people is held out
    epochs : of each training

    Returns
    -------
    dict    what attributes.json says
    """
    people = load_people(data_root)
    info, windows = _gait(data_root)
    if missing := sorted(set(windows.subjects) - set(people)):
        raise DataError(f"The table of people lacks {', '.join(missing)}.", "Get it again.")
    begun, rows = time.monotonic(), {}
    for balance in BALANCES:
        said = []
        with stage(console, balance) as tick:
            for number, (taught, held) in enumerate(subject_folds(windows, folds, seed)):
                tick(number, folds, f"fold {number + 1} of {folds}")
                said.append(_fold(taught, held, info, people, balance, Recipe(epochs=epochs),
                                  derived_seed(seed, number)))
            rows[balance] = _figures(said, people)
            tick(folds, folds, _words(rows[balance]))
    result = {"format_version": FORMAT_VERSION, "dataset": "MotionSense", "people": len(windows.subjects),
              "windows": len(windows), "folds": folds, "epochs": epochs, "seed": seed,
              "guess": _guess(windows.subjects, people), "rows": rows,
              "seconds": round(time.monotonic() - begun, 1)}
    write_atomic(folder / "attributes.json", dump_json(result))
    _print(result, folder, console)
    return result


def _gait(data_root: Path | None) -> tuple[tuple[Channel, ...], Windows]:
    dataset = load_dataset("motionsense", data_root)
    everybody = Windows.concatenate([dataset.train, dataset.test])
    classes = dataset.info.classes
    renumbered = np.array([GAITS.index(c) if c in GAITS else -1 for c in classes])
    kept = everybody.select(renumbered[everybody.y] >= 0)
    return dataset.info.channels, Windows(kept.raw, renumbered[kept.y], kept.subject, kept.recording)


@one_thread()
def _fold(taught: Windows, held: Windows, channels: Sequence[Channel], people: dict[str, Person], balance: str,
          recipe: Recipe, seed: int) -> _Said:
    mean, std = channel_statistics(taught)
    sensors = Sensors(mean, std, vectors(channels))
    every = tuple(range(len(mean)))
    torch.manual_seed(seed)
    arch = Architecture(taught.raw.shape[1], every, "same", _CONVS, _TAIL, len(GAITS))
    body = nn.Sequential(*list(build_model(arch))[:-1])
    features_out = _TAIL.convs[-1].filters
    heads = nn.ModuleDict({"activity": nn.Linear(features_out, len(GAITS)), "sex": nn.Linear(features_out, 1),
                           "age": nn.Linear(features_out, 1)})
    ages = np.array([people[s].age for s in taught.subjects], np.float64)
    middle, spread = float(ages.mean()), max(float(ages.std()), 1.0)
    _train(body, heads, normalise(taught.raw, mean, std, every), _targets(taught, people, middle, spread), sensors,
           recipe, seed, GradNorm(len(TASKS)) if balance == "GradNorm" else None)
    with torch.no_grad():
        features = body(normalise(held.raw, mean, std, every))
        return _Said(held, heads["activity"](features).argmax(1).numpy(),
                     torch.sigmoid(heads["sex"](features)[:, 0]).numpy(),
                     heads["age"](features)[:, 0].numpy() * spread + middle)


def _targets(windows: Windows, people: dict[str, Person], middle: float, spread: float) -> tuple[Tensor, ...]:
    of_each = [people[s] for s in windows.subject]
    return (torch.from_numpy(windows.y), torch.tensor([float(p.man) for p in of_each]),
            torch.tensor([(p.age - middle) / spread for p in of_each], dtype=torch.float32))


def _train(body: nn.Sequential, heads: nn.ModuleDict, x: Tensor, targets: tuple[Tensor, ...], sensors: Sensors,
           recipe: Recipe, seed: int, balance: GradNorm | None) -> None:
    parameters = [*body.parameters(), *heads.parameters()]
    optimizer = torch.optim.AdamW(parameters, recipe.learning_rate, weight_decay=recipe.weight_decay)
    steps = -(-len(x) // recipe.batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, recipe.learning_rate, total_steps=recipe.epochs * steps)
    generator = torch.Generator().manual_seed(seed)
    shared = [p for p in body.parameters() if p.dim() == 4][-1]  # of the last convolution
    body.train()
    for _ in range(recipe.epochs):
        for part in torch.randperm(len(x), generator=generator).split(recipe.batch):
            if len(part) > 1:
                features = body(augment(x[part], recipe, generator, sensors))
                losses = _losses(heads, features, [t[part] for t in targets], recipe.label_smoothing)
                if balance is not None:
                    balance.update(losses, shared)
                weights = torch.ones(len(TASKS)) if balance is None else balance.weights
                optimizer.zero_grad()
                (weights * torch.stack(losses)).sum().backward()
                optimizer.step()
            schedule.step()
    body.eval()


def _losses(heads: nn.ModuleDict, features: Tensor, targets: Sequence[Tensor], smoothing: float) -> list[Tensor]:
    """In the order of TASKS; as in the thesis cross-entropy for classes, mean absolute error for age."""
    activity, man, age = targets
    return [F.cross_entropy(heads["activity"](features), activity, label_smoothing=smoothing),
            F.binary_cross_entropy_with_logits(heads["sex"](features)[:, 0], man),
            (heads["age"](features)[:, 0] - age).abs().mean()]


def _figures(said: Sequence[_Said], people: dict[str, Person]) -> dict[str, float]:
    truth = Windows.concatenate([s.truth for s in said])
    activity, man, age = (np.concatenate([getattr(s, k) for s in said]) for k in ("activity", "man", "age"))
    really_man = np.array([people[s].man for s in truth.subject])
    really_old = np.array([people[s].age for s in truth.subject])
    by_person = {s: truth.subject == s for s in truth.subjects}
    return {"activity_macro_f1": scores(activity, truth.y, len(GAITS)).macro_f1,
            "sex_accuracy_windows": float(((man > 0.5) == really_man).mean()),
            "sex_accuracy_people": float(np.mean([(man[w].mean() > 0.5) == people[s].man
                                                  for s, w in by_person.items()])),
            "age_error_windows": float(np.abs(age - really_old).mean()),
            "age_error_people": float(np.mean([abs(np.median(age[w]) - people[s].age)
                                               for s, w in by_person.items()]))}


def _guess(subjects: Sequence[str], people: dict[str, Person]) -> dict[str, float]:
    """What one says who knows the other people alone: the more frequent sex, the median age."""
    right, errors = [], []
    for s in subjects:
        others = [people[o] for o in subjects if o != s]
        right.append((2 * sum(p.man for p in others) > len(others)) == people[s].man)
        errors.append(abs(float(np.median([p.age for p in others])) - people[s].age))
    return {"sex_accuracy_people": float(np.mean(right)), "age_error_people": float(np.mean(errors))}


def _words(row: dict[str, float]) -> str:
    return (f"activity {row['activity_macro_f1']:.4f}, sex {row['sex_accuracy_people']:.2f}, age off by "
            f"{row['age_error_people']:.1f} years")


def _print(result: dict[str, Any], folder: Path, console: Console) -> None:
    table = Table("", "activity, macro F1", "sex by window", "by person", "age off, window", "by person", box=None,
                  header_style="bold", caption_justify="left", caption=f"{result['people']} people, each held out "
                  f"once in {result['folds']} folds; evaluated on {result['windows']:,} windows of gait.")
    for name, r in result["rows"].items():
        table.add_row(name, f"{r['activity_macro_f1']:.4f}", f"{r['sex_accuracy_windows']:.3f}",
                      f"{r['sex_accuracy_people']:.3f}", f"{r['age_error_windows']:.2f} years",
                      f"{r['age_error_people']:.2f} years")
    g = result["guess"]
    table.add_row("the other people's", "", "", f"{g['sex_accuracy_people']:.3f}", "",
                  f"{g['age_error_people']:.2f} years")
    console.print(table)
    console.print(f"wrote {folder / 'attributes.json'}", highlight=False)
