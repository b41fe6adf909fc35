"""Greedy slimming (Yu and Huang, AutoSlim, arXiv 1903.11728): from the widest network step by step; each takes one
group of filters from one layer, the layer that loses least by it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from harembed.models.widths import widths, with_widths
from harembed.space import Architecture
from harembed.train.loop import predict

BATCH = 256  # windows, of the statistics of batch norm


@dataclass(frozen=True)
class Step:
    """What was left after a step, and its loss."""

    architecture: Architecture
    loss: float


def group_of(width: int, groups: int) -> int:
    """Filters in a group of a layer of this width: equal groups, at most so many; the last may be smaller."""
    return -(-width // groups)


def narrower(arch: Architecture, widest: Architecture, groups: int) -> Iterator[Architecture]:
    """The network with one group less of each layer that has more than one."""
    now = widths(arch)
    for i, (width, full) in enumerate(zip(now, widths(widest), strict=True)):
        left = (width - 1) // group_of(full, groups) * group_of(full, groups)
        if left:
            yield with_widths(arch, [*now[:i], left, *now[i + 1:]])


def slim(widest: Architecture, groups: int, loss: Callable[[Architecture], float],
         enough: Callable[[Architecture], bool]) -> Iterator[Step]:
    """Every step, until `enough` or until each layer is down to one group. Of equal losses the first layer wins."""
    arch = widest
    while not enough(arch):
        options = list(narrower(arch, widest, groups))
        if not options:
            return
        losses = [loss(option) for option in options]
        best = losses.index(min(losses))
        arch = options[best]
        yield Step(arch, losses[best])


def validation_loss(model: nn.Sequential, x_statistics: Tensor, x: Tensor, y: Tensor) -> float:
    """Cross-entropy on windows of other subjects, with batch norm's statistics computed anew.

    The statistics are the mean over batches of training windows, in the order given ("cumulative", as in the
    authors' code for evaluation; while slimming, that takes those of the very windows it judges).
    """
    norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a plain mean over batches
    model.train()
    with torch.no_grad():
        for part in x_statistics.split(BATCH):
            if len(part) > 1:
                model(part)
    model.eval()
    return float(F.cross_entropy(torch.from_numpy(predict(model, x)), y))
