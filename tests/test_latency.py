"""The latency model: its terms count what kernels do, its fit is a fit, and a search keeps to a limit by it."""

import random
from dataclasses import replace

import numpy as np
import pytest
from test_search import TINY, run

from harembed.board import load_board
from harembed.build import build_firmware
from harembed.cost.dims import dims_of
from harembed.cost.latency import load_latency_model
from harembed.cost.latency_design import designed_layers, side_by_side
from harembed.cost.latency_fit import Observation, fit_goal, relative_errors
from harembed.cost.macs import total_macs
from harembed.cost.regression import fit_relative
from harembed.cost.work import COUNTERS, Work, work_of
from harembed.cost.work_conv import border_tiles
from harembed.errors import BoardError
from harembed.export.csource import generate
from harembed.export.untrained import untrained_graph
from harembed.harness.simulate import simulate_board
from harembed.ir.ops import OPS
from harembed.ir.ops.base import GOALS
from harembed.ir.ops.conv import Conv2D, Conv2DAttrs
from harembed.rundir import RunDir
from harembed.search.candidate import Ledger
from harembed.search.latency import LatencyPredictor
from harembed.search.newcomers import draw
from harembed.search.score import cost_scores, violations
from harembed.space import Architecture, ConvTail, TemporalConv, TinyHarTail

NUCLEO = load_board("nucleo_l552ze_q")
CHEAP = Architecture(96, (0, 1, 4, 5, 7), "same", (TemporalConv(5, 2, 6), TemporalConv(3, 2, 9)),
                     ConvTail(21, (TemporalConv(3, 1, 19),)), 5)
DEAR = replace(CHEAP, tail=TinyHarTail(13), padding="valid")


def test_coefficients_come_back_from_their_own_predictions():
    rng = np.random.default_rng(0)
    counts = rng.integers(0, 50, (40, 6)).astype(float)
    true = np.array([3.0, 0.0, 7.5, 0.25, 0.0, 40.0])
    observed = counts @ true + 1.0
    assert fit_relative(counts, counts @ true + 1e-9) == pytest.approx(true, abs=1e-6)
    noisy = fit_relative(counts, observed * rng.uniform(0.9, 1.1, 40))
    assert (noisy >= 0).all()
    assert noisy == pytest.approx(true, abs=4.0)


def test_the_error_is_found_on_layers_that_were_not_fitted():
    work = [Work("k", {"calls": 1.0, "steps": float(n)}) for n in range(1, 17)]
    observed = [Observation(w, int(10 + 3 * w.terms["steps"]), 100) for w in work]
    spoilt = [replace(o, instructions=2 * o.instructions) if i % 4 == 3 else o for i, o in enumerate(observed)]
    entry = fit_goal(spoilt)
    assert entry["kinds"]["k"]["coefficients"]["steps"][0] == pytest.approx(3.0, abs=1e-3)
    assert entry["held_out"]["instructions"]["mean_percent"] == pytest.approx(50.0, abs=0.1)
    assert entry["held_out"]["layers"] == 4


@pytest.mark.parametrize("seed", range(30))
def test_border_positions_are_those_whose_patch_leaves_the_input(seed):
    """Beside the kernel's own bounds: every tap of every position is looked at."""
    rng = np.random.default_rng(seed)
    h, w, kh, kw = (int(n) for n in rng.integers(1, 9, 4))
    stride = tuple(int(n) for n in rng.integers(1, 4, 2))
    graph = Conv2D.case("c", h, w, 3, 4, kh, kw, Conv2DAttrs(stride, padding="same")).build(rng)
    p = OPS["conv_2d"].dsp(graph, graph.nodes[0], "balanced").params
    if p.positions < 4:
        return
    outside = []
    for start in [min(s, p.positions - 4) for s in range(0, p.positions, 4)]:
        for position in range(start, start + 4):
            top = position // p.geometry.output_w * stride[0] - p.geometry.pad_top
            left = position % p.geometry.output_w * stride[1] - p.geometry.pad_left
            outside.append(top < 0 or left < 0 or top + kh > h or left + kw > w)
    tiles, clipped = border_tiles(p)
    assert clipped == sum(outside)
    assert sum(any(outside[i : i + 4]) for i in range(0, len(outside), 4)) <= tiles <= len(outside) // 4


