"""The controller: a recurrent network that says what each choice is worth at each layer, and how it learns that.

Pellatt and Roggen, sections 3.1.2 and 3.1.3, algorithm 1. Where the text leaves open or contradicts itself:

- The controller sees the index of the layer alone, so its recurrent state follows from the indices before; what was
  chosen there it cannot know (section 3.1.2 says that it does). An experience holds no state. Here the state at
  index i is always that after 0 .. i - 1 from zero: acting and replay see the same, and all values are one table
  [index, choice] that one pass computes. (The paper's state seems to run on from episode to episode.)
- Equation 5 compares max_l Q(N_t, l) of the local network with the target: the value of the best choice, even if
  another one was taken and rewarded. Algorithm 1 has Q(i_t, l), the value of the choice taken, and so has this.
- Algorithm 1 has no maximum in the target, Q(i_t+1, l; theta_T); equations 4 and 5 have, and so has this.
- Equation 5 scales the target by the learning rate alpha. A fixed point would then not be the sum of the rewards;
  here alpha is 1 in the target, and Adam has the learning rate.
- Algorithm 1 looks beyond the last layer of an episode. Here the target of a last layer is its reward alone.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from harembed.search.dqn.settings import DqnSettings

LAST = -1  # as the next index: the episode ends here


@dataclass(frozen=True)
class Experience:
    """One choice of an episode."""

    index: int  # of the layer, from 0
    action: int
    reward: float
    following: int  # index of the next choice, or LAST


class Controller(nn.Module):
    """Two recurrent layers and a linear head (section 3.1.2)."""

    def __init__(self, indices: int, actions: int, units: int) -> None:
        super().__init__()
        self.recurrent = nn.RNN(1, units, num_layers=2, batch_first=True)
        self.head = nn.Linear(units, actions)
        # An index as a number between 0 and 1: layer 8 saturates the units otherwise.
        self.register_buffer("inputs", torch.arange(indices).float().reshape(1, -1, 1) / max(indices - 1, 1))

    def forward(self) -> Tensor:
        """Values [indices, actions]: the expected sum of rewards from a choice to the end of its episode."""
        states, _ = self.recurrent(self.inputs)
        return self.head(states[0])


def q_loss(local: Tensor, target: Tensor, batch: Tensor, rewards: Tensor) -> Tensor:
    """Smooth L1 (eq. 5) between Q(i, l) and R + max_l' Q_target(i', l'), mean of a batch.

    Parameters
    ----------
    local, target : [indices, actions]    values; no gradient goes into target
    batch : [N, 3] int64    index, action, following
    rewards : [N] float
    """
    index, action, following = batch.unbind(1)
    best = target.detach().max(1).values[following.clamp(min=0)]
    wanted = rewards + torch.where(following == LAST, torch.zeros_like(best), best)
    return F.smooth_l1_loss(local[index, action], wanted)


@dataclass
class _Memory:
    """The latest experiences, in two tensors that are written round and round."""

    choices: Tensor  # [capacity, 3] int64
    rewards: Tensor  # [capacity]
    seen: int = 0

    def append(self, e: Experience) -> None:
        row = self.seen % len(self.rewards)
        self.choices[row] = torch.tensor((e.index, e.action, e.following))
        self.rewards[row] = e.reward
        self.seen += 1

    def __len__(self) -> int:
        return min(self.seen, len(self.rewards))


class Learner:
    """The local and the target network, and the experiences that they learn from.

    Parameters
    ----------
    actions : int    choices at every index
    seed : int       of the weights and of the batches

    Attributes
    ----------
    steps : int    of learning so far
    """

    def __init__(self, settings: DqnSettings, actions: int, seed: int) -> None:
        self.settings = settings
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.local, self.target = (Controller(settings.max_layers, actions, settings.units) for _ in range(2))
        self.target.load_state_dict(self.local.state_dict())
        self.optimizer = torch.optim.Adam(self.local.parameters(), settings.learning_rate, fused=True)
        self.memory = _Memory(torch.zeros((settings.memory, 3), dtype=torch.int64), torch.zeros(settings.memory))
        self.generator = torch.Generator().manual_seed(seed)
        self.steps = 0

    def values(self) -> Tensor:
        """What the local network believes, [indices, actions]."""
        with torch.no_grad():
            return self.local()

    def remember(self, experiences: list[Experience]) -> None:
        for e in experiences:
            self.memory.append(e)

    def learn(self, until: int) -> None:
        """Steps of learning until there were so many; none before there are more experiences than a batch has."""
        while self.steps < until and len(self.memory) > self.settings.batch:
            rows = torch.randint(len(self.memory), (self.settings.batch,), generator=self.generator)
            with torch.no_grad():
                target = self.target()
            loss = q_loss(self.local(), target, self.memory.choices[rows], self.memory.rewards[rows])
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()
            self.optimizer.step()
            self.steps += 1
            if self.steps % self.settings.target_every == 0:
                self._follow()

    def _follow(self) -> None:
        """theta_T = (1 - tau) theta_T + tau theta_L."""
        with torch.no_grad():
            for theirs, mine in zip(self.target.parameters(), self.local.parameters(), strict=True):
                theirs.lerp_(mine, self.settings.tau)
