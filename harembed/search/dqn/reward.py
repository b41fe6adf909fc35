"""What a network is worth to the controller: its score, and what it costs (the paper's future work, section 6.1).

    within all limits    R = F1 - price * mean of cost / limit
    beyond one           R = -min(1, log10(cost / limit) / 2) of the limit that is exceeded most

over RAM, flash, latency and MACs, as far as they are limited. The first is the scalarisation of section 6.1,
R = R_F1 - R_FLOPs, with a price; a price of 0 is the paper's reward. The second needs no training, and so a network
beyond a limit is not trained. It grows with the excess up to a hundred times the limit, so that from far beyond the
controller learns where the limit is; an invalid layer alone gets as little as the whole of such a network.
"""

import math

from harembed.search.candidate import Scores
from harembed.search.settings import SearchSettings


def cost_ratios(scores: Scores, settings: SearchSettings) -> dict[str, float]:
    """Every cost that is limited, in units of its limit."""
    limits: dict[str, tuple[float, float | None]] = {
        "macs": (scores.macs.value, settings.macs),
        "ram": (scores.peak_ram_bytes.value, settings.live_limit_bytes if settings.bilevel.beta2 else None),
        "flash": (scores.flash_bytes.value, settings.flash_bytes),
        "latency": (scores.latency_us.value, settings.latency_us)}
    return {name: value / limit for name, (value, limit) in limits.items() if limit is not None}


def reward_within(f1: float, scores: Scores, settings: SearchSettings) -> float:
    """Of a network that keeps to all limits and was trained."""
    ratios = cost_ratios(scores, settings)
    return f1 - settings.dqn.price * sum(ratios.values()) / len(ratios)


def reward_beyond(scores: Scores, settings: SearchSettings) -> float:
    """Of a network that exceeds a limit: negative, down to -1."""
    worst = max(cost_ratios(scores, settings).values())
    return -min(1.0, math.log10(max(worst, 1.0)) / 2)
