"""Strategy dqn as a whole: same seed same ledger, resumable, in several processes, within limits; with a predictor of
a database of its own, which is resumable, too."""

from dataclasses import replace

import pytest
from rich.console import Console
from test_cli import csv_folder
from test_search import TINY, Killed, run, toy_windows

from harembed import predictor as verbs
from harembed.dqn_job import predictor_of
from harembed.errors import RunError, SearchError
from harembed.feature_graph import FeatureGraph, GraphConv
from harembed.rundir import RunDir
from harembed.search.candidate import Ledger, architecture_id, derived_seed
from harembed.search.contest import open_contest
from harembed.search.dqn.judge import Judge, prepare, work
from harembed.search.dqn.settings import DqnSettings
from harembed.search.effort import Effort, candidate_epochs
from harembed.search.predictors.assessment import assess
from harembed.search.predictors.database import FILE, build, pairs, read_entries
from harembed.search.predictors.fitting import FitSettings
from harembed.search.predictors.predictor import Origin, Predictor, find
from harembed.search.predictors.training import divide, train_with_curve
from harembed.settings import RunSettings
from harembed.space import ConvTail, DeepConvLstmTail, GraphArchitecture
from harembed.train.recipe import Recipe

SPACE = DqnSettings(filters=(2, 4), max_layers=3, tail=DeepConvLstmTail(4, layers=1), episodes=200, at_once=3,
                    learning_steps=40, batch=8, memory=100)
EVALUATIONS = 10
SMALL = replace(TINY, dqn=SPACE, macs=9_000,
                train_epochs=Effort(TINY, toy_windows()).judging + EVALUATIONS * TINY.recipe.epochs)


def ledger(path) -> bytes:
    return (path / "ledger.jsonl").read_bytes()


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    path = tmp_path_factory.mktemp("dqn")
    return path, run(path, SMALL, strategy="dqn")


def test_same_seed_same_ledger_in_two_processes(whole, tmp_path):
    again = run(tmp_path, replace(SMALL, processes=2), strategy="dqn")
    assert again.to_dict() == whole[1].to_dict()
    assert ledger(tmp_path) == ledger(whole[0])


@pytest.mark.parametrize("kill_at", [0, 4, 9, 12, 14])
def test_a_killed_search_resumes_to_the_same_result(whole, tmp_path, kill_at):
    with pytest.raises(Killed):
        run(tmp_path, SMALL, kill_at, "dqn")
    assert run(tmp_path, SMALL, strategy="dqn").to_dict() == whole[1].to_dict()
    assert ledger(tmp_path) == ledger(whole[0])


def test_networks_stay_within_limits_and_the_search_within_its_effort(whole):
    _, result = whole
    assert all(isinstance(c.architecture, GraphArchitecture) for c in result.candidates)
    assert all(c.scores.macs.value <= SMALL.macs for c in result.candidates)
    assert any("MACs (limit 9,000)" in wrong for _, wrong in result.rejected)
    assert sum(len(c.scores.reward_f1) for c in result.candidates) == EVALUATIONS
    assert all(c.scores.reward_f1 == c.scores.macro_f1 for c in result.candidates)
    assert len(result.best.scores.final_f1) == SMALL.folds
    epochs = sum(candidate_epochs(c, SMALL) for c in result.candidates)
    assert result.epochs_trained["total"] == epochs <= (SMALL.train_epochs or 0)


def test_another_seed_searches_elsewhere(whole, tmp_path):
    other = run(tmp_path, replace(SMALL, seed=1), strategy="dqn")
    assert {c.id for c in other.candidates} != {c.id for c in whole[1].candidates}


def test_random_networks_of_the_same_space_for_comparison(whole, tmp_path):
    drawn = run(tmp_path, replace(SMALL, dqn=replace(SPACE, policy="random")), strategy="dqn")
    assert drawn.epochs_trained["total"] <= SMALL.train_epochs
    assert [c.id for c in drawn.candidates] != [c.id for c in whole[1].candidates]


def test_impossible_limits_are_named(tmp_path):
    with pytest.raises(SearchError, match=r"bytes of RAM \(limit 40\)"):
        run(tmp_path, replace(SMALL, ram_bytes=40, dqn=replace(SPACE, episodes=30)), strategy="dqn")


def graphs(*filters: int) -> list[FeatureGraph]:
    return [FeatureGraph((GraphConv(3, 0, f),)) for f in filters]


def test_a_network_is_trained_three_times_then_its_mean_is_told(tmp_path):
    settings = replace(SMALL, recipe=Recipe(epochs=6, batch=8, learning_rate=1e-2),
                       dqn=replace(SPACE, metric="weighted_f1", tail=ConvTail(8)))
    trained = []

    def told(stage, done, of, figures):
        trained.append(done)

    with open_contest(toy_windows(), settings, RunDir(tmp_path), told, prepare, (None,), work) as contest:
        judge = Judge(contest, toy_windows(), 6)
        first = judge.rewards(graphs(2, 2, 4, 64), 0)  # the last one is beyond the limit
        second = judge.rewards(graphs(2, 2, 2), 4)
        assert (judge.left, trained) == (2, [1, 2, 3, 4])
        one, two, _, beyond = first
        assert len({one, two, second[0]}) == 3  # other random numbers each time
        assert second[1] == second[2] == pytest.approx((one + two + second[0]) / 3)
        assert beyond < 0
        third = judge.rewards(graphs(4, 4, 4, 2), 7)
        assert len(third) == 4 and judge.left == 0
        assert len(judge.rewards(graphs(2, 8, 2), 11)) == 1  # the second one is new, and nothing is left
        best, worse = judge.field()
        assert best.scores.mean_reward_f1 >= worse.scores.mean_reward_f1
    found = {c.id: c for c in Ledger(RunDir(tmp_path)).candidates}
    assert all(len(c.scores.reward_f1) == 3 for c in found.values())
    assert any(c.scores.reward_f1 != c.scores.macro_f1 for c in found.values())


