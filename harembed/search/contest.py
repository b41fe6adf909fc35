"""The contest: candidates are trained and judged in stages, wherever they come from.

1. All are trained from scratch for a few epochs and scored on one fold of the training subjects (screen).
2. The better ones, the entrants, are trained twice as long, on two folds.
3. Finalists are trained on every fold and one is chosen (select.py).

Only the ledger remembers anything: replayed after a kill, a contest goes the same way.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from torch import Tensor

from harembed.data.recording import Windows
from harembed.errors import SearchError
from harembed.rundir import RunDir
from harembed.search.candidate import Candidate, Ledger, derived_seed
from harembed.search.effort import Effort
from harembed.search.executor import Map, workers
from harembed.search.result import SearchResult
from harembed.search.score import Rejected, begin_screening, make_folds, score_fully, train_and_score
from harembed.search.select import best_first, choose
from harembed.search.settings import SearchSettings

Progress = Callable[[str, int, int, dict[str, Any]], None]  # stage, done, of how many, figures


class Contest:
    """Trains candidates in stages and counts the epochs.

    Attributes
    ----------
    shape : (window in samples, sensor channels, classes)
    effort : what trainings cost
    epochs : of candidates, so far
    """

    def __init__(self, windows: Windows, settings: SearchSettings, ledger: Ledger, progress: Progress,
                 run: Map) -> None:
        self.shape = windows.shape
        self.settings, self.ledger, self.progress, self.map = settings, ledger, progress, run
        self.effort = Effort(settings, windows)
        self._trained: dict[tuple[str, str], int] = {}  # (id, recipe) -> trainings

    @property
    def epochs(self) -> int:
        """Not the ledger's: that of a killed search may be ahead of this one."""
        return sum(n * self.effort.of_recipe(recipe) for (_, recipe), n in self._trained.items())

    def screen(self, candidates: list[Candidate], before: int = 0, total: int | None = None) -> list[Candidate]:
        """One short training each. `before` and `total` place this batch in the stage, for progress."""
        return self.begin_screening(candidates)(before, total)

    def begin_screening(self, candidates: list[Candidate]) -> Callable[[int, int | None], list[Candidate]]:
        """Hand out one short training each and go on; what is returned waits for the results. Other processes train
        meanwhile; where there are none, training waits until then, too."""
        finish = begin_screening(candidates, self.settings, self.ledger, self.map)

        def screened(before: int = 0, total: int | None = None) -> list[Candidate]:
            return self.count(finish(self._told("scoring", before, total)), "short", 1)

        return screened

    def train(self, stage: str, candidates: list[Candidate], trials: int, before: int = 0,
              total: int | None = None) -> list[Candidate]:
        """Full trainings, until each has so many trials."""
        told = self._told(stage, before, total)
        scored = score_fully(candidates, trials, self.settings, self.ledger, self.map, told)
        return self.count(scored, "full", trials)

    def entrants(self, screened: list[Candidate]) -> list[Candidate]:
        """The best of those that were trained briefly, trained fully."""
        return self.train("entrants", best_first(screened)[: self.effort.entrants], self.effort.trials)

    def finals(self, field: list[Candidate]) -> Candidate:
        """The winner: the best are trained on every fold, and one is chosen among these."""
        finalists = best_first(field)[: self.settings.finalists]
        return choose(self.train("finals", finalists, self.effort.folds), self.settings.standard_errors)

    def result(self, best: Candidate, rejected: Rejected, history: Sequence[dict[str, float]] = (),
               supernet: int = 0, weights: dict[str, Tensor] | None = None) -> SearchResult:
        """What the search hands over; `supernet` are the converted epochs of what was trained beside candidates."""
        words = tuple((c.architecture.describe(), wrong) for c, wrong in rejected)
        epochs = {**({"super-net": supernet} if supernet else {}), "candidates": self.epochs}
        return SearchResult(best, self.ledger.candidates, words, list(history), weights, epochs)

    def count(self, scored: list[Candidate], recipe: str, trials: int) -> list[Candidate]:
        """Take note that each has been trained so often by a recipe, "short" or "full"."""
        for c in scored:
            self._trained[c.id, recipe] = max(self._trained.get((c.id, recipe), 0), trials)
        return scored

    def _told(self, stage: str, before: int, total: int | None) -> Callable[[int, int, Candidate], None]:
        def told(done: int, of: int, c: Candidate) -> None:
            self.progress(stage, before + done, total or of,
                          {"macro_f1": c.scores.mean_f1, "macs": c.scores.macs.value})

        return told


@contextmanager
def open_contest(windows: Windows, settings: SearchSettings, rundir: RunDir, progress: Progress,
                 prepare: Callable[..., Any] = make_folds, more: tuple[Any, ...] = (),
                 work: Callable[..., Any] = train_and_score) -> Iterator[Contest]:
    """A contest over the ledger of a run folder, with processes that train.

    Parameters
    ----------
    prepare, work : what the processes do, where a strategy trains in ways of its own as well; see workers()
    more : arguments of `prepare` behind those of make_folds
    """
    divide = (windows, settings.folds, derived_seed(settings.seed, "folds"), settings.vectors, settings.device,
              *more)
    with workers(settings.processes, prepare, divide, work, settings.executor, settings.address) as run:
        yield Contest(windows, settings, Ledger(rundir), progress, run)


def nothing_fits(rejected: Rejected, hint: str) -> SearchError:
    """All that was proposed exceeds the limits: name the network that came nearest."""
    nearest = min(rejected, key=lambda r: (r[0].scores.peak_ram_bytes.value, r[0].id))[1]
    return SearchError(f"None of {len(rejected)} proposed networks stays within the limits; the one with the least "
                       f"RAM needs {nearest}.", hint)
