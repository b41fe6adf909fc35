"""Confidence: what its error is, the temperature that mends it, and the output of the firmware that carries it."""

import numpy as np
import pytest
import torch
from torchmetrics.functional.classification import multiclass_calibration_error

from harembed.compress.temperature import enough
from harembed.data.recording import Windows
from harembed.errors import GraphError
from harembed.export.oracles import run_tflm
from harembed.export.tflite import write_tflite
from harembed.ir.confidence import with_confidence
from harembed.ir.graph import GraphBuilder, IntGraph, Kind, QParams
from harembed.ir.interpreter import Interpreter
from harembed.ir.ops.rearrange import ReshapeAttrs
from harembed.train.calibration import calibration, fit_temperature, probabilities


def drawn(temperature: float, windows: int = 20_000, classes: int = 5) -> tuple[np.ndarray, np.ndarray]:
    """Logits, and classes as often as their softmax over the temperature says."""
    rng = np.random.default_rng(3)
    logits = rng.normal(0, 3, (windows, classes))
    cumulated = probabilities(logits, temperature).cumsum(axis=1)
    return logits, (rng.random((windows, 1)) > cumulated).sum(axis=1).clip(max=classes - 1)


def test_calibration_error_by_hand() -> None:
    confident = np.array([[0.95, 0.05], [0.95, 0.05], [0.45, 0.55], [0.35, 0.65]])
    found = calibration(confident, np.array([0, 1, 1, 1]), 0)
    assert found.error == pytest.approx((abs(1 - 1.9) + 0.45 + 0.35) / 4)
    assert [(b.windows, b.confidence, b.accuracy) for b in found.bins if b.windows] == [
        (1, pytest.approx(0.55), 1.0), (1, pytest.approx(0.65), 1.0), (2, pytest.approx(0.95), 0.5)]


def test_calibration_error_is_that_of_torchmetrics() -> None:
    logits, truth = drawn(2.0)
    p = probabilities(logits)
    theirs = multiclass_calibration_error(torch.as_tensor(p), torch.as_tensor(truth), p.shape[1], n_bins=10)
    found = calibration(p, truth, 0)
    assert found.error == pytest.approx(float(theirs), abs=1e-6)
    assert found.interval[0] < found.error < found.interval[1]


@pytest.mark.parametrize("temperature", [0.4, 1.0, 3.0])
def test_the_temperature_that_made_the_classes_is_found(temperature: float) -> None:
    logits, truth = drawn(temperature)
    found = fit_temperature(logits, truth)
    assert found == pytest.approx(temperature, rel=0.03)
    assert calibration(probabilities(logits, found), truth, 0).error < 0.01


def scores_of(classes: int, labels: int) -> IntGraph:
    g = GraphBuilder("scores")
    g.tensor("input", (1, 1, classes), kind=Kind.INPUT, qparams=QParams((0.11,), 4))
    g.tensor("logits", (1, classes), qparams=QParams((0.11,), 4))
    g.node("reshape", ["input"], ["logits"], ReshapeAttrs((1, classes)))
    return g.build(["input"], ["logits"], labels=[f"class {i}" for i in range(labels)])


def test_the_graph_says_how_sure_it_is_and_keeps_its_scores() -> None:
    graph = with_confidence(scores_of(6, 6), 0.7)
    x = np.random.default_rng(1).integers(-128, 128, (200, 1, 6), np.int8)
    scores, confidence = Interpreter(graph).run(x)
    assert graph.outputs == ("logits", "confidence")
    assert (scores.reshape(200, 6) == x.reshape(200, 6)).all()
    for ours, theirs in zip((scores, confidence), run_tflm(write_tflite(graph), [x]), strict=True):
        assert (ours == theirs.reshape(ours.shape)).all()
    real = probabilities(0.11 * (scores.reshape(200, 6).astype(float) - 4), 0.7)
    assert np.abs((confidence.reshape(200, 6).astype(float) + 128) / 256 - real).max() <= 1 / 256


def test_a_graph_without_a_score_for_each_label_has_no_confidence() -> None:
    with pytest.raises(GraphError, match="outputs logits and 5 labels"):
        with_confidence(scores_of(6, 5), 1.0)


@pytest.mark.parametrize("people,thirds", [((7, 7, 7), 1), ((3, 2, 2), 3), ((4, 4, 3), 2), ((1, 1, 1), 3)])
def test_few_people_are_held_out_in_turn_until_there_are_six(people: tuple[int, ...], thirds: int) -> None:
    def part(count: int) -> Windows:
        names = np.array([f"p{i}" for i in range(count)])
        return Windows(np.zeros((count, 4, 1), np.int16), np.zeros(count, np.int64), names, names)

    assert len(enough([part(count) for count in people])) == thirds
