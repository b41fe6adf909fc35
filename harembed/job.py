"""What the stages of one run share from its integer graph on: a folder, a board, and inputs to prove equality on.

Where a graph comes from is the business of the two kinds of run, in search_job.py and compile_job.py.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from rich.console import Console

from harembed.board import Board, load_board
from harembed.export.tflite import write_tflite
from harembed.ir.file import load_graph
from harembed.ir.graph import IntGraph
from harembed.ir.ops.base import Goal
from harembed.rundir import RunDir


@dataclass(frozen=True, eq=False)
class Probes:
    """The inputs on which every target must compute the interpreter's bits.

    Attributes
    ----------
    raw : [N, window, raw_channels] int16, recorded windows; None if the network does not start at raw samples
    given : model inputs [N, ...] of the user, one array per input of the graph; N may be 0, and is if there is `raw`
    made : model inputs [M, ...] over the full range, then the constant extremes
    extremes : how many of `made` are constant
    seed : of the random ones
    """

    raw: np.ndarray | None
    given: tuple[np.ndarray, ...]
    made: tuple[np.ndarray, ...]
    extremes: int
    seed: int

    @property
    def recorded(self) -> int:
        """How many come from a recording or from the user."""
        return len(self.given[0]) if self.raw is None else len(self.raw)

    @property
    def random(self) -> int:
        """How many were made up."""
        return len(self.made[0])

    @property
    def total(self) -> int:
        return self.recorded + self.random

    def model_inputs(self, graph: IntGraph) -> tuple[np.ndarray, ...]:
        """All of them as inputs of the model: recorded or given ones first."""
        first = self.given
        if self.raw is not None:
            assert graph.input_spec is not None
            first = (graph.input_spec.quantise(self.raw),)
        return tuple(np.concatenate([a.reshape(len(a), *b.shape[1:]), b])
                     for a, b in zip(first, self.made, strict=True))


class Job(ABC):
    """One run; subclasses know where the graph comes from.

    Parameters
    ----------
    board_name : str    a name or a file
    toolchain : str     of the firmware; None takes the first that is there
    """

    too_large = ""  # what to do if the network does not fit the board

    def __init__(self, run: RunDir, board_name: str, toolchain: str | None, console: Console) -> None:
        self.run = run
        self.board_name = board_name
        self.toolchain = toolchain
        self.console = console

    def __getstate__(self) -> dict[str, Any]:
        """For another process: without the terminal and the recordings, which are this one's."""
        return {name: value for name, value in vars(self).items() if name not in ("console", "dataset")}

    @cached_property
    def board(self) -> Board:
        return load_board(self.board_name)

    @property
    @abstractmethod
    def optimize(self) -> Goal:
        """What generated code is optimised for."""

    @property
    def backend(self) -> str:
        """What computes the network on the device: a key of harembed.backends.BACKENDS."""
        return "own"

    @cached_property
    def graph(self) -> IntGraph:
        """The integer graph that the run's own stages wrote."""
        text = self.run.file("graph.json").read_text()
        return load_graph(text, self.run.file("graph.npz").read_bytes())

    @property
    @abstractmethod
    def arena_limit(self) -> int | None:
        """Bytes that the arena may take; None for no limit."""

    @property
    @abstractmethod
    def ram_budget(self) -> int | None:
        """What the arena was meant to fit by choice, for the report; None if nothing was chosen."""

    @property
    @abstractmethod
    def probes(self) -> Probes:
        """What all targets are compared on."""

    @abstractmethod
    def architecture(self) -> dict[str, Any]:
        """The network as plain data, with `text`, one line."""

    def oracle_files(self) -> tuple[tuple[str, str, bytes], ...]:
        """(name, title, .tflite) of what TFLM must compute alike; the last is for LiteRT, too."""
        return (("tflm", "TFLM interpreter", write_tflite(self.graph)),)
