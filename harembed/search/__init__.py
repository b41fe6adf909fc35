"""Search strategies. To add one: a file with a function of this face, a line here, its name in harembed/settings.py
and the parts that it reports in harembed/stages.py.

    search(windows: Windows, settings: SearchSettings, rundir: RunDir, progress) -> SearchResult

A strategy says where candidates come from; contest.py trains and judges them.
"""

from collections.abc import Callable

from harembed.data.recording import Windows
from harembed.errors import SearchError, unknown_name
from harembed.rundir import RunDir
from harembed.search import autoslim, evolution, pas, published, random_search, sftnas
from harembed.search.contest import Progress
from harembed.search.result import SearchResult
from harembed.search.settings import SearchSettings

Strategy = Callable[[Windows, SearchSettings, RunDir, Progress], SearchResult]
STRATEGIES: dict[str, Strategy] = {
    "sftnas": sftnas.search,
    "random": random_search.search,
    "evolution": evolution.search,
    "autoslim": autoslim.search,
    "pas": pas.search,
    "published": published.search,
}


def search(windows: Windows, settings: SearchSettings, rundir: RunDir,
           progress: Progress = lambda stage, done, of, figures: None, strategy: str = "sftnas") -> SearchResult:
    """Run a strategy by name; see harembed.search.sftnas.search for the parameters."""
    if strategy not in STRATEGIES:
        raise SearchError(unknown_name("search strategy", strategy, list(STRATEGIES)),
                          f"Known: {', '.join(STRATEGIES)}.")
    return STRATEGIES[strategy](windows, settings, rundir, progress)
