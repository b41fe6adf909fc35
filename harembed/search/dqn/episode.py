"""An episode: one network, chosen layer by layer, and what each choice is told when the network has its score.

Pellatt and Roggen, sections 3.1.4, 3.1.5, 3.3 and algorithm 1. An invalid layer gets -1 and the episode goes on at
the same index (section 3.1.5; algorithm 1 does not advance either, yet stores Index + 1 as what follows: here the
same index follows). A controller that does not change meanwhile would choose it again for ever, so what proved
invalid is not tried again at that index of that episode. An end before the first layer counts as invalid: its reward
R_T / T would not be defined.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from harembed.feature_graph import FeatureGraph, GraphLayer, LayerShape
from harembed.search.dqn.actions import Action, place
from harembed.search.dqn.controller import LAST, Experience
from harembed.search.dqn.settings import DqnSettings

INVALID_REWARD = -1.0


@dataclass(frozen=True)
class Choice:
    index: int  # of the layer, from 0
    action: int
    valid: bool


@dataclass(frozen=True)
class Episode:
    graph: FeatureGraph
    choices: tuple[Choice, ...]


def epsilon(settings: DqnSettings, spent: float) -> float:
    """Share of random choices after a share of the search (0 to 1): linear, as over the paper's 20,000 episodes."""
    first, last = settings.epsilon
    return first + (last - first) * min(spent, 1.0)


def best_first(values: Tensor) -> list[list[int]]:
    """Choices at every index by their value; of equals the first."""
    return values.argsort(dim=1, descending=True, stable=True).tolist()


def walk(ranked: Sequence[Sequence[int]], share: float, rng: random.Random, actions: Sequence[Action],
         start: LayerShape) -> Episode:
    """Choose layers until the end is chosen or every index has one.

    Parameters
    ----------
    ranked : [indices][actions]    choices as the controller prefers them, see best_first
    share : of choices that are made at random
    start : of the network's input
    """
    made: list[LayerShape] = [start]
    layers: list[GraphLayer] = []
    choices: list[Choice] = []
    while len(layers) < len(ranked):
        left = list(ranked[len(layers)])  # those not yet proved invalid here
        while True:
            action = rng.choice(left) if rng.random() <= share else left[0]
            placed = place(actions[action], made)
            choices.append(Choice(len(layers), action, not isinstance(placed, str)))
            if not isinstance(placed, str):
                break
            left.remove(action)
        if placed is None:  # END
            break
        layers.append(placed[0])
        made.append(placed[1])
    return Episode(FeatureGraph(tuple(layers)), tuple(choices))


def experiences(episode: Episode, reward: float) -> list[Experience]:
    """Every valid choice gets the same share of the network's reward, R_T / T (section 3.3); an invalid one -1.

    T counts the end, too, if it was chosen: algorithm 1 appends it to the network like any layer.
    """
    valid = sum(c.valid for c in episode.choices)
    found = []
    for i, choice in enumerate(episode.choices):
        if not choice.valid:
            found.append(Experience(choice.index, choice.action, INVALID_REWARD, choice.index))
            continue
        following = LAST if i == len(episode.choices) - 1 else choice.index + 1
        found.append(Experience(choice.index, choice.action, reward / valid, following))
    return found
