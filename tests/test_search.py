"""The search: same seed same ledger, resumable at any point, within limits, and the memory loss works."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from rich.console import Console

from harembed.cost.dims import dims_of
from harembed.cost.live_sets import peak_bytes
from harembed.cost.macs import layer_macs
from harembed.data.recording import Windows
from harembed.errors import RunError, SearchError
from harembed.models import build_model
from harembed.rundir import RunDir
from harembed.search import STRATEGIES, search
from harembed.search.bilevel import complexity_loss, memory_loss
from harembed.search.candidate import Candidate, Figure, Ledger, Scores, pareto
from harembed.search.derive import derive_architecture
from harembed.search.select import choose
from harembed.search.settings import SearchSettings, desk
from harembed.search.sftnas import train_supernet
from harembed.search_job import SearchJob
from harembed.settings import RunSettings
from harembed.space import Architecture, ConvTail, TemporalConv
from harembed.stages import search_settings
from harembed.train.recipe import Recipe

TINY = SearchSettings(
    bilevel=replace(desk(), epochs=4, batch=16, macs_rungs=(1.0, 0.5)), recipe=Recipe(epochs=2, batch=16),
    final_recipe=Recipe(epochs=3, batch=16), processes=1,
    filters=(2, 4), candidates=4, samples=2, folds=3, entrants=3, finalists=2, generations=2, children=2, parents=2,
    macs=100_000)


def toy_windows(subjects: int = 4, per_class: int = 6, window: int = 32) -> Windows:
    """Three classes of oscillation on three channels, of which the last is noise."""
    rng = np.random.default_rng(1)
    t = np.arange(window)
    raw, y, who = [], [], []
    for s in range(subjects):
        for label in range(3):
            for _ in range(per_class):
                phase, gain = rng.uniform(0, 6), rng.uniform(800, 1200)
                wave = gain * np.sin(2 * np.pi * (1 + 2 * label) * t / window + phase)
                x = np.stack([wave, gain * np.cos(wave / gain), rng.normal(0, 1000, window)], 1)
                raw.append((x + rng.normal(0, 100, x.shape)).astype(np.int16))
                y.append(label)
                who.append(f"s{s}")
    names = np.array(who)
    return Windows(np.stack(raw), np.array(y, np.int64), names, names)


class Killed(Exception):
    pass


def run(path, settings=TINY, kill_at: int | None = None, strategy: str = "sftnas"):
    """Search into a folder; stop dead at the kill_at-th report of progress."""
    count = 0

    def progress(stage, done, of, figures):
        nonlocal count
        if count == kill_at:
            raise Killed
        count += 1
        assert stage in STRATEGIES[strategy].parts and done <= of

    return search(toy_windows(), settings, RunDir(path), progress, strategy)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    path = tmp_path_factory.mktemp("whole")
    return path, run(path)


def test_same_seed_same_result(whole, tmp_path):
    path, result = whole
    assert run(tmp_path).to_dict() == result.to_dict()
    assert (tmp_path / "ledger.jsonl").read_bytes() == (path / "ledger.jsonl").read_bytes()


def test_two_processes_give_the_ledger_of_one(whole, tmp_path):
    run(tmp_path, replace(TINY, processes=2))
    assert (tmp_path / "ledger.jsonl").read_bytes() == (whole[0] / "ledger.jsonl").read_bytes()


@pytest.mark.parametrize("kill_at", [0, 2, 3, 5, 8, 10, 13])
def test_a_killed_search_resumes_to_the_same_result(whole, tmp_path, kill_at):
    path, result = whole
    with pytest.raises(Killed):
        run(tmp_path, kill_at=kill_at)
    assert run(tmp_path).to_dict() == result.to_dict()
    assert (tmp_path / "ledger.jsonl").read_bytes() == (path / "ledger.jsonl").read_bytes()


def test_result_stays_within_limits_and_its_weights_fit(whole):
    _, result = whole
    assert result.best.scores.macs.value <= TINY.macs
    assert len(result.best.scores.final_f1) == TINY.folds
    model = build_model(result.best.architecture)
    if result.weights is not None:
        model.load_state_dict(result.weights)
    x = torch.zeros(2, 1, len(result.best.architecture.channels), 32)
    assert model(x).shape == (2, 3)


def test_a_super_net_that_is_too_large_is_narrowed(tmp_path):
    """Without a price on MACs nothing that it proposes by itself fits."""
    small = replace(TINY, macs=800, samples=1, newcomers=0, generations=0,
                    bilevel=replace(TINY.bilevel, beta1=(0.0,), gates_lr=0.0))
    result = run(tmp_path, small)
    assert {c.origin["drawn"] for c in result.candidates} == {"narrowed"}
    assert all(c.scores.macs.value <= 800 for c in result.candidates)
    assert all("MACs (limit 800)" in wrong for _, wrong in result.rejected)


def test_a_limit_of_channels_holds_at_the_end_of_the_super_net_and_after_a_kill(tmp_path):
    limited = replace(TINY, channels=1)
    result = run(tmp_path / "whole", limited)
    assert {len(c.architecture.channels) for c in result.candidates} == {1}
    assert any("epoch" in c.origin for c in result.candidates)  # of the super-net
    with pytest.raises(Killed):
        run(tmp_path / "killed", limited, kill_at=2)
    assert run(tmp_path / "killed", limited).to_dict() == result.to_dict()


def test_impossible_limits_are_named(tmp_path):
    with pytest.raises(SearchError, match=r"bytes of RAM \(limit 40\)"):
        run(tmp_path, replace(TINY, ram_bytes=40))


def test_memory_loss_makes_the_network_fit(tmp_path):
    """At half of the peak of an unconstrained search the found network fits; with beta2 = 0 it does not."""
    bilevel = replace(desk(), epochs=12, batch=16, beta1=(0.0,), alpha_lr=0.1, gates_lr=3e-2)
    free = replace(TINY, bilevel=bilevel, ram_bytes=10**9, filters=(4, 8), tails=("conv",))

    def peak(name, settings):
        trained = train_supernet(toy_windows(), settings, RunDir(tmp_path / name), lambda *_: None)
        return trained.history[-1]["peak_bytes"]

    limit = int(peak("free", free)) // 2
    assert peak("with", replace(free, ram_bytes=limit)) <= limit
    assert peak("without", replace(free, ram_bytes=limit, bilevel=replace(bilevel, beta2=0.0))) > limit


def test_losses_are_those_of_the_paper(tmp_path):
    net = train_supernet(toy_windows(), replace(TINY, bilevel=replace(TINY.bilevel, epochs=1, warm_up=0.0)),
                         RunDir(tmp_path), lambda *_: None).net
    choice = net.most_likely()
    dims = dims_of(derive_architecture(net, choice))
    peak = peak_bytes(dims)
    with torch.no_grad():
        _check_losses(net, choice, dims, peak)


def _check_losses(net, choice, dims, peak):
    assert float(memory_loss(net, choice, peak)) == 0.0
    assert float(memory_loss(net, choice, peak / 4)) == pytest.approx(np.log(4), rel=1e-5)
    squares = sum(m**2 for m in layer_macs(dims))
    assert float(complexity_loss(net, choice, 1e6)) == pytest.approx(squares / 1e12, rel=1e-4)
    assert float(complexity_loss(net, choice, 10.0)) == pytest.approx(1 + np.log(squares / 100), rel=1e-4)


def candidate(macs: float, *f1: float) -> Candidate:
    arch = Architecture(32, (0,), "same", (TemporalConv(3, 2, int(macs)),), ConvTail(4), 3)
    zero = Figure(0.0, "estimated")
    return Candidate(arch, Scores(Figure(macs, "estimated"), zero, zero, zero, zero,
                                  final_f1=tuple(Figure(f, "estimated") for f in f1)))


def test_choice_prefers_the_cheaper_of_equals():
    best = candidate(9, 0.90, 0.95, 0.92)
    near = candidate(5, 0.91, 0.93, 0.92)  # deficit 0.003 +- 0.009
    worse = candidate(2, 0.80, 0.85, 0.82)
    assert choose([worse, near, best], 1.0) is near
    assert choose([worse, near, best], 0.0) is best


def test_pareto_front():
    a, b, c, d = candidate(1, 0.5), candidate(2, 0.4), candidate(3, 0.7), candidate(4, 0.7)
    assert pareto([d, c, b, a], lambda x: x.scores.macs.value) == [a, c]


def test_ledger_reads_back_and_refuses_damage(tmp_path):
    ledger = Ledger(RunDir(tmp_path))
    ledger.append(candidate(3, 0.5))
    ledger.append(candidate(4))
    ledger.append(candidate(4, 0.6))
    again = Ledger(RunDir(tmp_path))
    assert [c.to_dict() for c in again.candidates] == [candidate(3, 0.5).to_dict(), candidate(4, 0.6).to_dict()]
    (tmp_path / "ledger.jsonl").write_text('{"id": 1}\n')
    with pytest.raises(RunError, match=r"ledger.jsonl:1"):
        Ledger(RunDir(tmp_path))


def test_rotation_reaches_every_training(tmp_path):
    def recipes(**asked):
        job = SearchJob(RunSettings(**asked), RunDir(tmp_path), None, None, Console(quiet=True))
        settings = search_settings(job)
        return [settings.recipe.rotation, settings.final_recipe.rotation, job.recipe(80).rotation]

    assert recipes() == 3 * [Recipe().rotation]
    assert recipes(rotation=0.5) == [0.5, 0.5, 0.5]
    assert recipes(rotation=0.0) == [0.0, 0.0, 0.0]
