"""Latency as a limit of a search: predicted by the board's model from the integer graph that a candidate would be."""

import random
import statistics
from functools import lru_cache

from harembed.cost.dims import dims_of
from harembed.cost.latency import LatencyModel
from harembed.cost.macs import total_macs
from harembed.export.untrained import untrained_graph
from harembed.ir.ops.base import Goal
from harembed.search.newcomers import draw
from harembed.space import Network

_DRAWS = 32  # networks that say what a MAC costs on average


class LatencyPredictor:
    """Predicts architectures, each once.

    Parameters
    ----------
    model : LatencyModel    of the board
    goal : Goal             that the C will be optimised for
    """

    def __init__(self, model: LatencyModel, goal: Goal) -> None:
        self.model, self.goal = model, goal
        self._cycles = lru_cache(maxsize=None)(self._predict)

    def _predict(self, arch: Network) -> float:
        return self.model.predict(untrained_graph(arch), self.goal).cycles

    def latency_us(self, arch: Network) -> float:
        """Of one inference, estimated."""
        return self._cycles(arch) / self.model.clock_hz * 1e6

    def cycles_per_mac(self, window: int, sensors: int, classes: int, tails: tuple[str, ...]) -> float:
        """The median over networks drawn at random: what the super-net, which knows MACs only, steers by."""
        rng = random.Random(0)
        drawn: list[float] = []
        while len(drawn) < _DRAWS:
            arch = draw(rng, window, sensors, classes, tails)
            if arch is not None:
                drawn.append(self._cycles(arch) / total_macs(dims_of(arch)))
        return statistics.median(drawn)
