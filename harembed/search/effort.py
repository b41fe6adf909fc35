"""How much a search trains, counted in epochs, so that strategies can be compared at equal effort.

One epoch is one pass over the training part of a fold in the training of one candidate. The super-net's passes are
converted by windows: an epoch of it steps through the windows of its own training subjects and, after the warm-up,
makes as many steps again for the architecture, on others; these windows are divided by those of an average fold. What
such a step costs in time is not counted: a step of the super-net, which computes one drawn network at full width
with all its gates, takes longer than that of a small candidate.

The networks that pas and autoslim prune are converted in the same way: pas steps through the windows of all training
subjects once an epoch, autoslim four times (for the four networks of the sandwich rule) through those of the subjects
that it learns from. Forward passes that judge, in autoslim's slimming or on a fold's held-out people, are not
counted.
"""

import math
from functools import cached_property

from harembed.data.recording import Windows
from harembed.data.split import hold_out_subjects
from harembed.errors import SearchError
from harembed.search.candidate import Candidate, derived_seed
from harembed.search.settings import SearchSettings

ENTRANT_TRIALS = 2  # full trainings of an entrant, each on another fold
SANDWICH = 4  # networks that a step of autoslim trains: the largest, the smallest, two between them


class Effort:
    """What the parts of a search cost in epochs.

    Parameters
    ----------
    windows : of all training subjects

    Attributes
    ----------
    folds : divisions of the training subjects; there cannot be more than subjects
    """

    def __init__(self, settings: SearchSettings, windows: Windows) -> None:
        self.settings, self.windows = settings, windows
        self.folds = min(settings.folds, len(windows.subjects))

    @property
    def entrants(self) -> int:
        return max(self.settings.entrants, self.settings.parents)

    @property
    def trials(self) -> int:
        """Full trainings before the finals."""
        return min(ENTRANT_TRIALS, self.folds)

    def of_recipe(self, recipe: str) -> int:
        """Of one training, "short" or "full"."""
        return (self.settings.recipe if recipe == "short" else self.settings.final_recipe).epochs

    @property
    def two_trials(self) -> int:
        """Of an entrant, or of a child that proves good."""
        return self.trials * self.of_recipe("full")

    @property
    def finals(self) -> int:
        """Of the finalists beyond what they had as entrants."""
        return self.settings.finalists * (self.folds - self.trials) * self.of_recipe("full")

    @property
    def judging(self) -> int:
        """Of entrants and finals: what every strategy spends on the best, however it found them."""
        return self.entrants * self.two_trials + self.finals

    @cached_property
    def supernet(self) -> int:
        """Of the super-net, converted as said above."""
        s = self.settings.bilevel
        return self._converted((2 * s.epochs - round(s.warm_up * s.epochs)) * self._learning)

    @property
    def pas(self) -> int:
        """Of one training with gates, converted."""
        return self._converted(self.settings.bilevel.epochs * len(self.windows))

    @cached_property
    def autoslim(self) -> int:
        """Of one slimmable network, converted."""
        return self._converted(SANDWICH * self.settings.bilevel.epochs * self._learning)

    @cached_property
    def _learning(self) -> int:
        """Windows of the subjects that are not held out to judge the architecture."""
        held_seed = derived_seed(self.settings.seed, "architecture subjects")
        return len(hold_out_subjects(self.windows, self.settings.bilevel.held_out, held_seed)[0])

    def _converted(self, windows: int) -> int:
        """Epochs of a candidate in which it steps through so many windows, rounded up."""
        return math.ceil(windows / (len(self.windows) * (self.folds - 1) / self.folds))

    @property
    def sftnas_start(self) -> int:
        """Of sftnas without generations, at most."""
        s = self.settings
        return self.supernet + (s.candidates + s.newcomers) * self.of_recipe("short") + self.judging

    @property
    def sftnas(self) -> int:
        """Of sftnas, at most: as if every child proved good enough for a second training."""
        return self.sftnas_start + self.settings.generations * self.settings.children * self.two_trials

    @property
    def budget(self) -> int:
        """What a strategy may spend: what was asked for, or else as much as sftnas with the same settings."""
        return self.settings.train_epochs or self.sftnas

    def screenings(self) -> int:
        """Short trainings that the budget leaves beside the judging.

        Raises
        ------
        SearchError    fewer than there are finalists
        """
        short = self.of_recipe("short")
        self.need(self.judging + self.settings.finalists * short)
        return (self.budget - self.judging) // short

    def need(self, epochs: int) -> None:
        """Refuse a budget that does not suffice.

        Raises
        ------
        SearchError    says how much would
        """
        if self.budget < epochs:
            raise SearchError(f"{self.budget:,} epochs of training are too few: entrants and finals take "
                              f"{self.judging:,}, with what must come before them {epochs:,}.",
                              f"Use --train-epochs {epochs} or more, or a smaller --float-epochs.")


def candidate_epochs(candidate: Candidate, settings: SearchSettings) -> int:
    """Of all trainings of a candidate that its scores come from."""
    s = candidate.scores
    return len(s.macro_f1) * settings.recipe.epochs + len(s.final_f1) * settings.final_recipe.epochs
