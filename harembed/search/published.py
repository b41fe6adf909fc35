"""No search: the published network of the tail that was asked for, at its full size, scored once.

With it an unpruned network goes through the same stages as a searched one: the same training, the same test, the same
report. It is what pruning and search are compared with.
"""

from harembed.data.recording import Windows
from harembed.errors import SearchError
from harembed.published import published
from harembed.rundir import RunDir
from harembed.search.candidate import Candidate
from harembed.search.contest import Progress, open_contest
from harembed.search.result import SearchResult
from harembed.search.score import cost_scores, violations
from harembed.search.settings import SearchSettings


def search(windows: Windows, settings: SearchSettings, rundir: RunDir,
           progress: Progress = lambda stage, done, of, figures: None) -> SearchResult:
    """Take the network as it is; see harembed.search.sftnas.search for the parameters.

    Raises
    ------
    SearchError    no published tail was asked for, or the network exceeds a limit
    """
    if len(settings.tails) != 1:
        raise SearchError(f"Strategy published needs one tail, got {', '.join(settings.tails)}.",
                          "Use --tail deepconvlstm, --tail tinyhar or --tail attend.")
    with open_contest(windows, settings, rundir, progress) as contest:
        arch = published(settings.tails[0], *contest.shape)
        network = Candidate(arch, cost_scores(arch, settings), {"drawn": "published"})
        if wrong := violations(arch, network.scores, settings):
            raise SearchError(f"The published network {arch.describe()} exceeds the limits: {'; '.join(wrong)}.",
                              "Raise --macs, --ram or --latency; --board host has no limit of flash, --beta2 0 "
                              "switches that of RAM off.")
        return contest.result(contest.screen([network])[0], [])
