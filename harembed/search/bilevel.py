"""Training the super-net: weights and gates on some subjects, the architecture on others (Zhou et al., IV-C)."""

import json
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from harembed.cost.dims import dims_of
from harembed.cost.live_sets import peak_bytes
from harembed.cost.macs import layer_macs, total_macs
from harembed.models.supernet import Choice, SuperNet
from harembed.nn.gumbel import temperature
from harembed.search.candidate import architecture_id, derived_seed
from harembed.search.derive import derive_architecture, derive_weights
from harembed.search.narrow import narrowed
from harembed.search.settings import BilevelSettings
from harembed.space import Architecture
from harembed.train.augment import Sensors, augment
from harembed.train.recipe import Recipe

DRAWS_PER_SAMPLE = 20  # before a network within the limits is given up


@dataclass(frozen=True, eq=False)
class Split:
    """Normalised windows of two groups of training subjects, where the super-net is trained."""

    x: Tensor  # [N, 1, S, T] float32, for weights and gates
    y: Tensor  # [N] int64
    x_alpha: Tensor  # of held-out subjects, for the architecture
    y_alpha: Tensor
    sensors: Sensors | None = None  # what the rows of x are


@dataclass(frozen=True, eq=False)
class Proposal:
    architecture: Architecture
    origin: dict[str, Any]  # epoch, rung, drawn ("most likely" or "sample")
    weights: dict[str, Tensor]  # cut out of the super-net

    @property
    def id(self) -> str:
        return architecture_id(self.architecture)


