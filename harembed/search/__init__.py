"""Search strategies. To add one: a file with a function of this face, and a line here.

    search(windows: Windows, settings: SearchSettings, rundir: RunDir, progress) -> SearchResult
"""

from collections.abc import Callable

from harembed.data.recording import Windows
from harembed.errors import SearchError, unknown_name
from harembed.rundir import RunDir
from harembed.search import sftnas
from harembed.search.result import SearchResult
from harembed.search.settings import SearchSettings
from harembed.search.sftnas import Progress

Strategy = Callable[[Windows, SearchSettings, RunDir, Progress], SearchResult]
STRATEGIES: dict[str, Strategy] = {
    "sftnas": sftnas.search,
}


def search(windows: Windows, settings: SearchSettings, rundir: RunDir,
           progress: Progress = lambda stage, done, of, figures: None, strategy: str = "sftnas") -> SearchResult:
    """Run a strategy by name; see harembed.search.sftnas.search for the parameters."""
    if strategy not in STRATEGIES:
        raise SearchError(unknown_name("search strategy", strategy, list(STRATEGIES)),
                          f"Known: {', '.join(STRATEGIES)}.")
    return STRATEGIES[strategy](windows, settings, rundir, progress)