RECIPE = Recipe(epochs=3, batch=16)
DATABASE = replace(SMALL, seed=5)


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    path = tmp_path_factory.mktemp("database")
    return path, build(toy_windows(), DATABASE, RECIPE, 10, 3, path)


def test_the_people_of_a_database_are_divided_in_three():
    division = divide(toy_windows(), 0, ())
    assert [len(division.fold.y), len(division.fold.y_val), len(division.y_target)] == [36, 18, 18]
    assert len(toy_windows()) == 72


def test_a_database_goes_on_where_it_was_and_grows(database, tmp_path):
    path, entries = database
    assert [(e.number, e.run) for e in entries] == [(i, 0) for i in range(10)] + [(i, 1) for i in range(3)]
    assert len(pairs(entries)) == 3 and pairs(entries)[0][0].target != pairs(entries)[0][1].target
    lines = (path / FILE).read_bytes().splitlines(keepends=True)
    (tmp_path / FILE).write_bytes(b"".join(lines[:4]) + lines[4][:30])  # killed in the middle of a line
    assert len(build(toy_windows(), DATABASE, RECIPE, 6, 0, tmp_path)) == 6
    build(toy_windows(), DATABASE, RECIPE, 10, 3, tmp_path)
    assert (tmp_path / FILE).read_bytes() == b"".join(lines)
    with pytest.raises(RunError, match="other networks"):
        build(toy_windows(), replace(DATABASE, seed=6), RECIPE, 10, 3, tmp_path)
    (tmp_path / FILE).write_text('{"number": 0}\n')
    with pytest.raises(RunError, match="jsonl:1 is no entry"):
        read_entries(tmp_path / FILE)


def test_first_epochs_are_those_of_the_whole_training(database):
    entry = database[1][0]
    division = divide(toy_windows(), DATABASE.seed, ())
    seed = derived_seed(DATABASE.seed, architecture_id(entry.architecture), "database", 0)
    early = train_with_curve(division.fold, entry.architecture, RECIPE, seed, 2)
    assert early.curve.macro_f1 == entry.curve.macro_f1[:2] and early.curve.train_loss == entry.curve.train_loss[:2]
    assert len(entry.curve) == 3 and early.target is None


def predictor(database) -> Predictor:
    origin = Origin("toy", 32, 3, 3, DATABASE.seed, SPACE.max_layers, RECIPE.to_dict(), 10)
    _, fitted = assess(database[1], "macro_f1", [1], origin, FitSettings(epochs=3))
    return find(fitted, "mlp-struct", 1)


def test_a_search_by_predicted_scores_trains_less_and_resumes(database, tmp_path):
    settings = replace(SMALL, recipe=replace(RECIPE, epochs=1), dqn=replace(SPACE, predictor=predictor(database)),
                       train_epochs=Effort(TINY, toy_windows()).judging + EVALUATIONS)
    result = run(tmp_path / "whole", settings, strategy="dqn")
    assert sum(len(c.scores.reward_f1) for c in result.candidates) == EVALUATIONS
    assert any(c.scores.reward_f1 != c.scores.macro_f1 for c in result.candidates)
    assert result.epochs_trained["total"] <= settings.train_epochs
    with pytest.raises(Killed):
        run(tmp_path / "killed", settings, 5, "dqn")
    assert run(tmp_path / "killed", settings, strategy="dqn").to_dict() == result.to_dict()
    assert ledger(tmp_path / "killed") == ledger(tmp_path / "whole")


def test_predictors_of_other_recordings_or_metrics_are_refused(database, tmp_path):
    known = predictor(database)
    for change, words in ((replace(known, origin=replace(known.origin, window=64)), "window = 64"),
                          (replace(known, metric="weighted_f1"), "predicts weighted_f1")):
        settings = replace(SMALL, recipe=replace(RECIPE, epochs=1), dqn=replace(SPACE, predictor=change))
        with pytest.raises(SearchError, match=words):
            run(tmp_path, settings, strategy="dqn")


def test_from_recordings_to_predictors_in_two_commands(tmp_path):
    settings = RunSettings(board="host", dataset=f"csv:{csv_folder(tmp_path / 'own')}", window=50, hop=25,
                           strategy="dqn", tail="conv", filters=(2,), hidden=4, max_layers=2)
    out, console = tmp_path / "database", Console(quiet=True)
    with pytest.raises(RunError, match="holds no database"):
        verbs.fit(out, [1], None, console)
    found = verbs.database(settings, out, 10, 4, 1, 1, None, console)
    assert len(found) == 14
    assert verbs.database(settings, out, 10, 4, 1, 1, None, console) == found  # nothing was left to do
    with pytest.raises(RunError, match="epochs = 1, now 2"):
        verbs.database(settings, out, 10, 4, 2, 1, None, console)
    assessment = verbs.fit(out, [1], None, console, FitSettings(epochs=2))
    assert (assessment.metric, assessment.networks, assessment.groups[0].twice) == ("macro_f1", 10, 4)
    assert "best 20 %" in (out / "assessment.svg").read_text()
    file = out / "predictors.json"
    run_folder = RunDir(tmp_path / "run")
    asked = settings.model_copy(update={"predictor": str(file), "predict_at": 1, "predict_with": "cnn"})
    assert predictor_of(asked, run_folder).origin.networks == 10
    run_folder.write("predictors.json", "{}")  # the copy of another file
    with pytest.raises(RunError, match="has changed"):
        predictor_of(asked, run_folder)
