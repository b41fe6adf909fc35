"""Gumbel-argmax choices with a differentiable softmax behind them (Zhou et al., eqs. 5-7)."""

import math

import torch
from torch import Tensor


def temperature(epoch: float, initial: float = 5.0, decay: float = 0.05, floor: float = 0.2) -> float:
    """tau = initial * exp(-decay * epoch), never below `floor`.

    Departure from the paper, section V-A4: unclamped, tau falls to 2e-4 after 200 epochs, where the softmax of
    eq. 7 saturates in float32 and the architecture gets no gradient any more.
    """
    return max(initial * math.exp(-decay * epoch), floor)


def gumbel_one_hot(logits: Tensor, tau: float, generator: torch.Generator | None = None) -> tuple[int, Tensor]:
    """Draw one of J options.

    Forward is the one-hot vector of argmax_j(g_j + logits_j) (eq. 5), backward the gradient of
    softmax((logits + g) / tau) (eq. 7).

    Departure from the paper: `logits` stand where it writes log(alpha). As printed, log(alpha) diverges as soon
    as an optimiser's step makes alpha negative, and alpha = 1e-3 at the start is one step away from that. The
    probability of option j is softmax(logits)_j.

    Parameters
    ----------
    logits : Tensor [J]    -inf forbids an option
    tau : float            temperature
    generator              source of the noise

    Returns
    -------
    int          the drawn option
    Tensor [J]   p: one-hot in value, soft in gradient
    """
    uniform = torch.rand(logits.shape, generator=generator).clamp_(1e-10, 1.0 - 1e-7)
    noise = -torch.log(-torch.log(uniform))
    soft = torch.softmax((logits + noise) / tau, dim=0)
    index = int(torch.argmax(logits.detach() + noise))
    return index, _straight_through(index, soft)


def argmax_one_hot(logits: Tensor) -> tuple[int, Tensor]:
    """The most probable option and its one-hot vector, without noise: how a network is derived."""
    index = int(torch.argmax(logits.detach()))
    return index, torch.nn.functional.one_hot(torch.tensor(index), len(logits)).to(logits.dtype)


def _straight_through(index: int, soft: Tensor) -> Tensor:
    hard = torch.zeros_like(soft)
    hard[index] = 1.0
    return hard - soft.detach() + soft
