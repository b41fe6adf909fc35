"""Deep Q-learning: the options, episodes and their rewards, one step of learning by hand, and that it learns."""

import math
import random
from dataclasses import replace

import pytest
import torch

from harembed.feature_graph import GraphConcat, GraphConv, GraphPool, LayerShape
from harembed.search.candidate import Figure, Scores
from harembed.search.dqn.actions import END, action_list, place
from harembed.search.dqn.controller import LAST, Experience, Learner, q_loss
from harembed.search.dqn.draw import draw_graph
from harembed.search.dqn.episode import Choice, Episode, best_first, epsilon, experiences, walk
from harembed.search.dqn.reward import cost_ratios, reward_beyond, reward_within
from harembed.search.dqn.settings import PAPER_FILTERS, DqnSettings
from harembed.search.settings import SearchSettings

PAPER = DqnSettings(filters=PAPER_FILTERS)
INPUT = LayerShape(16, 3)


def test_the_paper_has_241_options_and_24_without_branches():
    general = action_list(PAPER)
    kinds = [type(a) for a in general]
    assert [kinds.count(k) for k in (GraphConv, GraphPool, GraphConcat, type(END))] == [160, 24, 56, 1]
    assert len(general) == len(set(general)) == 241
    assert len(action_list(replace(PAPER, space="feedforward"))) == 24


def test_the_options_give_the_papers_number_of_networks():
    """1.06e16 in the general space: at every step those of the 241 that are valid there, or the end."""
    actions, made, product = action_list(PAPER), [INPUT], 1
    for _ in range(PAPER.max_layers):
        product *= sum(a is END or not isinstance(place(a, made), str) for a in actions)
        made.append(INPUT)
    assert f"{product:.2e}" == "1.06e+16"


@pytest.mark.parametrize("action, meant", [
    (GraphConv(3, 1, 8), (GraphConv(3, 1, 8), LayerShape(16, 8))),
    (GraphPool(2, 0), (GraphPool(2, 0), LayerShape(8, 3))),
    (GraphConcat(1, 0), (GraphConcat(0, 1), LayerShape(16, 7))),  # both orders are one network
    (GraphConv(3, -1, 8), (GraphConv(3, 1, 8), LayerShape(16, 8))),  # feed-forward: the layer before
    (END, END),
    (GraphConv(3, 2, 8), "layer 2 is not made yet; there are the input and 1 layers"),
    (GraphPool(17, 0), "a pooling of 17 samples does not fit into the 16 of layer 0"),
])
def test_choices_become_layers_or_say_why_not(action, meant):
    assert place(action, [INPUT, LayerShape(16, 4)]) == meant


def test_an_end_before_the_first_layer_is_invalid():
    assert isinstance(place(END, [INPUT]), str)


@pytest.mark.parametrize("spent, share", [(0.0, 1.0), (0.5, 0.505), (1.0, 0.01), (1.2, 0.01)])
def test_epsilon_falls_linearly_over_the_search(spent, share):
    assert math.isclose(epsilon(PAPER, spent), share)


def small_space() -> DqnSettings:
    return DqnSettings(kernels=(1, 3), filters=(4,), pools=(2,), max_layers=2, batch=8, learning_steps=600, tau=0.05)


def test_an_invalid_layer_is_not_tried_again_and_gets_minus_one():
    s = small_space()
    actions = action_list(s)
    late, first = actions.index(GraphConv(3, 1, 4)), actions.index(GraphConv(1, 0, 4))
    order = [late, first, *(i for i in range(len(actions)) if i not in (late, first))]
    episode = walk([order, order], -1.0, random.Random(0), actions, INPUT)  # greedy
    assert episode.graph.layers == (GraphConv(1, 0, 4), GraphConv(3, 1, 4))
    assert episode.choices == (Choice(0, late, False), Choice(0, first, True), Choice(1, late, True))
    assert experiences(episode, 0.8) == [Experience(0, late, -1.0, 0), Experience(0, first, 0.4, 1),
                                         Experience(1, late, 0.4, LAST)]


def test_the_end_has_its_share_of_the_reward():
    episode = Episode(walk([[0]], -1, random.Random(0), (GraphConv(1, 0, 4),), INPUT).graph,
                      (Choice(0, 0, True), Choice(1, 5, True)))
    assert experiences(episode, 0.9) == [Experience(0, 0, 0.45, 1), Experience(1, 5, 0.45, LAST)]


@pytest.mark.parametrize("space, valid_kinds", [("general", {"conv", "pool", "concat"}),
                                                ("feedforward", {"conv", "pool"})])
