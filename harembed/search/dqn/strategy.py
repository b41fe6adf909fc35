"""Strategy dqn: deep Q-learning (Pellatt and Roggen 2022), with or without a predictor of the converged score.

1. Episodes: the controller builds networks layer by layer, in batches; each network is trained briefly, or its
   converged score is predicted from its first epochs (judge.py), and the controller learns from the rewards.
2. The best by their mean score go through entrants' trainings and finals, as in every strategy (contest.py).

The paper takes the best network of the search; entrants and finals are the judgement that all strategies here share.
Its search learns after every episode; here a batch of episodes is walked by the same controller, so that they can be
trained side by side. The number of steps is the paper's where there are enough episodes: with fewer than 20,000,
each is followed by more steps, and epsilon falls as quickly as the search is spent.
"""

import random

from harembed.data.recording import Windows
from harembed.errors import SearchError
from harembed.rundir import RunDir
from harembed.search.candidate import derived_seed
from harembed.search.contest import Contest, Progress, nothing_fits, open_contest
from harembed.search.dqn.actions import action_list
from harembed.search.dqn.controller import Learner
from harembed.search.dqn.draw import draw_graph, input_shape
from harembed.search.dqn.episode import best_first, epsilon, experiences, walk
from harembed.search.dqn.judge import Judge, prepare, work
from harembed.search.result import SearchResult
from harembed.search.settings import SearchSettings
from harembed.train.one_thread import one_thread

REJECTED = 1000  # of these are told in the result


def search(windows: Windows, settings: SearchSettings, rundir: RunDir,
           progress: Progress = lambda stage, done, of, figures: None) -> SearchResult:
    """Find a network for a dataset within limits; see harembed.search.sftnas.search for the parameters.

    Raises
    ------
    SearchError    no network that was proposed stays within the limits, the budget of epochs does not suffice, or a
                   predictor is of other recordings
    """
    predictor = settings.dqn.predictor
    if predictor is not None:
        _check(windows, settings)
    division = None if predictor is None else predictor.origin.seed
    with open_contest(windows, settings, rundir, progress, prepare, (division,), work) as contest, one_thread():
        judge = Judge(contest, windows, contest.effort.screenings())
        play = _play_at_random if settings.dqn.policy == "random" else _play
        play(contest, judge, windows)
        rejected = list(judge.rejected.values())
        field = judge.field()
        if not field:
            raise nothing_fits(rejected, "Raise --ram, --macs or --latency, or take fewer --filters.")
        entrants = contest.train("entrants", field[: contest.effort.entrants], contest.effort.trials)
        return contest.result(contest.finals(entrants), rejected[:REJECTED])


def _play(contest: Contest, judge: Judge, windows: Windows) -> None:
    """Episodes until they, or the evaluations, are spent."""
    s, seed = contest.settings.dqn, contest.settings.seed
    actions, start = action_list(s), input_shape(windows, contest.settings)
    learner = Learner(s, len(actions), derived_seed(seed, "controller"))
    number = 0
    while number < s.episodes and judge.left:
        share = epsilon(s, max(number / s.episodes, judge.spent))
        ranked = best_first(learner.values())
        batch = [walk(ranked, share, random.Random(derived_seed(seed, "episode", i)), actions, start)
                 for i in range(number, min(number + s.at_once, s.episodes))]
        rewards = judge.rewards([episode.graph for episode in batch], number)
        for episode, reward in zip(batch, rewards, strict=False):
            learner.remember(experiences(episode, reward))
        number += len(rewards)
        spent = max(number / s.episodes, judge.spent)
        learner.learn(min(max(number, round(s.learning_steps * spent)), s.steps_each * number))


def _play_at_random(contest: Contest, judge: Judge, windows: Windows) -> None:
    """The same with networks drawn at random, for comparison: nothing is learnt."""
    s, seed = contest.settings.dqn, contest.settings.seed
    actions, start = action_list(s), input_shape(windows, contest.settings)
    number = 0
    while number < s.episodes and judge.left:
        numbers = range(number, min(number + s.at_once, s.episodes))
        batch = [draw_graph(random.Random(derived_seed(seed, "draw", i)), actions, s.max_layers, start)
                 for i in numbers]
        number += len(judge.rewards(batch, number))


def _check(windows: Windows, settings: SearchSettings) -> None:
    """Refuse a predictor that was fitted on other recordings, another recipe or for another score."""
    predictor = settings.dqn.predictor
    assert predictor is not None and settings.recipe.epochs == predictor.epochs, "effort counts what is trained"
    origin = predictor.origin
    window, sensors, classes = windows.shape
    here = {"window": window, "channels": sensors, "classes": classes,
            "max_layers": settings.dqn.max_layers}
    for name, value in here.items():
        if getattr(origin, name) != value:
            raise SearchError(f"The predictor was fitted on a database ({origin.dataset}) with {name} = "
                              f"{getattr(origin, name)}, this search has {value}.",
                              "Build a database of these recordings: harembed predictor database --help.")
    if predictor.metric != settings.dqn.metric:
        raise SearchError(f"The predictor predicts {predictor.metric}, this search is asked for "
                          f"{settings.dqn.metric}.", f"Use --metric {predictor.metric}, or fit it again.")
