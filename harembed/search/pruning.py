"""Pruning as a search strategy: train a large network once, propose the smaller ones that it turns into.

What AutoSlim and Pruning-as-Search share here. A round prunes one network (backbone.py); there is one for each tail
that is allowed, and more from other seeds as long as the budget of epochs lasts and something new is found: the
papers, too, prune anew for every trade-off. Networks within the limits become candidates; short trainings, entrants
and finals are those of every strategy (contest.py).

As Zhou et al. compare them (section V-A3), only the numbers of filters (and of hidden features, see
models/prunable.py) are searched: sensor channels, kernels, strides, layers and padding stay the backbone's.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from harembed.data.recording import Windows
from harembed.rundir import RunDir
from harembed.search.backbone import backbone
from harembed.search.candidate import Candidate, derived_seed
from harembed.search.contest import Progress, nothing_fits, open_contest
from harembed.search.effort import Effort
from harembed.search.result import SearchResult
from harembed.search.score import Rejected, cost_scores, sort_out
from harembed.search.select import some_of_every_size
from harembed.search.settings import SearchSettings
from harembed.space import Architecture
from harembed.train.loop import state_from_bytes, state_to_bytes
from harembed.train.one_thread import one_thread

CHECKPOINT_EVERY = 2  # epochs
Found = tuple[Architecture, dict[str, Any]]  # and where it comes from


class Training(Protocol):
    """A network while it is pruned; it can be stopped and resumed between epochs."""

    epoch: int
    history: list[dict[str, float]]  # one entry per epoch

    def run_epoch(self) -> dict[str, float]: ...

    def networks(self, told: Callable[[dict[str, float]], None]) -> list[Found]:
        """What it turns into, when all epochs are over; `told` hears of progress."""
        ...

    def state(self) -> dict[str, Any]: ...

    def restore(self, state: dict[str, Any]) -> None: ...


@dataclass(frozen=True)
class Method:
    """How to prune.

    Attributes
    ----------
    name : of the files of its rounds
    cost : of one training, in epochs of a candidate
    start : (all training windows, backbone, settings, seed) -> Training
    """

    name: str
    cost: Callable[[Effort], int]
    start: Callable[[Windows, Architecture, SearchSettings, int], Training]


def search_by(method: Method, windows: Windows, settings: SearchSettings, rundir: RunDir,
              progress: Progress) -> SearchResult:
    """Find a network for a dataset within limits; see harembed.search.sftnas.search for the parameters.

    The run folder gets <method>-<round>.pt (checkpoint), <method>-<round>.json (what came of it) and ledger.jsonl.

    Raises
    ------
    SearchError    nothing that was pruned stays within the limits, or the budget of epochs does not suffice, or the
                   windows are too short for the backbone
    """
    rounds = _Rounds(method, windows, settings, rundir, progress)
    with one_thread():
        rounds.run()
    if not rounds.fitting:
        raise nothing_fits(rounds.rejected, "Raise --ram, --macs or --latency, or prune a smaller --backbone.")
    with open_contest(windows, settings, rundir, progress) as contest:
        best = contest.finals(contest.entrants(contest.screen(rounds.fitting)))
        return contest.result(best, rounds.rejected, rounds.history, rounds.trained)


class _Rounds:
    """All that is pruned in a search.

    Attributes
    ----------
    fitting : networks within the limits that are to be trained, each once
    rejected : others
    trained : epochs of the pruned networks, converted
    history : an entry for every epoch of every round
    """

    def __init__(self, method: Method, windows: Windows, settings: SearchSettings, rundir: RunDir,
                 progress: Progress) -> None:
        self.method, self.windows, self.settings, self.rundir = method, windows, settings, rundir
        self.progress = progress
        self.backbones = [backbone(tail, *windows.shape, settings.backbone) for tail in settings.tails]
        effort = Effort(settings, windows)
        self.cost, self.short = method.cost(effort), effort.of_recipe("short")
        effort.need(effort.judging + len(self.backbones) * self.cost + settings.finalists * self.short)
        self.left = effort.budget - effort.judging
        self.most = settings.candidates + settings.newcomers  # of a round: as many as sftnas scores in its first one
        of_round = self.cost + self.most * self.short
        self.expected = max(len(self.backbones), -(-self.left // of_round))  # rounds; an estimate, for progress
        self.fitting: list[Candidate] = []
        self.rejected: Rejected = []
        self.trained = 0
        self.history: list[dict[str, float]] = []

    def run(self) -> None:
        for number, waiting in self._numbers():
            self.left -= self.cost
            self.trained += self.cost
            share = (self.left - waiting * self.cost) // self.short // (waiting + 1)
            found = self._sort_out(self._prune(number), min(share, self.most))
            if number >= len(self.backbones) and not found:
                return
            self.left -= len(found) * self.short
            self.fitting += found

    def _numbers(self) -> Iterator[tuple[int, int]]:
        """(round, tails that wait for their first): one for each tail, then more while the budget lasts."""
        number = 0
        while number < len(self.backbones) or self.left >= self.cost + self.short:
            yield number, max(len(self.backbones) - number - 1, 0)
            number += 1

    def _prune(self, number: int) -> list[Found]:
        """One round; what an earlier run of this search did of it is not done again."""
        name = f"{self.method.name}-{number}"
        if not self.rundir.has(f"{name}.json"):
            training = self._train(number, name)
            found = training.networks(lambda figures: self._tell(number, training.epoch, figures))
            self.rundir.write_json(f"{name}.json", {"history": training.history, "networks": [
                {"architecture": arch.to_dict(), "origin": origin} for arch, origin in found]})
        done = self.rundir.read_json(f"{name}.json")
        self.history += [{"round": number, **entry} for entry in done["history"]]
        return [(Architecture.from_dict(n["architecture"]), {**n["origin"], "round": number})
                for n in done["networks"]]

    def _train(self, number: int, name: str) -> Training:
        """To its end, or on from the last checkpoint."""
        epochs = self.settings.bilevel.epochs
        training = self.method.start(self.windows, self.backbones[number % len(self.backbones)], self.settings,
                                     derived_seed(self.settings.seed, self.method.name, number))
        if self.rundir.has(f"{name}.pt"):
            training.restore(state_from_bytes(self.rundir.file(f"{name}.pt").read_bytes()))
        while training.epoch < epochs:
            figures = training.run_epoch()
            if training.epoch % CHECKPOINT_EVERY == 0 or training.epoch == epochs:
                self.rundir.write(f"{name}.pt", state_to_bytes(training.state()))
            self._tell(number, training.epoch, figures)
        return training

    def _tell(self, number: int, epoch: int, figures: dict[str, float]) -> None:
        epochs = self.settings.bilevel.epochs
        self.progress("super-net", number * epochs + epoch, max(self.expected, number + 1) * epochs, figures)

    def _sort_out(self, networks: list[Found], most: int) -> list[Candidate]:
        """New networks within all limits; of too many, some of every size."""
        known = {c.id for c in self.fitting} | {c.id for c, _ in self.rejected}
        fresh: dict[str, Candidate] = {}
        for arch, origin in networks:
            candidate = Candidate(arch, cost_scores(arch, self.settings), origin)
            if candidate.id not in known:
                fresh.setdefault(candidate.id, candidate)
        fitting, rejected = sort_out(fresh.values(), self.settings)
        self.rejected += rejected
        return some_of_every_size(fitting, most)
