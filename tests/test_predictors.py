"""Performance predictors: their inputs, a database whose end can be predicted, correlations against scipy's."""

import json
import math
import random
from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

from harembed.errors import RunError, SearchError
from harembed.feature_graph import FeatureGraph, GraphConcat, GraphConv, GraphPool, LayerShape
from harembed.search.dqn.actions import action_list
from harembed.search.dqn.draw import draw_graph
from harembed.search.dqn.settings import DqnSettings
from harembed.search.predictors.assessment import assess
from harembed.search.predictors.correlation import correlation, difference, groups, quintiles, spearman
from harembed.search.predictors.curve import Curve
from harembed.search.predictors.database import Entry
from harembed.search.predictors.features import Subject, baseline, density, series, static
from harembed.search.predictors.fitting import FitSettings, cross_validate, fit, weighted_loss
from harembed.search.predictors.predictor import PREDICTORS, Origin, find
from harembed.search.predictors.stored import load_predictors, save_predictors
from harembed.space import DeepConvLstmTail, GraphArchitecture
from harembed.train.recipe import Recipe

ORIGIN = Origin("toy", 32, 3, 3, 0, 8, Recipe(epochs=12).to_dict(), 80)
QUICK = FitSettings(epochs=60, batch=16)
GRAPH = FeatureGraph((GraphConv(3, 0, 4), GraphPool(2, 1), GraphConcat(0, 2)))


def synthetic(count: int = 80, epochs: int = 12, seed: int = 3) -> list[Entry]:
    """Curves that rise to a height at their own pace: where they end follows from height and pace in the first
    epochs, but a quick start says nothing of the end. Wide networks are higher."""
    rng = np.random.default_rng(seed)
    actions = action_list(DqnSettings())
    entries = []
    for number in range(count):
        graph = draw_graph(random.Random(number), actions, 8, LayerShape(32, 3))
        macs = 10 ** rng.uniform(3, 6)
        height, pace = 0.4 + 0.1 * math.log10(macs / 1e3) + rng.uniform(0, 0.2), rng.uniform(0.05, 0.5)
        for run in (0, 1):
            f1 = height * (1 - np.exp(-pace * np.arange(1, epochs + 1)))
            noise = rng.normal(0, 0.005, (5, epochs))
            rows = np.stack([1.5 * np.exp(-pace * np.arange(epochs)), 1 - height * f1, f1, f1, f1]) + noise
            curve = Curve(*(tuple(map(float, row)) for row in rows))
            target = {m: float(height + rng.normal(0, 0.01)) for m in ("macro_f1", "weighted_f1")}
            arch = GraphArchitecture(32, (0, 1, 2), graph, DeepConvLstmTail(4), 3)
            entries.append(Entry(number, run, arch, macs, curve, target))
    return entries


ENTRIES = synthetic()
FIRSTS = [e for e in ENTRIES if e.run == 0]
SUBJECTS = [e.subject for e in FIRSTS]
TARGET = np.array([e.target["macro_f1"] for e in FIRSTS])


def test_what_a_predictor_reads():
    curve = Curve(*((float(i), float(i + 10), float(i + 20)) for i in range(5)))
    subject = Subject(GRAPH, 1000.0, curve)
    assert density(GRAPH) == 4 / 3  # a concatenation has two connections
    assert series([subject], 2).tolist() == [[[i, i + 10] for i in range(5)]]
    assert static([subject], None).tolist() == [[4 / 3, 3.0]]
    with_structure = static([subject], 8)[0]
    assert len(with_structure) == 2 + 6 * 10
    assert with_structure[2 + 6 : 2 + 12].tolist() == [1, 1, 3, 0, 0, 4]  # the first layer, as in the paper's tables
    assert not with_structure[2 + 6 * 5 :].any()


@pytest.mark.parametrize("epochs, mean", [(3, 2.0), (5, 3.0), (10, 8.0)])
def test_the_baseline_is_the_mean_of_the_last_five_epochs(epochs, mean):
    f1 = tuple(float(i) for i in range(1, 13))
    assert baseline([Subject(GRAPH, 1.0, Curve(f1, f1, f1, f1, f1))], epochs, "macro_f1").tolist() == [mean]


def test_good_networks_weigh_more():
    loss = weighted_loss(torch.tensor([0.1, 0.9]), torch.tensor([0.0, 1.0]), torch.tensor([0.25, 1.0]))
    assert math.isclose(float(loss), (0.25 * 0.01 + 0.01) / 2, rel_tol=1e-5)


def test_what_cannot_be_learnt_is_not_learnt_by_heart():
    noise = np.random.default_rng(1).uniform(0.3, 0.9, len(TARGET))
    fitted = fit(SUBJECTS, noise, "mlp-struct", 4, "macro_f1", ORIGIN, FitSettings())
    assert spearman(fitted.predict(SUBJECTS), noise) < 0.7  # after 200 epochs it is 1
    learnt = fit(SUBJECTS, TARGET, "mlp-struct", 4, "macro_f1", ORIGIN, FitSettings())
    assert spearman(learnt.predict(SUBJECTS), TARGET) > 0.9


@pytest.mark.parametrize("kind", PREDICTORS)
def test_predictors_rank_networks_that_they_have_not_seen(kind):
    predicted, fold = cross_validate(SUBJECTS, TARGET, kind, 4, "macro_f1", ORIGIN, QUICK, folds=4)
    assert np.bincount(fold).tolist() == [20] * 4
    found = spearmanr(predicted, TARGET).statistic
    assert found < 0.6 if kind == "baseline" else found > 0.75