class Bilevel:
    """One training of a super-net that can be stopped and resumed at any epoch.

    Every epoch draws its random numbers from a seed of its own, so the state between two epochs is the
    weights, the optimisers and the epoch's number; no state of a random generator needs to be kept.
    """

    def __init__(self, net: SuperNet, split: Split, settings: BilevelSettings, recipe: Recipe, seed: int,
                 ram_bytes: float, macs: float, samples: int,
                 within_limits: Callable[[Architecture], bool] = lambda arch: True,
                 channels: int | None = None) -> None:
        self.net, self.split, self.settings, self.recipe = net.to(split.x.device), split, settings, recipe
        self.seed, self.ram_bytes, self.macs, self.samples = seed, ram_bytes, macs, samples
        self.within_limits, self.channels = within_limits, channels
        gates = [g.v for g in net.gates()]
        alpha = list(net.alpha)
        special = {id(p) for p in (*gates, *alpha)}
        weights = [p for p in net.parameters() if id(p) not in special]
        self.weights_optimizer = torch.optim.Adam([{"params": weights, "lr": settings.weights_lr},
                                                   {"params": gates, "lr": settings.gates_lr}], fused=True)
        self.alpha_optimizer = torch.optim.Adam(alpha, settings.alpha_lr, settings.alpha_betas,
                                                weight_decay=settings.alpha_weight_decay, fused=True)
        self.plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(self.weights_optimizer, factor=0.9, patience=10)
        self.epoch = 0
        self.proposals: list[Proposal] = []
        self.history: list[dict[str, float]] = []

    def rung(self, epoch: int) -> int:
        """Which of settings.macs_rungs an epoch belongs to; 0 is the warm-up, in which only weights learn."""
        s = self.settings
        warm = round(s.warm_up * s.epochs)
        return 0 if epoch < warm else 1 + (epoch - warm) * len(s.macs_rungs) // (s.epochs - warm)

    def most_channels(self, rung: int) -> int:
        """How many sensor channels are open where there is a limit: all in the warm-up, at each rung fewer by the
        same share, at the last two as many as the limit says. Those with the lowest gates go.

        Not in Zhou et al., where channels are a factor of the complexity loss (eq. 11) and nothing says how many
        remain.
        """
        sensors = self.net.space.sensors
        limit = min(self.channels or sensors, sensors)
        falling = max(len(self.settings.macs_rungs) - 1, 1)  # two rungs keep the limit: networks of two sizes
        return round(sensors * (limit / sensors) ** min(rung / falling, 1))

    def run_epoch(self) -> dict[str, float]:
        """Train one epoch; at the end of a rung, propose networks."""
        epoch, s, rung = self.epoch, self.settings, self.rung(self.epoch)
        self.net.input_gate.most = self.most_channels(rung)
        tau = temperature(epoch, s.tau_initial, s.tau_decay, s.tau_floor)
        generator = torch.Generator().manual_seed(derived_seed(self.seed, "epoch", epoch))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derived_seed(self.seed, "dropout", epoch))
            train_loss, alpha_loss = self._alternate(rung, tau, generator)
        if rung and s.shrink:
            self.net.shrink()
        self.plateau.step(train_loss)
        self.epoch += 1
        if rung and (self.epoch == s.epochs or self.rung(self.epoch) != rung):
            self._propose(rung, generator)
        macs, peak = self._most_likely_costs()
        entry = {"epoch": epoch, "tau": tau, "rung": rung, "train_loss": train_loss, "alpha_loss": alpha_loss,
                 "macs": macs, "peak_bytes": peak}
        self.history.append(entry)
        return entry

    def _alternate(self, rung: int, tau: float, generator: torch.Generator) -> tuple[float, float]:
        """First-order DARTS: a step of alpha on held-out subjects, a step of weights and gates on the others.

        Returns the mean losses (weights, alpha); alpha's is 0 in the warm-up.
        """
        self.net.train()
        batches = list(_batches(len(self.split.y), self.settings.batch, generator))
        alpha_batches = _endless(len(self.split.y_alpha), self.settings.batch, generator)
        for p in (*self.net.alpha, *(g.v for g in self.net.gates())):
            p.requires_grad_(rung > 0)
        sums = [0.0, 0.0]
        for part in batches:
            if rung:
                alpha_part = next(alpha_batches)
                x_alpha, y_alpha = self.split.x_alpha[alpha_part], self.split.y_alpha[alpha_part]
                sums[1] += self._step(self.alpha_optimizer, self._loss(x_alpha, y_alpha, rung, tau, generator))
            x = augment(self.split.x[part], self.recipe, generator, self.split.sensors)
            sums[0] += self._step(self.weights_optimizer, self._loss(x, self.split.y[part], rung, tau, generator))
            for gate in self.net.gates():
                gate.clamp()
        return sums[0] / len(batches), sums[1] / len(batches)

    def _step(self, optimizer: torch.optim.Optimizer, loss: Tensor) -> float:
        self.net.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        return float(loss.detach())

    def _loss(self, x: Tensor, y: Tensor, rung: int, tau: float, generator: torch.Generator) -> Tensor:
        """Eq. 10: cross-entropy + beta1 * complexity + beta2 * memory, on one drawn network."""
        s = self.settings
        choice = self.net.draw(tau, generator)
        loss = F.cross_entropy(self.net(x, choice), y, label_smoothing=self.recipe.label_smoothing)
        if not rung:
            return loss
        beta1, reference = s.beta1[min(rung, len(s.beta1)) - 1], self.macs * s.macs_rungs[rung - 1]
        macs, peak = self._most_likely_costs() if s.only_above else (math.inf, math.inf)
        if beta1 and macs > reference:
            loss = loss + beta1 * complexity_loss(self.net, choice, reference).to(loss.device)
        if s.beta2 and peak > self.ram_bytes:
            loss = loss + s.beta2 * memory_loss(self.net, choice, self.ram_bytes).to(loss.device)
        return loss

    @torch.no_grad()
    def _most_likely_costs(self) -> tuple[float, float]:
        """(MACs, peak bytes) of the network that would be derived now: asked for before every step, so in integers,
        which is many times quicker than in tensors."""
        dims = dims_of(derive_architecture(self.net, self.net.most_likely()))
        return float(total_macs(dims)), float(peak_bytes(dims))

    @torch.no_grad()
    def _propose(self, rung: int, generator: torch.Generator) -> None:
        """Note the most likely network, whether it is within the limits or not, and some others drawn from alpha
        that are. Where the last epoch has come and none is, the same are narrowed until they are."""
        known = {p.id for p in self.proposals}
        wanted = len(self.proposals) + 1 + self.samples
        origin = {"epoch": self.epoch, "rung": rung}
        self._note(self.net, self.net.most_likely(), {**origin, "drawn": "most likely"}, known)
        for _ in range(DRAWS_PER_SAMPLE * self.samples):
            if len(self.proposals) >= wanted:
                break
            choice = self.net.draw(1.0, generator)
            if self.within_limits(derive_architecture(self.net, choice)):
                self._note(self.net, choice, {**origin, "drawn": "sample"}, known)
        if self.epoch == self.settings.epochs and not any(self.within_limits(p.architecture) for p in self.proposals):
            choices = [self.net.most_likely(), *(self.net.draw(1.0, generator) for _ in range(self.samples))]
            for choice in choices:
                if (net := narrowed(self.net, choice, self.within_limits)) is not None:
                    self._note(net, choice, {**origin, "drawn": "narrowed"}, known)

    def _note(self, net: SuperNet, choice: Choice, origin: dict[str, Any], known: set[str]) -> None:
        """Keep a network as a proposal unless it is one already."""
        proposal = Proposal(derive_architecture(net, choice), origin, derive_weights(net, choice))
        if proposal.id not in known:
            known.add(proposal.id)
            self.proposals.append(proposal)

    def state(self) -> dict[str, Any]:
        """Everything that `restore` needs: tensors and plain values."""
        proposals = [{"architecture": json.dumps(p.architecture.to_dict()), "origin": p.origin, "weights": p.weights}
                     for p in self.proposals]
        return {"epoch": self.epoch, "net": self.net.state_dict(), "weights": self.weights_optimizer.state_dict(),
                "alpha": self.alpha_optimizer.state_dict(), "plateau": self.plateau.state_dict(),
                "proposals": proposals, "history": self.history}

    def restore(self, state: dict[str, Any]) -> None:
        self.epoch = state["epoch"]
        self.net.input_gate.most = self.most_channels(self.rung(self.epoch - 1))
        self.net.load_state_dict(state["net"])
        self.weights_optimizer.load_state_dict(state["weights"])
        self.alpha_optimizer.load_state_dict(state["alpha"])
        self.plateau.load_state_dict(state["plateau"])
        self.proposals = [Proposal(Architecture.from_dict(json.loads(p["architecture"])), p["origin"], p["weights"])
                          for p in state["proposals"]]
        self.history = list(state["history"])


