"""Pruning-as-Search (Li et al., IJCAI 2022, arXiv 2206.01198), as a search strategy.

The backbone is trained; then gates behind its convolutions move together with the weights, under cross-entropy and a
price on the distance of the MACs from a target. What is left under the gates after an epoch is a network.

The form of the price is taken from the paper's abstract and from what others write of it; its equations were not at
hand.

Departures from the paper: it trains once for every target, here the target goes down step by step (TARGETS), so that
one training gives networks at several budgets; a price on memory above the limit is added, as sftnas has it (eq. 13
of Zhou et al.), because the board's RAM limits every strategy; what is found is trained anew (contest.py).
"""

import json
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from harembed.cost.dims import NetDims, dims_of
from harembed.cost.live_sets import peak_bytes
from harembed.cost.macs import total_macs
from harembed.data.normalise import channel_statistics
from harembed.data.recording import Windows
from harembed.models.prunable import PrunableNet
from harembed.rundir import RunDir
from harembed.search.candidate import derived_seed
from harembed.search.contest import Progress
from harembed.search.pruning import Found, Method, search_by
from harembed.search.result import SearchResult
from harembed.search.settings import SearchSettings
from harembed.space import Architecture
from harembed.train.augment import Sensors, augment
from harembed.train.device import device_of
from harembed.train.loop import normalise

# Of the limit of MACs, one after another for equally many epochs. The first is below 1: networks end up on both sides
# of a target, and those above the limit are of no use.
TARGETS = (0.95, 0.8, 0.65, 0.5)


def search(windows: Windows, settings: SearchSettings, rundir: RunDir,
           progress: Progress = lambda stage, done, of, figures: None) -> SearchResult:
    """Find a network for a dataset within limits; see harembed.search.pruning.search_by."""
    return search_by(Method("pas", lambda effort: effort.pas, GateTraining), windows, settings, rundir, progress)


class GateTraining:
    """The training of a network with gates. Every epoch draws its random numbers from a seed of its own.

    Parameters
    ----------
    windows : of all training subjects: gates learn from the data that weights learn from, as in the paper
    """

    def __init__(self, windows: Windows, backbone: Architecture, settings: SearchSettings, seed: int) -> None:
        self.settings, self.seed = settings, seed
        s = settings.bilevel
        mean, std = channel_statistics(windows)
        device = device_of(settings.device)
        self.x = normalise(windows.raw, mean, std, backbone.channels).to(device)
        self.y = torch.from_numpy(windows.y).to(device)
        self.sensors = Sensors(mean, std, settings.vectors)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derived_seed(seed, "weights"))
            self.net = PrunableNet(backbone, settings.recipe.dropout, s.threshold).to(device)
        gates = [gate.v for gate in self.net.gates()]
        weights = [p for p in self.net.parameters() if all(p is not v for v in gates)]
        self.optimizer = torch.optim.Adam([{"params": weights, "lr": s.weights_lr},
                                           {"params": gates, "lr": s.gates_lr}], fused=True)
        self.warm = round(s.warm_up * s.epochs)
        self.epoch = 0
        self.history: list[dict[str, float]] = []
        self.found: list[Found] = []

    def target(self, epoch: int) -> float | None:
        """MACs; None before the gates move."""
        if epoch < self.warm:
            return None
        step = (epoch - self.warm) * len(TARGETS) // (self.settings.bilevel.epochs - self.warm)
        return TARGETS[step] * self.settings.macs_target

    def run_epoch(self) -> dict[str, float]:
        target = self.target(self.epoch)
        generator = torch.Generator().manual_seed(derived_seed(self.seed, "epoch", self.epoch))
        self.net.train()
        for gate in self.net.gates():
            gate.v.requires_grad_(target is not None)
        losses = []
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derived_seed(self.seed, "dropout", self.epoch))
            for part in torch.randperm(len(self.y), generator=generator).split(self.settings.bilevel.batch):
                if len(part) > 1:  # batch norm has no deviation of a single window
                    losses.append(self._step(part, target, generator))
        self.epoch += 1
        arch = self.net.derived()
        if target is not None:
            self.found.append((arch, {"pruned": arch.tail.kind, "epoch": self.epoch}))
        dims = dims_of(arch)
        figures = {"epoch": self.epoch - 1, "train_loss": sum(losses) / len(losses),
                   "macs": float(total_macs(dims)), "peak_bytes": float(peak_bytes(dims))}
        self.history.append(figures)
        return figures

    def _step(self, part: Tensor, target: float | None, generator: torch.Generator) -> float:
        recipe, s = self.settings.recipe, self.settings.bilevel
        x = augment(self.x[part], recipe, generator, self.sensors)
        loss = F.cross_entropy(self.net(x), self.y[part], label_smoothing=recipe.label_smoothing)
        if target is not None:
            dims = self.net.dims()
            price = s.beta1[0] * distance(dims, target) + s.beta2 * memory(dims, self.settings.live_limit_bytes)
            loss = loss + price.to(loss.device)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        for gate in self.net.gates():
            gate.clamp()
        return float(loss.detach())

    def networks(self, told: Callable[[dict[str, float]], None]) -> list[Found]:
        """What was left after each epoch in which the gates moved; an early one may be the backbone itself."""
        return self.found

    def state(self) -> dict[str, Any]:
        return {"epoch": self.epoch, "net": self.net.state_dict(), "optimizer": self.optimizer.state_dict(),
                "history": self.history,
                "found": json.dumps([{"architecture": a.to_dict(), "origin": origin} for a, origin in self.found])}

    def restore(self, state: dict[str, Any]) -> None:
        self.epoch, self.history = state["epoch"], list(state["history"])
        self.net.load_state_dict(state["net"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.found = [(Architecture.from_dict(f["architecture"]), f["origin"]) for f in json.loads(state["found"])]


def distance(dims: NetDims, target: float) -> Tensor:
    """The square of the distance of the MACs from the target, in targets: PaS's penalty, which holds gates open
    below the target as it closes them above.

    Departures: it is in shares of the target, so that beta means the same for every network; and beyond twice the
    target it goes on as a logarithm, with the same slope there, because a backbone is ten to a hundred times
    beyond it and the square would leave cross-entropy no say in which gates close.
    """
    ratio = torch.as_tensor(total_macs(dims)) / target
    return (ratio - 1.0) ** 2 if float(ratio.detach()) < 2.0 else 1.0 + 4.0 * torch.log(ratio / 2.0)


def memory(dims: NetDims, limit_bytes: float) -> Tensor:
    """Eq. 13 of Zhou et al.: the logarithm of what the peak is above the limit."""
    return F.relu(torch.log(torch.as_tensor(peak_bytes(dims, torch.maximum)) / limit_bytes))
