"""Evolution: NSGA-II (Deb et al. 2002) of optuna, for more macro F1 and fewer MACs within the limits.

The first generation is drawn at random, by the same draw as random search. Each later one is bred out of the best
of all before: two parents' choices crossed, some of them changed (encoding.py says which choices there are). A
generation is proposed at once and told to optuna in that order when all its members are scored by a short training.
Entrants and finals are those of every strategy.

optuna's study is kept in memory alone. A killed search is replayed: the same seed proposes the same generations,
and the ledger knows the scores of those that were trained.
"""

import random
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution
from optuna.trial import Trial, TrialState

from harembed.data.recording import Windows
from harembed.rundir import RunDir
from harembed.search.candidate import Candidate, derived_seed
from harembed.search.contest import Contest, Progress, nothing_fits, open_contest
from harembed.search.encoding import Choice, Count, Encoding
from harembed.search.newcomers import TRIES, draw_fitting
from harembed.search.result import SearchResult
from harembed.search.score import Rejected, cost_scores, violations
from harembed.search.settings import SearchSettings


def search(windows: Windows, settings: SearchSettings, rundir: RunDir,
           progress: Progress = lambda stage, done, of, figures: None) -> SearchResult:
    """Find a network for a dataset within limits; see harembed.search.sftnas.search for the parameters.

    Raises
    ------
    SearchError    no network that was drawn stays within the limits, or the budget of epochs does not suffice
    """
    with open_contest(windows, settings, rundir, progress) as contest:
        population = _Population(contest)
        wanted = contest.effort.screenings()
        field = population.found(min(settings.population, wanted))
        if not field:
            raise nothing_fits(population.rejected, "Raise --ram, --macs or --latency.")
        screened = population.judge(field, 0, wanted)
        while len(screened) < wanted:
            children = population.breed(min(settings.population, wanted - len(screened)))
            if not children:
                break  # nothing new is left within the limits
            screened += population.judge(children, len(screened), wanted)
        return contest.result(contest.finals(contest.entrants(screened)), population.rejected)


class _Population:
    """optuna's study, in terms of candidates.

    Attributes
    ----------
    rejected : what was bred and exceeded a limit
    """

    def __init__(self, contest: Contest) -> None:
        s = contest.settings
        self.contest, self.settings = contest, s
        self.encoding = Encoding(*contest.shape, s.paddings, s.tails)
        self.distributions = {name: _distribution(p) for name, p in self.encoding.parameters().items()}
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        sampler = optuna.samplers.NSGAIISampler(population_size=s.population,
                                                seed=derived_seed(s.seed, "evolution"))
        self.study = optuna.create_study(directions=["maximize", "minimize"], sampler=sampler)
        self.known: set[str] = set()
        self.generation = 0
        self.rejected: Rejected = []
        self._trials: dict[str, Trial] = {}  # of the candidates that are to be judged

    def found(self, count: int) -> list[Candidate]:
        """The first generation."""
        rng = random.Random(derived_seed(self.settings.seed, "draws"))
        drawn, self.rejected = draw_fitting(rng, self.contest.shape, self.settings, count, self.known,
                                            self._origin())
        for c in drawn:
            values = self.encoding.encode(c.architecture)
            assert values is not None, c.architecture.describe()  # the draw stays in the space
            self.study.enqueue_trial(values)
            self._trials[c.id] = trial = self.study.ask(self.distributions)
            # The sampler has nothing to propose for this trial, but must be asked: that is when it counts the trial
            # as one of a generation. Otherwise it would draw a first generation of its own at random.
            _ = trial.relative_params
        return drawn

    def breed(self, count: int) -> list[Candidate]:
        """The next generation. optuna is told of a child that is no network, exceeds a limit or is known already
        that it failed, and asked for another; there are fewer if too many fail."""
        children: list[Candidate] = []
        for _ in range(TRIES * count):
            if len(children) == count:
                break
            trial = self.study.ask(self.distributions)
            child = self._child(trial.params)
            if child is None:
                self.study.tell(trial, state=TrialState.FAIL)
            else:
                self._trials[child.id] = trial
                children.append(child)
        return children

    def judge(self, generation: list[Candidate], before: int, total: int) -> list[Candidate]:
        """Score a generation and tell optuna."""
        scored = self.contest.screen(generation, before, total)
        for c in scored:
            self.study.tell(self._trials.pop(c.id), [c.scores.mean_f1, c.scores.macs.value])
        self.generation += 1
        return scored

    def _child(self, values: dict[str, Any]) -> Candidate | None:
        arch = self.encoding.decode(values)
        if isinstance(arch, str):
            return None
        child = Candidate(arch, cost_scores(arch, self.settings), self._origin())
        if child.id in self.known:
            return None
        self.known.add(child.id)
        wrong = violations(arch, child.scores, self.settings)
        if wrong:
            self.rejected.append((child, "; ".join(wrong)))
            return None
        return child

    def _origin(self) -> dict[str, Any]:
        return {"drawn": "evolution", "generation": self.generation}


def _distribution(parameter: Choice | Count) -> BaseDistribution:
    if isinstance(parameter, Count):
        return IntDistribution(1, parameter.most, log=True)
    return CategoricalDistribution(parameter.options)