def test_every_operator_is_counted_and_fitted():
    assert set(COUNTERS) == {name for name, op in OPS.items() if not op.view}
    model = load_latency_model(NUCLEO)
    for name, op in OPS.items():
        for case in op.CASES if not op.view else ():
            graph = case.build(np.random.default_rng(0))
            for goal in GOALS:
                work = work_of(graph, graph.nodes[0], goal)
                assert work.kind in model.coefficients[goal], (name, case.name)
                assert min(work.terms.values()) >= 0


def test_whatever_a_search_may_draw_is_predicted():
    model, rng = load_latency_model(NUCLEO), random.Random(0)
    drawn = [a for a in (draw(rng, 96, 7, 5, ("conv", "tinyhar")) for _ in range(40)) if a is not None]
    for i, arch in enumerate(drawn):
        prediction = model.predict(untrained_graph(arch), GOALS[i % 3])
        macs = total_macs(dims_of(arch))
        assert 0.8 < prediction.cycles / macs < 60.0, arch.describe()


def test_layers_side_by_side_are_what_they_were_alone():
    layers = designed_layers()[::60]
    graph, names = side_by_side("some", layers)
    nodes = {n.name: n for n in graph.nodes}
    for layer, name in zip(layers, names, strict=True):
        for goal in GOALS:
            assert work_of(graph, nodes[name], goal) == work_of(layer, layer.nodes[0], goal)


@pytest.mark.arm_gcc
@pytest.mark.parametrize("arch", [CHEAP, DEAR], ids=["cheap", "dear"])
def test_a_network_takes_as_long_as_predicted(arch, tmp_path):
    graph = untrained_graph(arch)
    predicted = load_latency_model(NUCLEO).predict(graph)
    found = simulate_board(build_firmware(generate(graph), NUCLEO, tmp_path, "gcc").elf, NUCLEO)
    assert predicted.instructions == pytest.approx(found.instructions.median, rel=0.12)
    assert predicted.cycles == pytest.approx(found.cycles.median, rel=0.12)
    assert predicted.latency_us == pytest.approx(found.cycles.latency_us, rel=0.12)


def test_a_board_without_a_model_is_named(tmp_path):
    with pytest.raises(BoardError, match=r"mps2_an505 has no latency model.*mps2_an505\.latency\.json"):
        load_latency_model(load_board("mps2_an505"))
    damaged = tmp_path / "x.json"
    damaged.write_text('{"format_version": 1, "backends": {"own": {}}}')
    with pytest.raises(BoardError, match="damaged"):
        load_latency_model(NUCLEO, path=damaged)
    with pytest.raises(BoardError, match="'tflm'"):
        load_latency_model(NUCLEO, "tflm")


def test_predictions_leave_the_generator_of_pytorch_alone():
    import torch

    torch.manual_seed(1)
    untrained_graph(CHEAP)
    after = torch.rand(3)
    torch.manual_seed(1)
    assert torch.equal(after, torch.rand(3))


def test_a_search_keeps_to_a_latency(tmp_path):
    predictor = LatencyPredictor(load_latency_model(NUCLEO), "balanced")
    limit = 450.0
    limited = replace(TINY, latency_us=limit, predict_us=predictor.latency_us,
                      cycles_per_mac=predictor.cycles_per_mac(32, 3, 3, TINY.tails))
    assert 1.0 < limited.cycles_per_mac < 20.0
    result = run(tmp_path, limited)
    candidates = [result.best, *Ledger(RunDir(tmp_path)).candidates]
    for c in candidates:
        assert c.scores.latency_us.value == pytest.approx(predictor.latency_us(c.architecture))
        assert c.scores.latency_us.value <= limit
    slow = cost_scores(CHEAP, replace(limited, macs=10**9))
    assert violations(CHEAP, slow, replace(limited, macs=10**9)) == [
        f"{slow.latency_us.value:,.0f} us (limit 450, estimated)"]


def test_terms_that_were_never_fitted_are_named():
    model = load_latency_model(NUCLEO)
    with pytest.raises(BoardError, match="made up"):
        model.evaluate("balanced", "softmax", {"calls": 1.0, "made up": 2.0})
    assert relative_errors({"a": (1.0, 2.0)}, Observation(Work("k", {"a": 5.0}), 10, 10)) == (-0.5, 0.0)