def test_random_walks_reach_what_there_is_and_nothing_else(space, valid_kinds):
    s = replace(DqnSettings(), space=space)
    actions = action_list(s)
    ranked = [list(range(len(actions)))] * s.max_layers
    graphs = [walk(ranked, 1.0, random.Random(i), actions, LayerShape(128, 6)).graph for i in range(60)]
    graphs += [draw_graph(random.Random(i), actions, s.max_layers, LayerShape(128, 6)) for i in range(60)]
    assert {layer.kind for g in graphs for layer in g.layers} == valid_kinds
    assert {len(g.layers) for g in graphs} == set(range(1, s.max_layers + 1))
    if space == "feedforward":
        assert all(layer.sources == (i,) for g in graphs for i, layer in enumerate(g.layers))


def test_one_loss_by_hand():
    """Smooth L1 between Q(i, l) and R + max Q_target(i'); the last choice looks at its reward alone."""
    local = torch.tensor([[0.1, 0.5], [0.3, 2.0]])
    target = torch.tensor([[9.0, 9.0], [0.2, 0.4]])
    batch = torch.tensor([(0, 0, 1), (1, 1, LAST)])
    # |0.1 - (0.3 + 0.4)| = 0.6 -> 0.18; |2.0 - 0.25| = 1.75 -> 1.25
    loss = q_loss(local, target, batch, torch.tensor([0.3, 0.25]))
    assert math.isclose(float(loss), (0.18 + 1.25) / 2, rel_tol=1e-6)


def test_the_target_network_follows_every_fourth_step_by_tau():
    learner = Learner(small_space(), 3, seed=1)
    learner.remember([Experience(0, 1, 0.5, LAST)] * 9)
    before = {k: v.clone() for k, v in learner.target.state_dict().items()}
    learner.learn(3)
    assert all(torch.equal(v, before[k]) for k, v in learner.target.state_dict().items())
    learner.learn(4)
    mine = dict(learner.local.named_parameters())
    for name, value in learner.target.named_parameters():
        assert torch.allclose(value, 0.95 * before[name] + 0.05 * mine[name], atol=1e-7)


def test_nothing_is_learnt_before_there_is_a_batch():
    learner = Learner(small_space(), 3, seed=1)
    learner.remember([Experience(0, 1, 0.5, LAST)] * 8)
    learner.learn(10)
    assert learner.steps == 0


def toy_reward(graph) -> float:
    """Best is a pooled input behind which a convolution of 3 reads the pooling."""
    text = graph.describe()
    return {"P2(0) C3x4(1)": 1.0, "P2(0)": 0.5}.get(text, 0.1 * len(graph.layers))


def test_the_controller_finds_the_best_of_a_table():
    s = small_space()
    actions = action_list(s)
    learner = Learner(s, len(actions), seed=0)
    for number in range(150):
        ranked = best_first(learner.values())
        episode = walk(ranked, epsilon(s, number / 150), random.Random(number), actions, INPUT)
        learner.remember(experiences(episode, toy_reward(episode.graph)))
        learner.learn(round(s.learning_steps * (number + 1) / 150))
    found = walk(best_first(learner.values()), 0.0, random.Random(0), actions, INPUT)
    assert found.graph.describe() == "P2(0) C3x4(1)"


LIMITS = SearchSettings(macs=1000, ram_bytes=116, flash_bytes=None, latency_us=50.0, dqn=DqnSettings(price=0.2))


def costs(macs: float, ram: float, latency: float) -> Scores:
    values = (macs, 1.0, ram, 1e9, latency)
    found = [Figure(v, "estimated") for v in values]
    return Scores(*found[:5])


def test_a_price_takes_a_share_of_what_is_limited():
    scores = costs(500.0, 25.0, 45.0)  # 0.5, 0.25 and 0.9 of the limits; flash has none
    assert cost_ratios(scores, LIMITS) == {"macs": 0.5, "ram": 0.25, "latency": 0.9}
    assert math.isclose(reward_within(0.9, scores, LIMITS), 0.9 - 0.2 * (0.5 + 0.25 + 0.9) / 3)
    assert reward_within(0.9, scores, replace(LIMITS, dqn=DqnSettings())) == 0.9  # the paper's


@pytest.mark.parametrize("macs, reward", [(10_000.0, -0.5), (100_000.0, -1.0), (1e9, -1.0), (1000.0, 0.0)])
def test_what_exceeds_a_limit_is_worth_less_the_more_it_exceeds(macs, reward):
    assert math.isclose(reward_beyond(costs(macs, 1.0, 1.0), LIMITS), reward, abs_tol=1e-12)
