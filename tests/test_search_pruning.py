"""AutoSlim and Pruning-as-Search as strategies: same seed same ledger, resumable, within limits and effort, and only
filters differ from the backbone."""

from dataclasses import replace

import pytest
from rich.console import Console
from test_search import TINY, Killed, run, toy_windows

from harembed.errors import RunError, SearchError
from harembed.models.widths import widths, with_widths
from harembed.rundir import RunDir
from harembed.search.backbone import backbone
from harembed.search.effort import Effort, candidate_epochs
from harembed.search_job import SearchJob
from harembed.settings import load_settings
from harembed.stages import _candidate, _search_curves

# Backbones of 7,888 and 8,792 MACs; gates that need ten steps to close.
SMALL = replace(TINY, backbone=0.06, groups=2, macs=4_500, bilevel=replace(TINY.bilevel, gates_lr=5e-2))
STRATEGIES = ("autoslim", "pas")


@pytest.fixture(scope="module", params=STRATEGIES)
def whole(request, tmp_path_factory):
    path = tmp_path_factory.mktemp(request.param)
    return request.param, path, run(path, SMALL, strategy=request.param)


def ledger(path) -> bytes:
    return (path / "ledger.jsonl").read_bytes()


def test_same_seed_same_ledger(whole, tmp_path):
    strategy, path, result = whole
    again = run(tmp_path, SMALL, strategy=strategy)
    assert again.to_dict() == result.to_dict()
    assert ledger(tmp_path) == ledger(path)


@pytest.mark.parametrize("kill_at", [2, 12, 24])
def test_a_killed_search_resumes_to_the_same_result(whole, tmp_path, kill_at):
    strategy, path, result = whole
    with pytest.raises(Killed):
        run(tmp_path, SMALL, kill_at, strategy)
    assert run(tmp_path, SMALL, strategy=strategy).to_dict() == result.to_dict()
    assert ledger(tmp_path) == ledger(path)


def test_only_filters_differ_from_the_backbone(whole):
    _, _, result = whole
    backbones = {tail: backbone(tail, 32, 3, 3, SMALL.backbone) for tail in SMALL.tails}
    assert {c.architecture.tail.kind for c in result.candidates} == set(SMALL.tails)
    for c in result.candidates:
        whole_net = backbones[c.architecture.tail.kind]
        assert with_widths(c.architecture, widths(whole_net)) == whole_net
        assert all(w <= full for w, full in zip(widths(c.architecture), widths(whole_net), strict=True))


def test_candidates_stay_within_limits_and_the_search_within_its_effort(whole):
    strategy, _, result = whole
    assert all(c.scores.macs.value <= SMALL.macs for c in result.candidates)
    assert len({c.id for c in result.candidates}) == len(result.candidates) >= SMALL.entrants
    effort = Effort(SMALL, toy_windows())
    rounds = len({entry["round"] for entry in result.history})
    assert len(result.history) == rounds * SMALL.bilevel.epochs
    assert result.epochs_trained["super-net"] == rounds * getattr(effort, strategy)
    assert result.epochs_trained["candidates"] == sum(candidate_epochs(c, SMALL) for c in result.candidates)
    assert result.epochs_trained["total"] <= effort.budget


def test_a_report_can_tell_of_it(whole):
    strategy, _, result = whole
    found_by = {_candidate(c, 6, SMALL)["found_by"] for c in result.candidates}
    assert {"pruning, round 1", "pruning, round 2"} <= found_by
    curves = _search_curves(result)
    assert [c["ylabel"] for c in curves] == ["loss", *["thousand MACs"] * (strategy == "pas"), "macro F1, validation"]
    assert all(len(values) == SMALL.bilevel.epochs for c in curves[:-1] for values in c["series"].values())


def test_what_a_pruned_network_costs():
    effort = Effort(SMALL, toy_windows())
    # 72 windows of 4 subjects, 3 folds: 48 to train on. Gates learn from all in 4 epochs; a sandwich is four networks
    # on the 54 windows of 3 subjects.
    assert effort.pas == 4 * 72 // 48
    assert effort.autoslim == 4 * 4 * 54 // 48


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_impossible_limits_are_named(tmp_path, strategy):
    with pytest.raises(SearchError, match=r"bytes of RAM \(limit 40\)") as refused:
        run(tmp_path, replace(SMALL, ram_bytes=40, tails=("tinyhar",)), strategy=strategy)
    assert "--backbone" in refused.value.hint


def test_a_larger_budget_prunes_more_networks(tmp_path):
    start = Effort(SMALL, toy_windows()).budget
    settings = replace(SMALL, tails=("tinyhar",), newcomers=0, train_epochs=start)
    result = run(tmp_path, settings, strategy="pas")
    assert len({entry["round"] for entry in result.history}) > 1
    assert result.epochs_trained["total"] <= start


@pytest.mark.parametrize("strategy, refused", [("sftnas", True), ("random", True), ("pas", False),
                                               ("autoslim", False)])
def test_a_backbone_is_for_strategies_that_prune(tmp_path, strategy, refused):
    settings = load_settings(None, {"strategy": strategy, "backbone": 0.5, "board": "host"})
    job = SearchJob(settings, RunDir(tmp_path), None, None, Console())
    if refused:
        with pytest.raises(RunError, match="--backbone"):
            job.check()
    else:
        job.check()


def test_a_backbone_beyond_full_size_is_refused():
    with pytest.raises(RunError, match="backbone"):
        load_settings(None, {"strategy": "pas", "backbone": 1.5})
