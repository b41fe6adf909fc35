"""Random search: networks drawn at random within the limits, as many as the budget of epochs allows.

All are trained briefly; the better ones go through the same entrants' trainings and finals as in every strategy. It
is the yardstick: a strategy that does not beat it at equal effort adds nothing.
"""

import random

from harembed.data.recording import Windows
from harembed.rundir import RunDir
from harembed.search.candidate import derived_seed
from harembed.search.contest import Progress, nothing_fits, open_contest
from harembed.search.newcomers import draw_fitting
from harembed.search.result import SearchResult
from harembed.search.settings import SearchSettings


def search(windows: Windows, settings: SearchSettings, rundir: RunDir,
           progress: Progress = lambda stage, done, of, figures: None) -> SearchResult:
    """Find a network for a dataset within limits; see harembed.search.sftnas.search for the parameters.

    Raises
    ------
    SearchError    no network that was drawn stays within the limits, or the budget of epochs does not suffice
    """
    with open_contest(windows, settings, rundir, progress) as contest:
        rng = random.Random(derived_seed(settings.seed, "draws"))
        drawn, rejected = draw_fitting(rng, contest.shape, settings, contest.effort.screenings(), set(),
                                       {"drawn": "random"})
        if not drawn:
            raise nothing_fits(rejected, "Raise --ram, --macs or --latency.")
        return contest.result(contest.finals(contest.entrants(contest.screen(drawn))), rejected)
