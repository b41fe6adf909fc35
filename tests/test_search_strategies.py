"""Random search and evolution: same seed same ledger, resumable, parallel, within limits and within their effort."""

import random
from dataclasses import replace
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_search import TINY, Killed, run, toy_windows

from harembed.cost.dims import dims_of
from harembed.cost.macs import total_macs
from harembed.errors import SearchError
from harembed.search import STRATEGIES
from harembed.search.candidate import Candidate, Figure, Scores, not_dominated
from harembed.search.dqn.settings import DqnSettings
from harembed.search.effort import Effort, candidate_epochs
from harembed.search.encoding import Choice, Encoding
from harembed.search.newcomers import draw, draw_fitting
from harembed.settings import RunSettings
from harembed.space import TAILS, Architecture, ConvTail, TemporalConv, TinyHarTail

OTHERS = ["random", "evolution"]
# Room for 15 short trainings beside the judging, so that evolution breeds generations.
SMALL = replace(TINY, population=4, train_epochs=Effort(TINY, toy_windows()).judging + 15 * TINY.recipe.epochs,
                macs=30_000, backbone=0.06, groups=2,
                dqn=DqnSettings(filters=(2, 4), max_layers=3, tail=ConvTail(4), learning_steps=50))


PROCESSES = {"random": 1, "evolution": 2}  # both are mapped by the same lines; two of them take seconds to start


@pytest.fixture(scope="module", params=OTHERS)
def whole(request, tmp_path_factory):
    path = tmp_path_factory.mktemp(request.param)
    return request.param, path, run(path, SMALL, strategy=request.param)


def ledger(path) -> bytes:
    return (path / "ledger.jsonl").read_bytes()


def test_same_seed_same_ledger_in_one_process_or_two(whole, tmp_path):
    strategy, path, result = whole
    again = run(tmp_path, replace(SMALL, processes=PROCESSES[strategy]), strategy=strategy)
    assert again.to_dict() == result.to_dict()
    assert ledger(tmp_path) == ledger(path)


@pytest.mark.parametrize("kill_at", [0, 3, 6, 14, 16, 19])
def test_a_killed_search_resumes_to_the_same_result(whole, tmp_path, kill_at):
    strategy, path, result = whole
    with pytest.raises(Killed):
        run(tmp_path, SMALL, kill_at, strategy)
    assert run(tmp_path, SMALL, strategy=strategy).to_dict() == result.to_dict()
    assert ledger(tmp_path) == ledger(path)


def test_candidates_stay_within_limits_and_the_search_within_its_effort(whole):
    _, _, result = whole
    assert all(c.scores.macs.value <= SMALL.macs for c in result.candidates)
    assert len(result.candidates) == 15
    assert len(result.best.scores.final_f1) == SMALL.folds
    epochs = sum(candidate_epochs(c, SMALL) for c in result.candidates)
    assert result.epochs_trained == {"total": epochs, "candidates": epochs}
    assert epochs == SMALL.train_epochs


def test_evolution_starts_where_random_search_does_and_breeds_others(tmp_path):
    drawn, bred = ([c.id for c in run(tmp_path / s, SMALL, strategy=s).candidates] for s in OTHERS)
    assert bred[:4] == drawn[:4]
    assert len(set(bred)) == 15
    assert set(bred[4:]) != set(drawn[4:])


def test_children_have_the_filters_and_kernels_of_parents(tmp_path):
    """optuna breeds only out of trials that it counts as of a generation; else it draws at random."""
    encoding = Encoding(32, 3, 3, SMALL.paddings, SMALL.tails)
    codes = [encoding.encode(c.architecture) for c in run(tmp_path, SMALL, strategy="evolution").candidates]
    parents, children = codes[:4], codes[4:8]
    genes = [(name, value) for child in children for name, value in child.items()]
    inherited = [any(p[name] == value for p in parents) for name, value in genes if name.endswith("_filters")]
    assert sum(inherited) > 0.8 * len(inherited)


