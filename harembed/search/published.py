"""No search: the published network of the tail that was asked for, at its full size or with a share of its filters,
scored once; or one that Pellatt and Roggen compare with, in the space of strategy dqn.

With it an unpruned network goes through the same stages as a searched one: the same training, the same test, the same
report. It is what pruning and search are compared with.
"""

from dataclasses import replace

from harembed.data.recording import Windows
from harembed.errors import SearchError
from harembed.feature_graph import reference
from harembed.models.widths import scaled
from harembed.published import published
from harembed.rundir import RunDir
from harembed.search.candidate import Candidate
from harembed.search.contest import Progress, open_contest
from harembed.search.dqn.draw import network_of
from harembed.search.result import SearchResult
from harembed.search.score import cost_scores, violations
from harembed.search.settings import SearchSettings
from harembed.space import Network, ResNetTail


def search(windows: Windows, settings: SearchSettings, rundir: RunDir,
           progress: Progress = lambda stage, done, of, figures: None) -> SearchResult:
    """Take the network as it is; see harembed.search.sftnas.search for the parameters.

    Raises
    ------
    SearchError    no published tail was asked for, or the network exceeds a limit
    """
    arch = _network(windows, settings)
    with open_contest(windows, settings, rundir, progress) as contest:
        network = Candidate(arch, cost_scores(arch, settings), {"drawn": "published"})
        if wrong := violations(arch, network.scores, settings):
            raise SearchError(f"The published network {arch.describe()} exceeds the limits: {'; '.join(wrong)}.",
                              "Raise --macs, --ram or --latency; --board host has no limit of flash, --beta2 0 "
                              "switches that of RAM off.")
        return contest.result(contest.screen([network])[0], [])


def _network(windows: Windows, settings: SearchSettings) -> Network:
    if settings.graph is not None:
        return network_of(reference(settings.graph, settings.dqn.filters), windows, settings)
    if len(settings.tails) != 1:
        raise SearchError(f"Strategy published needs one tail, got {', '.join(settings.tails)}.",
                          "Use --tail deepconvlstm, --tail tinyhar or --tail attend.")
    whole = published(settings.tails[0], *windows.shape)
    if isinstance(whole.tail, ResNetTail) and settings.blocks:
        whole = replace(whole, tail=replace(whole.tail, blocks=settings.blocks))
    return scaled(whole, settings.backbone)
