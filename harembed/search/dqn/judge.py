"""What networks are worth: trained, predicted, remembered, or refused.

A network that the controller proposes for the first, second and third time is trained each time, from other random
numbers, and the controller is told each result; from then on it is told their mean (section 5.1). The ledger is that
memory: a killed search is replayed, and what it knows is not trained again.

Without a predictor a network is trained by the short recipe and scored on the first fold, as in every strategy. With
one it is trained for the first epochs of the database's recipe, on the people of the database's division, and the
predicted score counts.
"""

from dataclasses import replace

from harembed.data.recording import Windows
from harembed.feature_graph import FeatureGraph
from harembed.search.candidate import Candidate, Figure, derived_seed
from harembed.search.contest import Contest
from harembed.search.dqn.draw import network_of
from harembed.search.dqn.reward import reward_beyond, reward_within
from harembed.search.predictors.curve import Curve
from harembed.search.predictors.features import Subject
from harembed.search.predictors.training import divide, train_with_curve
from harembed.search.score import Fold, Vectors, cost_scores, make_folds, train_and_score, violations
from harembed.space import GraphArchitecture, Network
from harembed.train.recipe import Recipe

FIRST_FOLD = 0
DIVISION = -1  # behind the folds


def prepare(windows: Windows, count: int, seed: int, vectors: Vectors, device: str,
            division_seed: int | None) -> list[Fold]:
    """The folds of every strategy, and behind them the people of a predictor's database."""
    folds = make_folds(windows, count, seed, vectors, device)
    return folds if division_seed is None else [*folds, divide(windows, division_seed, vectors, device).fold]


def work(folds: list[Fold], arch: Network, fold: int, recipe: Recipe, seed: int, epochs: int = 0) -> float | Curve:
    """One training: the curve of so many epochs, or, where their number is 0, the score that every strategy has."""
    if not epochs:
        return train_and_score(folds, arch, fold, recipe, seed)
    return train_with_curve(folds[fold], arch, recipe, seed, epochs).curve


class Judge:
    """Rewards networks, within a number of evaluations.

    Attributes
    ----------
    left : evaluations that remain
    candidates : within the limits, by id, in order of first appearance
    rejected : by id, beyond a limit, with what it exceeds
    """

    def __init__(self, contest: Contest, windows: Windows, evaluations: int) -> None:
        self.contest, self.settings, self.windows = contest, contest.settings, windows
        self.total = self.left = evaluations
        self.candidates: dict[str, Candidate] = {}
        self.rejected: dict[str, tuple[Candidate, str]] = {}
        self._planned: dict[str, int] = {}  # evaluations of each, those of the present batch included

    @property
    def spent(self) -> float:
        """Share of the evaluations."""
        return 1 - self.left / self.total

    def rewards(self, graphs: list[FeatureGraph], first: int) -> list[float]:
        """What a batch is worth; fewer than asked for where the evaluations do not suffice for the rest.

        Parameters
        ----------
        first : number of the first of these episodes
        """
        plan: list[tuple[Candidate, int | None]] = []
        for number, graph in enumerate(graphs, start=first):
            candidate = self._known(graph, number)
            if candidate.id in self.rejected:
                plan.append((candidate, None))
                continue
            trial = self._planned.get(candidate.id, 0)
            if trial < self.settings.dqn.evaluations:
                if not self.left:
                    break
                self.left -= 1
                self._planned[candidate.id] = trial + 1
            plan.append((candidate, trial))
        self._evaluate([(c, trial) for c, trial in plan
                        if trial is not None and trial < self.settings.dqn.evaluations])
        return [self._reward(c, trial) for c, trial in plan]

    def field(self) -> list[Candidate]:
        """The candidates that have a score, the best mean first."""
        scored = [c for c in self.candidates.values() if c.scores.reward_f1]
        return sorted(scored, key=lambda c: (-c.scores.mean_reward_f1, c.scores.macs.value, c.id))

    def _known(self, graph: FeatureGraph, number: int) -> Candidate:
        arch = network_of(graph, self.windows, self.settings)
        fresh = Candidate(arch, cost_scores(arch, self.settings), {"drawn": "dqn", "episode": number})
        if fresh.id not in self.candidates and fresh.id not in self.rejected:
            wrong = violations(arch, fresh.scores, self.settings)
            if wrong:
                self.rejected[fresh.id] = (fresh, "; ".join(wrong))
            else:
                self.candidates[fresh.id] = fresh
        return self.candidates.get(fresh.id, fresh)

    def _reward(self, candidate: Candidate, trial: int | None) -> float:
        if trial is None:
            return reward_beyond(candidate.scores, self.settings)
        scores = self.candidates[candidate.id].scores
        single = trial < self.settings.dqn.evaluations
        f1 = scores.reward_f1[trial].value if single else scores.mean_reward_f1
        return reward_within(f1, scores, self.settings)

    def _evaluate(self, wanted: list[tuple[Candidate, int]]) -> None:
        """Train what the ledger does not know."""
        ledger = self.contest.ledger
        missing = [(c, trial) for c, trial in wanted if not self._in_ledger(c.id, trial)]
        curves = self.contest.map([self._task(c, trial) for c, trial in missing])
        before = self.total - self.left - len(wanted)
        for number, (c, trial) in enumerate(wanted, start=before + 1):
            if (known := ledger.get(c.id)) is not None and len(known.scores.reward_f1) > trial:
                # It may know more than this search had at this point, which must not be seen yet.
                current = replace(known, scores=replace(
                    known.scores, macro_f1=known.scores.macro_f1[: trial + 1],
                    reward_f1=known.scores.reward_f1[: trial + 1], final_f1=()))
            else:
                current = self._with(self.candidates[c.id], next(curves))
                ledger.append(current)
            self.candidates[c.id] = current
            self.contest.count([current], "short", trial + 1)
            self.contest.progress("scoring", number, self.total, {
                "macro_f1": current.scores.mean_reward_f1, "macs": current.scores.macs.value})

    def _in_ledger(self, candidate_id: str, trial: int) -> bool:
        known = self.contest.ledger.get(candidate_id)
        return known is not None and len(known.scores.reward_f1) > trial

    def _task(self, c: Candidate, trial: int) -> tuple[object, ...]:
        predictor = self.settings.dqn.predictor
        seed = derived_seed(self.settings.seed, c.id, "reward", trial)
        if predictor is None:
            return c.architecture, FIRST_FOLD, self.settings.recipe, seed, self.settings.recipe.epochs
        return c.architecture, DIVISION, predictor.origin.training, seed, predictor.epochs

    def _with(self, candidate: Candidate, curve: Curve) -> Candidate:
        """The candidate after one more evaluation."""
        s, predictor = candidate.scores, self.settings.dqn.predictor
        f1 = getattr(curve, self.settings.dqn.metric)[-1]
        if predictor is not None:
            assert isinstance(candidate.architecture, GraphArchitecture)
            subject = Subject(candidate.architecture.features, s.macs.value, curve)
            f1 = float(predictor.predict([subject])[0])
        return replace(candidate, scores=replace(
            s, macro_f1=(*s.macro_f1, Figure(curve.macro_f1[-1], "estimated")),
            reward_f1=(*s.reward_f1, Figure(f1, "estimated"))))