@pytest.mark.parametrize("strategy", OTHERS)
def test_a_limit_of_channels_is_kept(tmp_path, strategy):
    result = run(tmp_path, replace(SMALL, channels=2), strategy=strategy)
    assert {len(c.architecture.channels) for c in result.candidates} <= {1, 2}
    assert len(result.candidates) == 15


@pytest.mark.parametrize("strategy", OTHERS)
def test_impossible_limits_are_named(tmp_path, strategy):
    with pytest.raises(SearchError, match=r"bytes of RAM \(limit 40\)"):
        run(tmp_path, replace(SMALL, ram_bytes=40), strategy=strategy)


@pytest.mark.parametrize("strategy", [s for s in STRATEGIES if s != "published"])  # which searches nothing
def test_a_budget_that_cannot_do_is_refused_with_one_that_can(tmp_path, strategy):
    with pytest.raises(SearchError, match="20 epochs of training are too few") as refused:
        run(tmp_path, replace(SMALL, train_epochs=20), strategy=strategy)
    enough = int(refused.value.hint.split()[2])
    result = run(tmp_path, replace(SMALL, train_epochs=enough), strategy=strategy)
    assert result.epochs_trained["total"] <= enough


def test_sftnas_spends_a_budget_on_generations(tmp_path):
    least = Effort(TINY, toy_windows()).sftnas_start
    result = run(tmp_path, replace(TINY, train_epochs=least + 40))
    total = result.epochs_trained["total"]
    assert total == result.epochs_trained["super-net"] + sum(candidate_epochs(c, TINY) for c in result.candidates)
    assert least + 40 - TINY.final_recipe.epochs * 2 < total <= least + 40


def test_without_a_budget_the_others_may_train_as_much_as_sftnas():
    effort = Effort(TINY, toy_windows())
    # 72 windows of 4 subjects, 3 folds: 48 to train on. alpha holds 1 subject, so 54 windows for the weights, in 4
    # epochs, and as many steps for alpha in the 3 after the warm-up.
    assert effort.supernet == 8  # 7 * 54 / 48, rounded up
    short, full = TINY.recipe.epochs, TINY.final_recipe.epochs
    judging = 3 * 2 * full + 2 * (3 - 2) * full
    assert effort.judging == judging
    assert effort.sftnas == 8 + (4 + 18) * short + 2 * 2 * 2 * full + judging
    assert effort.screenings() == (effort.sftnas - judging) // short


def test_settings_and_progress_name_the_strategies_that_exist():
    assert get_args(RunSettings.model_fields["strategy"].annotation) == tuple(STRATEGIES)
    tails = get_args(get_args(RunSettings.model_fields["tail"].annotation)[0])
    assert tails == (*TAILS, "flat", "resnet")  # the last two no search chooses


SPACES = {"long": Encoding(192, 6, 7, ("same", "valid"), tuple(TAILS)),
          "short": Encoding(16, 2, 3, ("same", "valid"), ("conv",)),
          "one way": Encoding(50, 3, 4, ("valid",), ("tinyhar",))}


@st.composite
def values(draw, encoding: Encoding) -> dict:
    return {name: draw(st.sampled_from(p.options) if isinstance(p, Choice) else st.integers(1, p.most))
            for name, p in encoding.parameters().items()}


@given(data=st.data(), name=st.sampled_from(list(SPACES)))
def test_every_parameterisation_is_a_network_or_says_why_not(data, name):
    encoding = SPACES[name]
    found = encoding.decode(data.draw(values(encoding)))
    if isinstance(found, str):
        assert any(words in found for words in ("no sensor channel", "first stage is empty", "does not fit"))
        return
    assert set(found.channels) <= set(range(encoding.sensors))
    assert found.padding in encoding.paddings and found.tail.kind in encoding.tails
    assert total_macs(dims_of(found)) > 0
    again = encoding.encode(found)
    assert again is not None and encoding.decode(again) == found


