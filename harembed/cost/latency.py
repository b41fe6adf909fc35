"""How long a network takes on a board, predicted from its integer graph before anything is built.

For each kind of kernel a sum of counted terms (work.py) with a coefficient each, in instructions and in cycles of the
board's cycle model. The coefficients were fitted to simulated runs of designed layers (`harembed fit-latency`) and
stand beside the board, in <board>.latency.json, with the errors found on layers that the fit did not see.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harembed.board import Board
from harembed.cost.work import Work, work_of
from harembed.errors import BoardError
from harembed.ir.code_goals import code_goals
from harembed.ir.graph import IntGraph, Node
from harembed.ir.ops.base import Goal
from harembed.resources import resource_dir

FORMAT_VERSION = 1
UNITS = ("instructions", "cycles")


@dataclass(frozen=True)
class LayerPrediction:
    name: str
    op: str
    kind: str  # of work; "" for a node without code
    instructions: float
    cycles: float


@dataclass(frozen=True)
class Prediction:
    """One inference, estimated."""

    layers: tuple[LayerPrediction, ...]
    clock_hz: int

    @property
    def instructions(self) -> float:
        return sum(layer.instructions for layer in self.layers)

    @property
    def cycles(self) -> float:
        return sum(layer.cycles for layer in self.layers)

    @property
    def latency_us(self) -> float:
        return self.cycles / self.clock_hz * 1e6


@dataclass(frozen=True)
class LatencyModel:
    """Coefficients of one backend on one board.

    Attributes
    ----------
    coefficients : {goal: {kind: {term: (instructions, cycles)}}}
    facts : the rest of the backend's entry in the file: source, compiler, errors
    """

    board: str
    backend: str
    clock_hz: int
    coefficients: Mapping[str, Mapping[str, Mapping[str, tuple[float, float]]]]
    facts: Mapping[str, Any]

    def predict(self, graph: IntGraph, goal: Goal = "balanced",
                work: Callable[[IntGraph, Node, Goal], Work | None] = work_of) -> Prediction:
        """Instructions and cycles of every node.

        Parameters
        ----------
        work : what this model's backend counts, as harembed.backends has it

        Raises
        ------
        GraphError    an operator has no counter
        BoardError    the file has no coefficients for a kind of kernel, or for this goal
        """
        layers = []
        goals = code_goals(graph, goal)
        for node in graph.nodes:
            done = work(graph, node, goals[node.name])
            if done is None:
                layers.append(LayerPrediction(node.name, node.op, "", 0.0, 0.0))
                continue
            instructions, cycles = self.evaluate(goals[node.name], done.kind, done.terms)
            layers.append(LayerPrediction(node.name, node.op, done.kind, instructions, cycles))
        return Prediction(tuple(layers), self.clock_hz)

    def evaluate(self, goal: str, kind: str, terms: Mapping[str, float]) -> tuple[float, float]:
        """(instructions, cycles) of one piece of work."""
        kinds = self.coefficients.get(goal, {})
        if kind not in kinds:
            raise BoardError(f"The latency model of {self.board} ({self.backend}) knows no {kind!r} with "
                             f"--optimize {goal}.", self._again)
        known = kinds[kind]
        # A term without a coefficient was 0 in every layer that was fitted: a case that the design does not cover.
        missing = [name for name, count in terms.items() if count and name not in known]
        if missing:
            raise BoardError(f"The latency model of {self.board} ({self.backend}) has seen no {kind!r} with "
                             f"{', '.join(missing)}.", self._again)
        return (sum(known[name][0] * count for name, count in terms.items() if count),
                sum(known[name][1] * count for name, count in terms.items() if count))

    @property
    def _again(self) -> str:
        return f"Fit it again: {fit_command(self.board, self.backend)}"

    @property
    def stale(self) -> bool:
        """Whether kernels changed since the fit."""
        return self.facts["kernels_sha256"] != kernels_digest(self.backend)


def fit_command(board: str, backend: str) -> str:
    """What to type for a latency model."""
    return f"harembed fit-latency --board {board}" + (f" --backend {backend}" if backend != "own" else "")


def latency_file(board: Board) -> Path:
    """Where a board's latency model stands."""
    return board.path.with_name(f"{board.name}.latency.json")


def kernels_digest(backend: str = "own") -> str:
    """SHA-256 of all kernels: coefficients hold for these and for no others. Other backends than our own may call the
    portable ones."""
    digest = hashlib.sha256()
    firmware = resource_dir("firmware")
    for path in sorted([*(firmware / "kernels").iterdir(), *(firmware / "include").iterdir()]):
        if backend != "own" and path.stem.endswith(("_dsp", "_asm")):
            continue
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def load_latency_model(board: Board, backend: str = "own", path: Path | None = None) -> LatencyModel:
    """Read what `harembed fit-latency` wrote.

    Raises
    ------
    BoardError    the board has none, none for this backend, or the file is damaged
    """
    path = path or latency_file(board)
    again = f"Fit one: {fit_command(board.name, backend)}"
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as e:
        raise BoardError(f"Board {board.name} has no latency model: there is no {path}.", again) from e
    except (OSError, ValueError) as e:
        raise BoardError(f"{path} cannot be read: {e}.", again) from e
    try:
        if document["format_version"] != FORMAT_VERSION:
            raise BoardError(f"{path} has format {document['format_version']}, this is {FORMAT_VERSION}.", again)
        if backend not in document["backends"]:
            raise BoardError(f"{path} has no latency model of the backend {backend!r}; it has "
                             f"{', '.join(document['backends'])}.", again)
        facts = document["backends"][backend]
        coefficients = {goal: {kind: {term: (float(c[0]), float(c[1])) for term, c in entry["coefficients"].items()}
                               for kind, entry in goal_entry["kinds"].items()}
                        for goal, goal_entry in facts["goals"].items()}
        if not isinstance(facts["kernels_sha256"], str):
            raise TypeError("kernels_sha256 is no text")
        return LatencyModel(document["board"], backend, int(document["clock_hz"]), coefficients, facts)
    except (KeyError, TypeError, ValueError, IndexError) as e:
        raise BoardError(f"{path} is damaged: {e!r}.", again) from e
