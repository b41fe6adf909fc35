"""What the stages of one run share: settings, folder, and what is loaded when first asked for."""

from functools import cached_property
from pathlib import Path

import numpy as np
from rich.console import Console

from harembed.board import Board, load_board
from harembed.data import load_dataset
from harembed.data.dataset import Dataset
from harembed.data.normalise import channel_statistics
from harembed.data.recording import Windows
from harembed.errors import BoardError
from harembed.ir.file import load_graph
from harembed.ir.graph import IntGraph
from harembed.ir.ops.base import Goal
from harembed.rundir import RunDir
from harembed.settings import RunSettings


class Job:
    """One run.

    Parameters
    ----------
    toolchain : str    of the firmware; None takes the first that is there
    """

    def __init__(self, settings: RunSettings, run: RunDir, data_root: Path | None, toolchain: str | None,
                 console: Console) -> None:
        self.settings = settings
        self.run = run
        self.data_root = data_root
        self.toolchain = toolchain
        self.console = console

    @cached_property
    def board(self) -> Board:
        return load_board(self.settings.board)

    @property
    def ram_bytes(self) -> int:
        """The budget of the arena."""
        return self.settings.ram or self.board.ram_budget_bytes

    @property
    def optimize(self) -> Goal:
        """What generated code is optimised for."""
        return self.settings.optimize or "balanced"

    @cached_property
    def dataset(self) -> Dataset:
        s = self.settings
        return load_dataset(s.dataset, self.data_root, s.window, s.hop, s.split)

    @cached_property
    def statistics(self) -> tuple[np.ndarray, np.ndarray]:
        """(mean, std) of each raw channel in counts, from all training subjects."""
        return channel_statistics(self.dataset.train)

    @cached_property
    def graph(self) -> IntGraph:
        """The integer graph that the stage Quantise wrote."""
        text = self.run.file("graph.json").read_text()
        return load_graph(text, self.run.file("graph.npz").read_bytes())

    @property
    def parity_windows(self) -> Windows:
        """Test windows, filled up to at least 1,000 from other hops or people where the test set is small."""
        if self.dataset.extra is None or not len(self.dataset.extra):
            return self.dataset.test
        return Windows.concatenate([self.dataset.test, self.dataset.extra])

    def check(self) -> None:
        """Refuse what cannot work, before hours are spent."""
        board = self.board
        if board.ram_bytes is not None and self.ram_bytes > board.ram_bytes:
            raise BoardError(f"--ram {self.ram_bytes:,} bytes is more than the {board.ram_bytes:,} bytes of RAM of "
                             f"{board.name}.", "Ask for less; the stack and the serial buffers need some too.")