def test_a_fold_is_predicted_without_its_own_scores():
    changed = TARGET.copy()
    predicted, fold = cross_validate(SUBJECTS, TARGET, "mlp", 4, "macro_f1", ORIGIN, QUICK, folds=4)
    changed[fold == 2] = 0.1
    again, _ = cross_validate(SUBJECTS, changed, "mlp", 4, "macro_f1", ORIGIN, QUICK, folds=4)
    assert np.array_equal(again[fold == 2], predicted[fold == 2])
    assert not np.array_equal(again[fold != 2], predicted[fold != 2])


@pytest.mark.parametrize("kind", PREDICTORS)
def test_a_file_gives_the_same_predictions(tmp_path, kind):
    fitted = [fit(SUBJECTS, TARGET, k, 4, "macro_f1", ORIGIN, FitSettings(epochs=2)) for k in PREDICTORS]
    path = save_predictors(fitted, tmp_path / "predictors.json")
    again = find(load_predictors(path), kind, 4)
    assert again.origin == ORIGIN and again.origin.training == Recipe(epochs=12)
    assert np.array_equal(again.predict(SUBJECTS[:9]), find(fitted, kind, 4).predict(SUBJECTS[:9]))


def test_files_that_hold_no_predictors_are_named(tmp_path):
    path = tmp_path / "p.json"
    with pytest.raises(RunError, match="Cannot read"):
        load_predictors(path)
    for text, words in (("{", "holds no predictors"), ('{"format_version": 99}', "version 99")):
        path.write_text(text)
        with pytest.raises(RunError, match=words):
            load_predictors(path)
    fitted = [fit(SUBJECTS, TARGET, "baseline", k, "macro_f1", ORIGIN, QUICK) for k in (4, 9)]
    with pytest.raises(SearchError, match="fitted for 7 epochs; there are some for 4, 9"):
        find(fitted, "baseline", 7)


def test_spearman_by_quintile_is_scipys():
    rng = np.random.default_rng(0)
    target = np.round(rng.uniform(size=53), 1)  # with ties
    predicted = np.round(target + rng.normal(0, 0.3, 53), 1)
    parts = quintiles(target)
    assert sorted(len(p) for p in parts) == [10, 10, 11, 11, 11]
    assert all(target[a].max() <= target[b].min() for a, b in pairwise(parts))
    for part in groups(target):
        with np.errstate(invalid="ignore"):
            expected = spearmanr(predicted[part], target[part]).statistic
        assert math.isclose(float(spearman(predicted[part], target[part])), expected, abs_tol=1e-12)


def test_bootstrap_intervals_hold_what_is_true():
    """Of 60 samples of a known correlation about 95 % of the intervals must hold it; and a gain is paired."""
    truth = 6 / math.pi * math.asin(0.6 / 2)  # Spearman of a normal pair with Pearson 0.6
    rng = np.random.default_rng(5)
    inside = 0
    for seed in range(60):
        x = rng.normal(size=100)
        y = 0.6 * x + 0.8 * rng.normal(size=100)
        found = correlation(x, y, seed, resamples=200)
        assert found.low < found.value < found.high
        inside += found.low <= truth <= found.high
    assert 52 <= inside <= 60
    nothing = difference(x, x, y, resamples=50)
    assert (nothing.value, nothing.low, nothing.high) == (0, 0, 0)
    assert math.isnan(correlation(x[:2], y[:2]).value)


@pytest.fixture(scope="module")
def assessment():
    return assess(ENTRIES, "macro_f1", [4, 12], ORIGIN, FitSettings(epochs=10, batch=80))


def test_an_assessment_has_every_predictor_in_every_group(assessment):
    found, fitted = assessment
    assert [(r.kind, r.epochs, r.group) for r in found.rows] == [
        (kind, epochs, group) for epochs in (4, 12) for kind in PREDICTORS for group in range(6)]
    assert [g.networks for g in found.groups] == [80, 16, 16, 16, 16, 16]
    assert all(g.twice == g.networks for g in found.groups)
    assert found.groups[0].ceiling.value > 0.95  # the noise of a target is small beside their spread
    assert found.groups[5].ceiling.value < found.groups[0].ceiling.value
    assert [(p.kind, p.epochs) for p in fitted] == [(kind, epochs) for epochs in (4, 12) for kind in PREDICTORS]
    json.dumps(found.to_dict(), allow_nan=False)


def test_a_gain_is_over_the_baseline_of_the_same_epochs(assessment):
    rows = {(r.kind, r.epochs, r.group): r for r in assessment[0].rows}
    for kind in PREDICTORS[1:]:
        for epochs in (4, 12):
            expected = rows[kind, epochs, 0].correlation.value - rows["baseline", epochs, 0].correlation.value
            assert math.isclose(rows[kind, epochs, 0].gain.value, expected)


def test_what_a_database_cannot_give_is_named():
    with pytest.raises(SearchError, match=r"trained for 12\."):
        assess(ENTRIES, "macro_f1", [13], ORIGIN, QUICK)
    with pytest.raises(SearchError, match="4 networks are too few"):
        assess(ENTRIES[:8], "macro_f1", [4], ORIGIN, QUICK)
