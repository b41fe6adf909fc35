"""A run that begins with recordings: its dataset, loaded when first asked for, and its settings."""

from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from harembed.cost.latency import load_latency_model
from harembed.data import load_dataset
from harembed.data.dataset import Dataset
from harembed.data.normalise import channel_statistics
from harembed.data.recording import Windows
from harembed.errors import BoardError, RunError
from harembed.harness.validate import random_inputs
from harembed.ir.ops.base import Goal
from harembed.job import Job, Probes
from harembed.rundir import RunDir
from harembed.settings import RunSettings
from harembed.space import Network, network_from_dict
from harembed.train.recipe import Recipe

# A quarter of UCI-HAR's, which overlap by half: so a default search of them ends within ten minutes on two cores.
# Validation of all candidates falls, by two points already with half of them, which is no matter for a comparison.
SEARCH_WINDOWS = 2_000
RANDOM_INPUTS = 200
RANDOM_SEED = 2024
OF_PUBLISHED = ("autoslim", "pas", "published")  # strategies that start from a published network
CHOOSING = ("sftnas", "random", "evolution")  # strategies that choose sensor channels


class SearchJob(Job):
    """One run of `search`."""

    too_large = "Raise --ram, or search again with more epochs."

    def __init__(self, settings: RunSettings, run: RunDir, data_root: Path | None, toolchain: str | None,
                 console: Console) -> None:
        super().__init__(run, settings.board, toolchain, console)
        self.settings = settings
        self.data_root = data_root

    @property
    def ram_bytes(self) -> int:
        """The budget of the arena."""
        return self.settings.ram or self.board.ram_budget_bytes

    @property
    def ram_budget(self) -> int | None:
        return self.ram_bytes

    @property
    def optimize(self) -> Goal:
        return self.settings.optimize or "balanced"

    @property
    def arena_limit(self) -> int | None:
        # Without the memory loss a search is there to show what the loss is good for.
        return self.ram_bytes if self.settings.beta2 > 0 else None

    @cached_property
    def dataset(self) -> Dataset:
        s = self.settings
        return load_dataset(s.dataset, self.data_root, s.window, s.hop, s.split, s.train_hop)

    @cached_property
    def statistics(self) -> tuple[np.ndarray, np.ndarray]:
        """(mean, std) of each raw channel in counts, from all training subjects."""
        return channel_statistics(self.dataset.train)

    @cached_property
    def search_windows(self) -> Windows:
        """What the search learns from; the network that it chose is trained on all training windows."""
        return self.dataset.train.thinned(self.settings.search_windows or SEARCH_WINDOWS)

    @property
    def parity_windows(self) -> Windows:
        """Test windows, filled up to at least 1,000 from other hops or people where the test set is small."""
        if self.dataset.extra is None or not len(self.dataset.extra):
            return self.dataset.test
        return Windows.concatenate([self.dataset.test, self.dataset.extra])

    @cached_property
    def probes(self) -> Probes:
        return Probes(self.parity_windows.raw, (), random_inputs(self.graph, RANDOM_INPUTS, RANDOM_SEED), 0,
                      RANDOM_SEED)

    def recipe(self, epochs: int) -> Recipe:
        """How networks of this run are trained."""
        rotation = self.settings.rotation
        return Recipe(epochs=epochs) if rotation is None else Recipe(epochs=epochs, rotation=rotation)

    def chosen(self) -> Network:
        """The network that the search chose."""
        return network_from_dict(self.run.read_json("search.json")["architecture"])

    def architecture(self) -> dict[str, Any]:
        chosen = self.chosen()
        return {**chosen.to_dict(), "text": chosen.describe()}

    def check(self) -> None:
        """Refuse what cannot work, before hours are spent."""
        board = self.board
        if board.ram_bytes is not None and self.ram_bytes > board.ram_bytes:
            raise BoardError(f"--ram {self.ram_bytes:,} bytes is more than the {board.ram_bytes:,} bytes of RAM of "
                             f"{board.name}.", "Ask for less; the stack and the serial buffers need some too.")
        if self.settings.latency_us is not None:
            load_latency_model(board)
        if self.settings.predictor is not None:
            from harembed.dqn_job import predictor_of  # imports PyTorch, which takes seconds

            predictor_of(self.settings, self.run)
        if self.settings.executor == "ray" and not self.run.has("search.json"):
            from harembed.search.ray_executor import check_ray  # imports PyTorch

            check_ray(self.settings.address)
        if self.settings.pretrain is not None and not self.run.has("float.pt"):
            from harembed.compress.pretraining import recordings_to_learn  # imports PyTorch

            recordings_to_learn(self)
        s = self.settings
        if s.backbone is not None and s.strategy not in OF_PUBLISHED:
            raise RunError(f"--backbone is a share of a published network, and strategy {s.strategy} has none.",
                           f"Leave it out, or use --strategy {' or '.join(OF_PUBLISHED)}.")
        if s.channels is not None and s.strategy not in CHOOSING:
            raise RunError(f"--channels limits which sensor channels are chosen, and strategy {s.strategy} takes all "
                           "of them.", f"Leave it out, or use --strategy {' or '.join(CHOOSING)}.")
