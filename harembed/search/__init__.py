"""Search strategies. To add one: a file with a function of this face, a line here, its name in harembed/settings.py.

    search(windows: Windows, settings: SearchSettings, rundir: RunDir, progress) -> SearchResult

A strategy says where candidates come from; contest.py trains and judges them.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from harembed.data.recording import Windows
from harembed.errors import SearchError, unknown_name
from harembed.rundir import RunDir
from harembed.search import autoslim, evolution, pas, published, random_search, sftnas
from harembed.search.contest import Progress
from harembed.search.dqn import strategy as dqn
from harembed.search.result import SearchResult
from harembed.search.settings import SearchSettings

Parts = Mapping[str, tuple[float, float]]
_DRAWN: Parts = {"scoring": (0.0, 0.55), "entrants": (0.55, 0.2), "finals": (0.75, 0.25)}
_PRUNED: Parts = {"super-net": (0.0, 0.5), "scoring": (0.5, 0.2), "entrants": (0.7, 0.1), "finals": (0.8, 0.2)}


@dataclass(frozen=True)
class Strategy:
    """A strategy and what it reports while it runs: {part: (begin, share)} of the whole search."""

    search: Callable[[Windows, SearchSettings, RunDir, Progress], SearchResult]
    parts: Parts


STRATEGIES: dict[str, Strategy] = {
    "sftnas": Strategy(sftnas.search, {"super-net": (0.0, 0.2), "scoring": (0.2, 0.1), "entrants": (0.3, 0.2),
                                       "refining": (0.5, 0.25), "finals": (0.75, 0.25)}),
    "random": Strategy(random_search.search, _DRAWN),
    "evolution": Strategy(evolution.search, _DRAWN),
    "dqn": Strategy(dqn.search, _DRAWN),
    "autoslim": Strategy(autoslim.search, _PRUNED),
    "pas": Strategy(pas.search, _PRUNED),
    "published": Strategy(published.search, {"scoring": (0.0, 1.0)}),
}


def search(windows: Windows, settings: SearchSettings, rundir: RunDir,
           progress: Progress = lambda stage, done, of, figures: None, strategy: str = "sftnas") -> SearchResult:
    """Run a strategy by name; see harembed.search.sftnas.search for the parameters."""
    if strategy not in STRATEGIES:
        raise SearchError(unknown_name("search strategy", strategy, list(STRATEGIES)),
                          f"Known: {', '.join(STRATEGIES)}.")
    return STRATEGIES[strategy].search(windows, settings, rundir, progress)