def complexity_loss(net: SuperNet, choice: Choice, reference_macs: float) -> Tensor:
    """Eq. 11: the sum over layers of squared MACs.

    Departures from the paper: MACs are divided by a reference before squaring (as printed the loss grows to
    1e10 and drowns the cross-entropy); beyond the reference it goes on as the logarithm, as eq. 13 does for
    memory, so that one huge random network does not shut every gate at once; and the layers of the tail count
    as well, since they are searched too.
    """
    layers = torch.stack([torch.as_tensor(m) for m in layer_macs(net.dims(choice))]) / reference_macs
    squares = (layers**2).sum()
    return 1.0 + torch.log(squares) if float(squares.detach()) > 1.0 else squares


def memory_loss(net: SuperNet, choice: Choice, limit_bytes: float) -> Tensor:
    """Eq. 13: log(PMem / L_Mem) where the peak is above the limit, else 0."""
    peak = peak_bytes(net.dims(choice), torch.maximum)
    return torch.log(peak / limit_bytes) if float(peak.detach()) > limit_bytes else peak.new_zeros(())


def _batches(n: int, size: int, generator: torch.Generator) -> Iterator[Tensor]:
    """All indices once, in random order; a last batch of one is left out (batch norm needs two)."""
    for part in torch.randperm(n, generator=generator).split(size):
        if len(part) > 1:
            yield part


def _endless(n: int, size: int, generator: torch.Generator) -> Iterator[Tensor]:
    while True:
        yield from _batches(n, size, generator)
