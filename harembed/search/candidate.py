"""Networks that a search proposes, their scores, and the ledger that keeps both."""

import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from harembed.errors import RunError
from harembed.rundir import RunDir
from harembed.space import Network, network_from_dict

Provenance = Literal["measured", "simulated", "estimated"]


@dataclass(frozen=True)
class Figure:
    """A number and how it was got: on a board, on a simulator, by a formula or a statistic."""

    value: float
    provenance: Provenance


@dataclass(frozen=True)
class Scores:
    """What is known of a candidate.

    Attributes
    ----------
    macro_f1 : of short trainings, one entry per fold of validation subjects, in the order of the folds (of strategy
        dqn, all on the same people); a fraction
    final_f1 : of full trainings: entrants on the first folds, finalists on every fold
    peak_ram_bytes : the largest live set
    flash_bytes : constants of the network: weights, biases, requantisation
    reward_f1 : of strategy dqn: what its controller is told after each short training, F1 by the metric of the search
        or a prediction of it
    """

    macs: Figure
    parameters: Figure
    peak_ram_bytes: Figure
    flash_bytes: Figure
    latency_us: Figure
    macro_f1: tuple[Figure, ...] = ()
    final_f1: tuple[Figure, ...] = ()
    reward_f1: tuple[Figure, ...] = ()

    @property
    def mean_f1(self) -> float:
        """Of the long trainings if there are any, else of the short ones; -1 if there are none."""
        trials = self.final_f1 or self.macro_f1
        return sum(f.value for f in trials) / len(trials) if trials else -1.0

    @property
    def mean_reward_f1(self) -> float:
        """-1 if there is none."""
        return sum(f.value for f in self.reward_f1) / len(self.reward_f1) if self.reward_f1 else -1.0


@dataclass(frozen=True)
class Candidate:
    architecture: Network
    scores: Scores
    origin: dict[str, Any] = field(default_factory=dict)  # where the search found it

    @property
    def id(self) -> str:
        return architecture_id(self.architecture)

    def to_dict(self) -> dict[str, Any]:
        return {"id": self.id, "describe": self.architecture.describe(), "origin": self.origin,
                "scores": asdict(self.scores), "architecture": self.architecture.to_dict()}

    @staticmethod
    def from_dict(d: dict[str, Any]) -> "Candidate":
        values: dict[str, Any] = {
            name: tuple(Figure(**f) for f in value) if isinstance(value, list) else Figure(**value)
            for name, value in d["scores"].items()}
        return Candidate(network_from_dict(d["architecture"]), Scores(**values), d["origin"])


def architecture_id(arch: Network) -> str:
    """12 hex digits, the same on every machine."""
    return hashlib.sha256(json.dumps(arch.to_dict(), sort_keys=True).encode()).hexdigest()[:12]


def derived_seed(seed: int, *names: object) -> int:
    """A seed for one part of a run, from the run's seed and the part's name: parts may run in any order, in one
    process or in many, and still get the same numbers."""
    text = json.dumps([seed, *map(str, names)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") >> 1


class Ledger:
    """Candidates on disk, one JSON object per line; a later line of an id replaces an earlier one.

    Parameters
    ----------
    rundir : RunDir
    name : str    of the file
    """

    def __init__(self, rundir: RunDir, name: str = "ledger.jsonl") -> None:
        self.rundir = rundir
        self.name = name
        self._lines: list[str] = []
        self._latest: dict[str, Candidate] = {}
        if rundir.has(name):
            self._load()

    def _load(self) -> None:
        for number, line in enumerate(self.rundir.file(self.name).read_text().splitlines(), start=1):
            try:
                candidate = Candidate.from_dict(json.loads(line))
            except (ValueError, KeyError, TypeError) as e:
                raise RunError(f"{self.rundir.file(self.name)}:{number} is not a candidate: {e}.",
                               "Delete the file; the candidates are scored again.") from e
            self._lines.append(line)
            self._latest[candidate.id] = candidate

    def append(self, candidate: Candidate) -> None:
        """Add a line; the file on disk holds it whole or not at all."""
        self._lines.append(json.dumps(candidate.to_dict(), ensure_ascii=False, allow_nan=False))
        self._latest[candidate.id] = candidate
        self.rundir.write(self.name, "\n".join(self._lines) + "\n")

    def get(self, candidate_id: str) -> Candidate | None:
        return self._latest.get(candidate_id)

    @property
    def candidates(self) -> tuple[Candidate, ...]:
        """The latest state of each, in order of first appearance."""
        return tuple(self._latest.values())


def pareto(candidates: Iterable[Candidate], cost: Callable[[Candidate], float]) -> list[Candidate]:
    """Candidates that no other beats in mean macro F1 without costing more, cheapest first."""
    front: list[Candidate] = []
    for c in sorted(candidates, key=lambda c: (cost(c), -c.scores.mean_f1)):
        if not front or c.scores.mean_f1 > front[-1].scores.mean_f1:
            front.append(c)
    return front


def not_dominated(candidates: Iterable[Candidate]) -> list[Candidate]:
    """Candidates that no other equals or beats in mean macro F1, RAM, flash, latency and MACs at once; of equals in
    all of them, all. In the order given."""
    def losses(c: Candidate) -> tuple[float, ...]:
        s = c.scores
        return (-s.mean_f1, s.peak_ram_bytes.value, s.flash_bytes.value, s.latency_us.value, s.macs.value)

    every = [(c, losses(c)) for c in candidates]
    return [c for c, mine in every
            if not any(other != mine and all(o <= m for o, m in zip(other, mine, strict=True)) for _, other in every)]
