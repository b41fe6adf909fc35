"""What the Q-learning search is asked for. Defaults are the paper's (section 3.1) unless said otherwise."""

from dataclasses import dataclass, field
from typing import Literal

from harembed.search.predictors.curve import Metric
from harembed.search.predictors.predictor import Predictor
from harembed.space import ConvTail, DeepConvLstmTail, RecurrentTail, SensorUse

Space = Literal["general", "feedforward"]
Policy = Literal["q", "random"]
PAPER_FILTERS = (32, 64, 128, 256)
SMALL_FILTERS = (4, 8, 16, 32)  # fit a microcontroller
TAIL_FEATURES = 16


@dataclass(frozen=True)
class DqnSettings:
    """The space, the learning, and what a network is worth."""

    space: Space = "general"
    kernels: tuple[int, ...] = (1, 2, 3, 5, 8)  # samples
    filters: tuple[int, ...] = SMALL_FILTERS  # the paper: PAPER_FILTERS
    pools: tuple[int, ...] = (2, 3, 5)  # samples
    max_layers: int = 8
    sensors: SensorUse = "mixed"
    tail: ConvTail | RecurrentTail = field(default_factory=lambda: DeepConvLstmTail(TAIL_FEATURES))  # the paper: 128
    episodes: int = 20_000  # at most; the budget of epochs may end the search earlier
    at_once: int = 8  # episodes of a batch, walked by one and the same controller; the paper learns after each
    policy: Policy = "q"  # "random": networks are drawn at random from the same space, nothing is learnt
    epsilon: tuple[float, float] = (1.0, 0.01)  # share of random choices, from the first to the last episode
    learning_steps: int = 20_000  # of a whole search, one an episode if it has 20,000; fewer episodes take more each
    steps_each: int = 50  # behind an episode, at most on average
    batch: int = 64  # experiences of a step
    memory: int = 100_000  # latest experiences that batches are drawn from; the paper states no limit
    learning_rate: float = 1e-3  # of Adam; not stated
    tau: float = 1e-3  # share of the local network in a soft update of the target network
    target_every: int = 4  # steps between soft updates
    units: int = 64  # of each of the two recurrent layers
    evaluations: int = 3  # trainings of a network that comes again; then their mean is its score (section 5.1)
    metric: Metric = "macro_f1"  # the paper: weighted_f1
    price: float = 0.0  # of costs in the reward, see reward.py; the paper has none
    predictor: Predictor | None = None  # of the converged score from early epochs; None trains to the end
