"""Transfer: a run's network learns another dataset first, from the channels there that match its own.

pretrained.pt holds the weights without those of the classes, and what they come from.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from harembed.data import load_dataset
from harembed.data.dataset import Dataset
from harembed.data.normalise import channel_statistics
from harembed.data.places import matched
from harembed.data.recording import vectors
from harembed.models import build_model
from harembed.progress import Tick
from harembed.search.candidate import derived_seed
from harembed.search_job import SearchJob
from harembed.space import Network
from harembed.train.augment import Sensors
from harembed.train.device import device_of
from harembed.train.loop import normalise, state_from_bytes, state_to_bytes, train
from harembed.train.recipe import Recipe

FILE = "pretrained.pt"
_OF_CLASSES = ("classifier.", "centres.")  # parameters that another dataset's classes cannot lend
_TOLERANCE = 0.05  # of a window's duration


def pretrained(job: SearchJob, arch: Network, recipe: Recipe, tick: Tick) -> Mapping[str, Tensor] | None:
    """Weights to start from, None if the run does not ask for any; trains them if pretrained.pt is missing.

    Raises
    ------
    DataError    the recordings are not at hand, lack a channel, or their windows are of another duration
    """
    if job.settings.pretrain is None:
        return None
    if not job.run.has(FILE):
        state, facts = _learn(job, arch, recipe, tick)
        job.run.write(FILE, state_to_bytes({"state": state, "facts": facts}))
    return dict(state_from_bytes(job.run.file(FILE).read_bytes())["state"])


def pretraining_facts(job: SearchJob) -> dict[str, Any] | None:
    """What the weights come from, for the report."""
    return dict(state_from_bytes(job.run.file(FILE).read_bytes())["facts"]) if job.run.has(FILE) else None


def start_from(model: nn.Module, state: Mapping[str, Tensor] | None) -> None:
    """Put such weights into a network; its classes keep their random ones."""
    if state is not None:
        model.load_state_dict({**model.state_dict(), **state})


def _learn(job: SearchJob, arch: Network, recipe: Recipe, tick: Tick) -> tuple[dict[str, Tensor], dict[str, Any]]:
    there = recordings_to_learn(job)
    wanted = [job.dataset.info.channels[c] for c in arch.channels]
    taken = matched(wanted, there.info.channels)
    mean, std = channel_statistics(there.train)
    raw = resampled(there.train.raw, arch.window)
    device = device_of(job.settings.device)
    x = normalise(raw, mean, std, tuple(range(len(mean)))).to(device)
    y = torch.from_numpy(there.train.y).to(device)
    seed = derived_seed(job.settings.seed, "pretraining")
    torch.manual_seed(seed)
    model = build_model(replace(arch, classes=len(there.info.classes)))
    train(model, x, y, recipe, seed, sensors=Sensors(mean, std, vectors(there.info.channels), taken),
          progress=lambda e, f: tick(e + 1, recipe.epochs, f"{there.info.name} first, loss {f['loss']:.3f}"))
    state = {k: v for k, v in model.cpu().state_dict().items() if not k.startswith(_OF_CLASSES)}
    facts = {"dataset": there.info.title, "windows": len(there.train), "people": len(there.train.subjects),
             "channels": [[c.name, there.info.channels[i].name] for c, i in zip(wanted, taken, strict=True)]}
    return state, facts


def recordings_to_learn(job: SearchJob) -> Dataset:
    """Those that a run asks for, in windows of the duration of its own.

    Raises
    ------
    DataError    they are published in windows of another, or are not at hand
    """
    spec, info = str(job.settings.pretrain), job.dataset.info
    seconds = info.protocol.window / info.rate_hz
    there = load_dataset(spec, job.data_root)
    if abs(there.info.protocol.window / there.info.rate_hz / seconds - 1) <= _TOLERANCE:
        return there
    window = round(seconds * there.info.rate_hz)
    return load_dataset(spec, job.data_root, window, max(window // 2, 1))


def resampled(raw: np.ndarray, samples: int) -> np.ndarray:
    """Windows [N, T, C] int16 with so many samples, by straight lines between those that there are."""
    if raw.shape[1] == samples:
        return raw
    at = np.linspace(0, raw.shape[1] - 1, samples)
    left = np.minimum(at.astype(np.int64), raw.shape[1] - 2)
    share = (at - left)[:, np.newaxis]
    return np.rint(raw[:, left] * (1 - share) + raw[:, left + 1] * share).astype(np.int16)