def test_random_networks_are_in_the_space_that_evolution_breeds_in():
    rng, encoding = random.Random(3), SPACES["long"]
    drawn = [a for _ in range(300) if (a := draw(rng, 192, 6, 7, encoding.tails)) is not None]
    assert len(drawn) > 200
    for arch in drawn:
        code = encoding.encode(arch)
        assert code is not None and encoding.decode(code) == arch


OUTSIDE = {
    "too many layers": Architecture(16, (0,), "same", (TemporalConv(3, 1, 4),) * 5, ConvTail(4), 3),
    "a kernel that is none of the options": Architecture(16, (0,), "same", (TemporalConv(9, 2, 4),), ConvTail(4), 3),
    "a tail that was excluded": Architecture(16, (0,), "same", (TemporalConv(3, 2, 4),), TinyHarTail(4), 3),
    "too many filters": Architecture(16, (0,), "same", (TemporalConv(3, 2, 99),), ConvTail(4), 3),
}


@pytest.mark.parametrize("name", OUTSIDE)
def test_networks_outside_the_space_have_no_code(name):
    assert SPACES["short"].encode(OUTSIDE[name]) is None


NEWCOMERS = ["3ch · same · 1/2x3 1/1x3 5/2x4 3/2x5 7/1x5 · fuse 12",
             "3ch · same · 7/2x2 7/1x2 7/2x3 7/2x4 · fuse 16 1/1x16",
             "3ch · same · 3/2x8 3/2x8 3/2x8 · attention+LSTM 16"]


def test_newcomers_are_those_of_earlier_versions():
    """sftnas with a seed gives the ledger that it always gave; what it draws does not depend on arithmetic."""
    found, _ = draw_fitting(random.Random(7), (32, 3, 3), TINY, 3, set(), {"drawn": "newcomer"})
    assert [c.architecture.describe() for c in found] == NEWCOMERS


def test_half_of_the_newcomers_of_a_limited_search_have_whole_sensors():
    settings = replace(TINY, channels=4, vectors=((0, 1, 2), (3, 4, 5)))
    found, _ = draw_fitting(random.Random(7), (32, 7, 3), settings, 40, set(), {})
    channels = [c.architecture.channels for c in found]
    whole = channels.count((0, 1, 2)) + channels.count((3, 4, 5))
    assert 12 < whole < 30 and {(0, 1, 2), (3, 4, 5)} < set(channels)
    free, _ = draw_fitting(random.Random(7), (32, 7, 3), replace(settings, channels=None), 40, set(), {})
    without, _ = draw_fitting(random.Random(7), (32, 7, 3), replace(TINY, channels=None), 40, set(), {})
    assert [c.id for c in free] == [c.id for c in without]  # nothing else is drawn without a limit


def test_newcomers_of_a_limited_search_mostly_have_the_channels_that_the_super_net_preferred():
    found, _ = draw_fitting(random.Random(7), (32, 6, 3), replace(TINY, channels=2), 30, set(), {}, preferred=(1, 4))
    channels = [c.architecture.channels for c in found]
    assert len(channels) == 30 and max(map(len, channels)) == 2
    assert 15 < channels.count((1, 4)) < 30 and len(set(channels)) > 5


def test_a_front_over_all_costs_keeps_what_only_one_cost_speaks_for():
    def scored(f1: float, ram: float, flash: float, latency: float, macs: float) -> Candidate:
        arch = Architecture(32, (0,), "same", (TemporalConv(3, 2, int(macs)),), ConvTail(4), 3)
        fig = [Figure(v, "estimated") for v in (macs, 1.0, ram, flash, latency, f1)]
        return Candidate(arch, Scores(*fig[:5], final_f1=(fig[5],)))

    base, small = scored(0.9, 50, 50, 50, 50), scored(0.8, 40, 60, 60, 60)
    worse, twin = scored(0.9, 50, 51, 50, 50), scored(0.9, 50, 50, 50, 50)
    assert not_dominated([worse, base, small, twin]) == [base, small, twin]
