"""The honest figure beside one of a split that shares people between training and test."""

from typing import Any

import numpy as np
import torch

from harembed.data import load_dataset
from harembed.data.dataset import Dataset
from harembed.data.normalise import channel_statistics
from harembed.data.recording import vectors
from harembed.data.split import SUBJECTS
from harembed.errors import DataError
from harembed.models import build_model
from harembed.progress import Tick
from harembed.search.candidate import derived_seed
from harembed.search_job import SearchJob
from harembed.space import Network
from harembed.train.augment import Sensors
from harembed.train.device import device_of
from harembed.train.loop import normalise, predict, train
from harembed.train.metrics import scores
from harembed.train.recipe import Recipe

FILE = "new_people.json"


def shares_people(dataset: Dataset) -> bool:
    """Whether its scores say nothing about new people."""
    return dataset.info.protocol.leaking or bool(dataset.shared_people)


def score_new_people(job: SearchJob, arch: Network, recipe: Recipe, tick: Tick) -> dict[str, Any]:
    """Train the chosen network in float on the dataset's split by subject and test it there.

    The recipe is that of the final training. The architecture was chosen on the other split, with recordings of
    these test people in sight, so even this figure is a little too high.

    Returns
    -------
    {"split", "macro_f1", "weighted_f1", "test_subjects"}, or {"reason"} where there is no split by subject
    """
    s = job.settings
    try:
        dataset = load_dataset(s.dataset, job.data_root, s.window, s.hop, SUBJECTS, s.train_hop)
    except DataError as e:
        return {"reason": e.message}
    mean, std = channel_statistics(dataset.train)
    seed = derived_seed(s.seed, "new people")
    torch.manual_seed(seed)
    model = build_model(arch)
    device = device_of(s.device)
    x = normalise(dataset.train.raw, mean, std, tuple(range(len(mean)))).to(device)
    train(model, x, torch.from_numpy(dataset.train.y).to(device), recipe, seed,
          sensors=Sensors(mean, std, vectors(dataset.info.channels), arch.channels),
          progress=lambda e, f: tick(e + 1, recipe.epochs, f"by subject, loss {f['loss']:.3f}"))
    logits = predict(model.cpu(), normalise(dataset.test.raw, mean, std, arch.channels))
    found = scores(np.asarray(logits).argmax(1), dataset.test.y, len(dataset.info.classes))
    return {"split": dataset.info.protocol.split, "macro_f1": found.macro_f1, "weighted_f1": found.weighted_f1,
            "test_subjects": dataset.test.subjects}
