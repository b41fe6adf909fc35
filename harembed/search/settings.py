"""What a search is asked for: limits of the board, and how hard to look."""

from collections.abc import Callable
from dataclasses import dataclass, field

from harembed.search.dqn.settings import DqnSettings
from harembed.space import Network, Padding
from harembed.train.recipe import Recipe


@dataclass(frozen=True)
class BilevelSettings:
    """The alternation of weights and architecture (Zhou et al., eqs. 8-13). Defaults are the paper's."""

    epochs: int = 200
    batch: int = 256  # windows
    weights_lr: float = 1e-4  # Adam; times 0.9 when the training loss did not fall for 10 epochs
    gates_lr: float = 1e-4  # the same Adam; the paper has one rate for weights and gates
    alpha_lr: float = 5e-3  # second Adam
    alpha_betas: tuple[float, float] = (0.5, 0.999)
    alpha_weight_decay: float = 1e-3
    threshold: float = 0.5  # of the gates, eq. 3
    tau_initial: float = 5.0
    tau_decay: float = 0.05  # per epoch
    tau_floor: float = 0.2  # not in the paper, see nn/gumbel.py
    held_out: float = 0.3  # fraction of the training subjects that alpha learns from
    beta1: tuple[float, ...] = (0.1,)  # weight of the complexity loss in eq. 10, by rung; the last one stays
    beta2: float = 1.0  # weight of the memory loss in eq. 10; 0 switches memory off, in the choice too
    warm_up: float = 0.0  # share of the epochs in which only weights learn; the paper has none
    # The reference of the complexity loss in shares of the MAC budget, one after another for equally many epochs.
    # The paper trains one super-net for each trade-off; climbing down with one super-net gives a front of
    # networks in one training.
    macs_rungs: tuple[float, ...] = (1.0,)
    # Complexity and memory cost nothing while the most likely network is within the reference and the limit: who
    # states a budget wants it used. In the paper complexity always costs, and memory does for every drawn network
    # above the limit, which pushes the likely ones far below it.
    only_above: bool = False
    # Gates that are closed at the end of an epoch are cut for good and cost no time any more. Not in the paper.
    shrink: bool = True


def desk(epochs: int = 24) -> BilevelSettings:
    """Minutes on two cores instead of hours: fewer epochs than the paper's, and rates that reach as far in them.

    One rate for weights and gates would not do: a gate that starts at 1 needs 50 steps at 1e-2 to reach its
    threshold, but 5,000 at 1e-4. The warm-up lets alpha and gates judge weights that have learnt something. The
    temperature comes to its floor with the last epoch, however many there are.
    """
    return BilevelSettings(epochs=epochs, batch=128, weights_lr=3e-3, gates_lr=5e-3, alpha_lr=3e-2, beta1=(0.3,),
                           warm_up=0.25, macs_rungs=(1.0, 1.0, 1.0, 0.6), only_above=True, tau_decay=3.2 / epochs)


# The arena may exceed the largest live set, because tensors are aligned to 4 bytes: by 8 bytes at most in 35 random
# networks of both tails. Proposals keep this distance from the limit, so that the plan fits as well.
PLAN_SLACK_BYTES = 16


@dataclass(frozen=True)
class SearchSettings:
    """Limits and effort of a search."""

    seed: int = 0
    ram_bytes: int = 96_000  # of arena; L_Mem of eq. 13, less PLAN_SLACK_BYTES
    macs: int = 200_000  # multiply-accumulates of one inference
    parameters: int | None = None  # weights and biases; None is no limit
    channels: int | None = None  # sensor channels; None is no limit
    flash_bytes: int | None = None  # constants of the network; None is no limit
    latency_us: float | None = None  # estimated; None is no limit
    predict_us: Callable[[Network], float] | None = None  # latency of a candidate; None: through macs
    cycles_per_mac: float = 5.0  # through macs; of small convolutions on a Cortex-M33, estimated
    clock_hz: int = 110_000_000
    vectors: tuple[tuple[int, int, int], ...] = ()  # channels that are x, y, z of one vector; for augmentation
    paddings: tuple[Padding, ...] = ("same", "valid")
    tails: tuple[str, ...] = ("conv", "tinyhar")
    bilevel: BilevelSettings = field(default_factory=desk)
    samples: int = 8  # networks drawn from alpha at the end of each rung, besides the most likely one
    candidates: int = 6  # proposals of the super-net that are trained and scored, at most
    filters: tuple[int, int] = (8, 16)  # of the super-net's first and last layer
    newcomers: int = 18  # networks drawn at random that compete with these (newcomers.py); 0 as in the paper
    entrants: int = 6  # of all these, after one short training each, that get a full training
    generations: int = 2  # rounds in which the best networks are varied (vary.py); 0 as in the paper
    children: int = 4  # new networks of a generation
    parents: int = 4  # networks that a generation descends from
    folds: int = 3  # divisions of the training subjects that a finalist is scored on
    finalists: int = 4  # are trained on every fold
    standard_errors: float = 0.25  # a cheaper network is taken if its score is within so many of the best one's
    recipe: Recipe = field(default_factory=lambda: Recipe(epochs=20))  # of the short trainings
    final_recipe: Recipe = field(default_factory=lambda: Recipe(epochs=30))  # of all others
    train_epochs: int | None = None  # of training in all (effort.py); None: what the numbers above come to
    population: int = 12  # of strategy evolution: networks of a generation
    dqn: DqnSettings = field(default_factory=DqnSettings)  # of strategy dqn
    blocks: int | None = None  # of strategy published with tail resnet; None: the thesis' 16
    graph: str | None = None  # of strategy published: feature_graph.reference; None: the published one of the tail
    # Share of the published network's filters that pas and autoslim start from (backbone.py), and that published has.
    backbone: float = 0.25
    groups: int = 16  # of a layer's filters, at most; autoslim takes one away at a time
    processes: int = 2  # that score candidates, one thread each; any number gives the same result
    device: str = "cpu"  # of all trainings: "cpu", "cuda", or "auto"
    executor: str = "local"  # of these trainings, or "ray"; gives the same result, too
    address: str | None = None  # HOST:PORT of a Ray cluster; None starts one here, with so many processes

    def latency_us_of(self, macs: float) -> float:
        """Estimated duration of an inference, by a constant number of cycles per MAC."""
        return macs * self.cycles_per_mac / self.clock_hz * 1e6

    @property
    def live_limit_bytes(self) -> int:
        """What the largest live set may be."""
        return max(self.ram_bytes - PLAN_SLACK_BYTES, 1)

    @property
    def macs_target(self) -> float:
        """MACs that the complexity loss is measured in: the budget, or what the latency allows of it."""
        if self.latency_us is None:
            return float(self.macs)
        return min(float(self.macs), self.latency_us / self.latency_us_of(1.0))
