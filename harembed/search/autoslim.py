"""AutoSlim (Yu and Huang, arXiv 1903.11728), as a search strategy.

A slimmable network is trained by the sandwich rule: each step trains the widest network, the narrowest and two of
random widths, layer by layer, all on the same windows. The widest learns from the labels, the others from its soft
predictions (in-place distillation; both rules are from Yu and Huang, "Universally slimmable networks", ICCV 2019).
Then it is slimmed greedily (slimming.py), by the loss on held-out training subjects.

Departures from the paper: the loss decides where it takes accuracy, which on few windows often ties; the narrowest
network has one group of filters a layer instead of 0.15 of them, because a microcontroller's limits may be below
that; slimming goes on below the limits, so that one training gives networks at several budgets.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from harembed.data.recording import Windows
from harembed.data.split import hold_out_subjects
from harembed.models.slimmable import Slimmable
from harembed.models.widths import widths, with_widths
from harembed.rundir import RunDir
from harembed.search.candidate import derived_seed
from harembed.search.contest import Progress
from harembed.search.effort import SANDWICH
from harembed.search.pruning import Found, Method, search_by
from harembed.search.result import SearchResult
from harembed.search.score import cost_scores, make_fold, violations
from harembed.search.settings import SearchSettings
from harembed.search.slimming import group_of, slim, validation_loss
from harembed.space import Architecture
from harembed.train.augment import augment

STATISTICS = 512  # windows that batch norm's statistics are computed from, at most
JUDGED = 1024  # windows of held-out subjects that a step of slimming is judged by, at most
LEAST = 0.4  # slimming ends here: MACs, as a share of those of the first network within the limits


def search(windows: Windows, settings: SearchSettings, rundir: RunDir,
           progress: Progress = lambda stage, done, of, figures: None) -> SearchResult:
    """Find a network for a dataset within limits; see harembed.search.pruning.search_by."""
    return search_by(Method("autoslim", lambda effort: effort.autoslim, Sandwich), windows, settings, rundir,
                     progress)


class Sandwich:
    """The training of a slimmable network. Every epoch draws its random numbers from a seed of its own.

    Parameters
    ----------
    windows : of all training subjects; some are held out to judge widths, the same as in sftnas
    """

    def __init__(self, windows: Windows, backbone: Architecture, settings: SearchSettings, seed: int) -> None:
        self.settings, self.seed, self.widest = settings, seed, backbone
        held_seed = derived_seed(settings.seed, "architecture subjects")
        self.fold = make_fold(*hold_out_subjects(windows, settings.bilevel.held_out, held_seed), settings.vectors,
                              settings.device)
        self.narrowest = with_widths(backbone, [group_of(w, settings.groups) for w in widths(backbone)])
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derived_seed(seed, "weights"))
            self.net = Slimmable(backbone, settings.recipe.dropout).to(self.fold.x.device)
        recipe, batch = settings.recipe, settings.bilevel.batch
        self.optimizer = torch.optim.AdamW(self.net.parameters(), recipe.learning_rate,
                                           weight_decay=recipe.weight_decay, fused=True)
        steps = settings.bilevel.epochs * -(-len(self.fold.y) // batch)
        self.schedule = torch.optim.lr_scheduler.OneCycleLR(self.optimizer, recipe.learning_rate,
                                                            total_steps=max(steps, 2))
        self.epoch = 0
        self.history: list[dict[str, float]] = []

    def run_epoch(self) -> dict[str, float]:
        generator = torch.Generator().manual_seed(derived_seed(self.seed, "epoch", self.epoch))
        losses = []
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derived_seed(self.seed, "dropout", self.epoch))
            for part in torch.randperm(len(self.fold.y), generator=generator).split(self.settings.bilevel.batch):
                if len(part) > 1:  # batch norm has no deviation of a single window
                    losses.append(self._step(part, generator))
                self.schedule.step()
        figures = {"epoch": self.epoch, "train_loss": sum(a for a, _ in losses) / len(losses),
                   "narrowest_loss": sum(b for _, b in losses) / len(losses)}
        self.epoch += 1
        self.history.append(figures)
        return figures

    def sandwich(self, generator: torch.Generator) -> list[Architecture]:
        """The networks of a step: the widest first, the narrowest, then random ones."""
        return [self.widest, self.narrowest, *(self._random(generator) for _ in range(SANDWICH - 2))]

    def _random(self, generator: torch.Generator) -> Architecture:
        """Every layer has a number of groups of its own, each number equally likely."""
        drawn = []
        for width in widths(self.widest):
            group = group_of(width, self.settings.groups)
            count = int(torch.randint(1, -(-width // group) + 1, (), generator=generator))
            drawn.append(min(count * group, width))
        return with_widths(self.widest, drawn)

    def _step(self, part: Tensor, generator: torch.Generator) -> tuple[float, float]:
        """Gradients of all four, then one step; returns the losses of the widest and the narrowest."""
        x = augment(self.fold.x[part], self.settings.recipe, generator, self.fold.sensors)
        target: Tensor = self.fold.y[part]
        smoothing = self.settings.recipe.label_smoothing
        self.optimizer.zero_grad(set_to_none=True)
        losses = []
        for arch in self.sandwich(generator):
            logits = self.net(x, arch)
            loss = F.cross_entropy(logits, target, label_smoothing=smoothing)
            loss.backward()
            losses.append(float(loss.detach()))
            if arch is self.widest:
                target, smoothing = torch.softmax(logits.detach(), 1), 0.0
        self.optimizer.step()
        return losses[0], losses[1]

    def networks(self, told: Callable[[dict[str, float]], None]) -> list[Found]:
        """The widest network and the path of slimming; what is still beyond the limits is among them, too."""
        rng = torch.Generator().manual_seed(derived_seed(self.seed, "judges"))
        seen = self.fold.x[torch.randperm(len(self.fold.x), generator=rng)[:STATISTICS]]
        judges = torch.randperm(len(self.fold.x_val), generator=rng)[:JUDGED]
        x, y = self.fold.x_val[judges], torch.from_numpy(self.fold.y_val)[judges]

        kind = self.widest.tail.kind
        found: list[Found] = [(self.widest, {"pruned": kind})]
        end = _End(self.settings)
        for step in slim(self.widest, self.settings.groups,
                         lambda arch: validation_loss(self.net.cut(arch), seen, x, y), end.reached):
            found.append((step.architecture, {"pruned": kind, "validation_loss": step.loss}))
            told({"macs": end.macs})
        return found

    def state(self) -> dict[str, Any]:
        return {"epoch": self.epoch, "net": self.net.state_dict(), "optimizer": self.optimizer.state_dict(),
                "schedule": self.schedule.state_dict(), "history": self.history}

    def restore(self, state: dict[str, Any]) -> None:
        self.epoch, self.history = state["epoch"], list(state["history"])
        self.net.load_state_dict(state["net"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])


class _End:
    """Where slimming ends: far enough below the first network within the limits.

    Attributes
    ----------
    macs : of the last network that was asked about
    """

    def __init__(self, settings: SearchSettings) -> None:
        self.settings = settings
        self.macs = 0.0
        self._first: float | None = None

    def reached(self, arch: Architecture) -> bool:
        scores = cost_scores(arch, self.settings)
        self.macs = scores.macs.value
        if self._first is None and not violations(arch, scores, self.settings):
            self._first = self.macs
        return self._first is not None and self.macs < LEAST * self._first
