"""Networks built from architectures, and their training: shapes, definitions, repeatability, learning."""

import numpy as np
import pytest
import torch

from harembed.data.recording import Channel, vectors
from harembed.errors import DataError, RunError, SearchError
from harembed.feature_graph import FeatureGraph, GraphConcat, GraphConv, GraphPool
from harembed.ir.ops.conv import output_length
from harembed.lego import Lego
from harembed.models import build_model
from harembed.nn.attention import SensorAttention, TemporalAggregation, TemporalAttention
from harembed.nn.centres import Centres, centre_loss
from harembed.nn.temporal import conv_over_time, same_padding
from harembed.space import (
    Architecture,
    AttendTail,
    ConvTail,
    DeepConvLstmTail,
    GraphArchitecture,
    Network,
    ResNetTail,
    TemporalConv,
    TinyHarTail,
    temporal_length,
)
from harembed.train.augment import Sensors, draw_turns, rotation_matrices, turn
from harembed.train.loop import normalise, predict, state_from_bytes, state_to_bytes, train
from harembed.train.metrics import scores
from harembed.train.recipe import Recipe

torch.set_num_threads(1)
C = TemporalConv
ARCHITECTURES: dict[str, Network] = {
    "same": Architecture(32, (0, 1, 2), "same", (C(5, 2, 4), C(3, 1, 6)), ConvTail(8, (C(3, 1, 5),)), 3),
    "valid_odd": Architecture(31, (2, 0), "valid", (C(5, 2, 4), C(1, 1, 3), C(7, 1, 5)), ConvTail(6), 2),
    "one_sensor": Architecture(20, (1,), "same", (C(7, 2, 3), C(5, 2, 3)), ConvTail(4, (C(3, 2, 4),)), 2),
    "lego": Architecture(32, (0, 1, 2), "same", (C(5, 2, 4), C(3, 2, 7)), ConvTail(8, (C(3, 1, 6),)), 3,
                         Lego(4, 0.4)),  # the fusion, of seven inputs, stays dense
    "lego_tinyhar": Architecture(24, (0, 1, 3), "valid", (C(5, 2, 4), C(3, 1, 6)), TinyHarTail(6), 3, Lego(2, 0.5)),
    "xnor": Architecture(32, (0, 1, 2), "same", (C(5, 2, 16), C(3, 2, 17)), ConvTail(40, (C(3, 1, 12),)), 3,
                         xnor=True),
    "resnet": Architecture(20, (0, 2, 3), "same", (), ResNetTail(6, 2, 5), 3),
    "resnet_xnor": Architecture(20, (0, 2, 3), "same", (), ResNetTail(16, 2, 5), 3, xnor=True),
    "tinyhar": Architecture(24, (0, 1, 2, 3), "same", (C(5, 2, 4), C(5, 1, 4)), TinyHarTail(6), 3),
    "deepconvlstm": Architecture(24, (0, 2, 3), "same", (C(5, 2, 4), C(5, 1, 4)), DeepConvLstmTail(6), 3),
    "attend": Architecture(24, (0, 1, 3), "same", (C(5, 2, 4), C(5, 1, 4)), AttendTail(6), 3),
    # An even kernel, an input beside what was made of it, a pooling of a pooling, leaves of three lengths.
    "branches": GraphArchitecture(24, (0, 2, 3), FeatureGraph((
        GraphConv(5, 0, 4), GraphConv(8, 1, 5), GraphPool(2, 0), GraphConcat(2, 3), GraphPool(3, 3),
        GraphConv(2, 1, 3))), DeepConvLstmTail(6), 3),
    "branches_shared": GraphArchitecture(20, (1, 3), FeatureGraph((
        GraphConv(3, 0, 4), GraphPool(3, 1), GraphConv(5, 2, 6), GraphConv(3, 1, 2))), ConvTail(6), 2, "shared"),
}


def waves(n: int, arch: Network, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Windows whose class is the number of periods in them, at random phases, with noise."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, arch.classes, n)
    t = np.arange(arch.window) / arch.window
    phase = rng.uniform(0, 2 * np.pi, (n, len(arch.channels), 1))
    x = np.sin(2 * np.pi * (1.5 + 2 * y[:, None, None]) * t + phase)
    x += 0.3 * rng.normal(size=x.shape)
    return torch.from_numpy(x[:, None].astype(np.float32)), torch.from_numpy(y)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_logits_of_a_window_do_not_depend_on_its_batch(name: str) -> None:
    arch = ARCHITECTURES[name]
    model = build_model(arch).eval()
    x, _ = waves(16, arch)
    logits = predict(model, x)
    assert logits.shape == (16, arch.classes)
    np.testing.assert_allclose(logits, np.concatenate([predict(model, part) for part in x.split(1)]), atol=1e-5)


@pytest.mark.parametrize("length", [1, 2, 7, 8, 127, 128])
@pytest.mark.parametrize("kernel", [1, 3, 5, 7])
@pytest.mark.parametrize("stride", [1, 2])
def test_padding_is_that_of_the_integer_graph(length: int, kernel: int, stride: int) -> None:
    out, before = output_length(length, kernel, stride, 1, "same")
    assert same_padding(length, kernel, stride)[0] == before
    y = conv_over_time(torch.ones(1, 1, 1, length), torch.ones(1, 1, 1, kernel), None, stride, "same")
    assert y.shape[3] == out == temporal_length(length, kernel, stride, "same")
    taps = [sum(0 <= t * stride - before + k < length for k in range(kernel)) for t in range(out)]
    assert y.flatten().tolist() == taps


def test_a_kernel_beyond_the_window_is_refused_by_name() -> None:
    arch = Architecture(8, (0,), "valid", (C(5, 2, 4), C(3, 1, 4)), ConvTail(4), 2)
    with pytest.raises(SearchError, match="conv1: a kernel of 3 samples does not fit into the 2"):
        build_model(arch)


def test_attention_is_the_authors_formula() -> None:
    """One time step at a time: q k^T, softmax down each column, o = gamma * h^T beta + x^T."""
    layer = SensorAttention(4)
    layer.gamma.data.fill_(0.7)
    x = torch.randn(2, 4, 5, 3, generator=torch.Generator().manual_seed(1))
    expected = []
    for t in range(3):
        step = x[..., t].transpose(1, 2)
        q, k, v = layer.query(step), layer.key(step), layer.value(step)
        beta = torch.softmax(q @ k.transpose(1, 2), dim=1)
        expected.append((0.7 * v.transpose(1, 2) @ beta + step.transpose(1, 2)).transpose(1, 2))
    torch.testing.assert_close(layer(x), torch.stack(expected, 1))


def test_aggregation_adds_the_weighted_mean_to_the_last_step() -> None:
    layer = TemporalAggregation(3)
    layer.gamma.data.fill_(-0.5)
    x = torch.randn(1, 4, 3, generator=torch.Generator().manual_seed(2))
    score = torch.tanh(x[0] @ layer.fc_1.weight.T + layer.fc_1.bias) @ layer.fc_2.weight[0]
    weight = score.exp() / score.exp().sum()
    torch.testing.assert_close(layer(x)[0], x[0, 3] - 0.5 * (weight[:, None] * x[0]).sum(0))


def test_attention_over_time_is_a_weighted_mean() -> None:
    layer = TemporalAttention(3)
    x = torch.randn(1, 4, 3, generator=torch.Generator().manual_seed(2))
    weight = (x[0] @ layer.fc.weight[0]).exp()
    torch.testing.assert_close(layer(x)[0], (weight[:, None] * x[0]).sum(0) / weight.sum())


def test_centre_loss_is_the_mean_square_to_the_own_centre() -> None:
    layer = Centres(2, 2)
    layer.centres.data = torch.tensor([[1.0, 0.0], [0.0, 0.5]])
    x = torch.tensor([[3.0, 4.0], [0.0, 2.0]])
    assert torch.equal(layer.train()(x), x)
    assert float(layer.loss(torch.tensor([0, 1])).detach()) == pytest.approx((0.4**2 + 0.8**2 + 0.5**2) / 4)
    assert centre_loss(build_model(ARCHITECTURES["tinyhar"]), torch.tensor([0])) == 0.0


def test_centre_loss_draws_a_class_together() -> None:
    """Features at length 1 lie closer to the mean of their class, beside a training without it."""
    arch = ARCHITECTURES["attend"]
    x, y = waves(256, arch)
    spread = []
    for weight in (0.0, 30.0):
        torch.manual_seed(0)
        model = build_model(arch)
        train(model, x, y, Recipe(epochs=4, centre_loss=weight), 0)
        with torch.no_grad():
            z = torch.nn.functional.normalize(model[: list(dict(model.named_children())).index("centres")](x), dim=1)
        spread.append(sum(float(z[y == c].var(0).sum()) for c in range(arch.classes)))
    assert spread[1] < 0.7 * spread[0]


def test_normalise_keeps_the_order_of_channels() -> None:
    raw = np.arange(2 * 4 * 3, dtype=np.int16).reshape(2, 4, 3)
    x = normalise(raw, np.array([1.2, 0.0, 2.0]), np.array([1.0, 2.0, 4.0]), (2, 0))
    assert x.shape == (2, 1, 2, 4)
    assert x[1, 0, 0].tolist() == [(v - 2.0) / 4.0 for v in (14, 17, 20, 23)]
    assert x[0, 0, 1].tolist() == [v - 1.0 for v in (0, 3, 6, 9)]


def test_rotation_turns_whole_vectors_and_nothing_else() -> None:
    channels = [Channel(name, kind, "g", 1.0) for name, kind in
                (("t", "temperature"), ("acc_x", "acc"), ("acc_y", "acc"), ("acc_z", "acc"), ("roll_x", "angle"),
                 ("m.X", "mag"), ("m.Y", "mag"), ("m.Z", "mag"))]
    assert vectors(channels) == ((1, 2, 3), (5, 6, 7))
    rng = np.random.default_rng(0)
    raw = rng.integers(-500, 500, (6, 16, 8)).astype(np.int16)
    raw[:, :, 5:8] = raw[:, :, 1:4]
    mean, std = rng.normal(0, 100, 8), rng.uniform(50, 200, 8)
    x = normalise(raw, mean, std, tuple(range(8)))
    sensors = Sensors(mean, std, vectors(channels))
    y = turn(x, *draw_turns(len(x), 0.5, torch.Generator().manual_seed(0), sensors), sensors)
    counts = y[:, 0].numpy() * std[:, None] + np.round(mean)[:, None]  # [N, C, T]
    before = raw.transpose(0, 2, 1)
    assert torch.equal(y[:, :, [0, 4]], x[:, :, [0, 4]])
    norms = [np.linalg.norm(part[:, 1:4], axis=1) for part in (counts, before)]
    np.testing.assert_allclose(*norms, rtol=1e-3, atol=0.05)
    np.testing.assert_allclose(counts[:, 1:4], counts[:, 5:8], atol=0.05)  # one device, one rotation
    assert np.abs(counts[:, 1:4] - before[:, 1:4]).mean() > 50
    turns = torch.cat([torch.zeros(1, 3), torch.randn(20, 3, generator=torch.Generator().manual_seed(0))])
    x, y, z = turns.unbind(1)
    zero = torch.zeros_like(x)
    cross = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], dim=1).reshape(-1, 3, 3)
    torch.testing.assert_close(rotation_matrices(turns), torch.linalg.matrix_exp(cross))


def test_training_learns_repeats_and_resumes() -> None:
    arch = ARCHITECTURES["same"]
    x, y = waves(512, arch)
    recipe = Recipe(epochs=12, batch=64)
    states = []

    def run(**kwargs):
        torch.manual_seed(5)
        model = build_model(arch)
        return model, train(model, x, y, recipe, 7, *waves(256, arch, 1), **kwargs)

    first, history = run(checkpoint=lambda state: states.append(state_to_bytes(state)))
    assert history.epochs[-1]["val_macro_f1"] > 0.9
    again, _ = run()
    resumed, resumed_history = run(resume=state_from_bytes(states[4]))
    for model in (again, resumed):
        for name, value in first.state_dict().items():
            assert torch.equal(value, model.state_dict()[name]), name
    assert resumed_history.epochs == history.epochs
    with pytest.raises(RunError, match="another recipe or seed"):
        train(build_model(arch), x, y, recipe, 8, resume=state_from_bytes(states[4]))
    with pytest.raises(RunError, match="damaged"):
        state_from_bytes(states[4][:-100])


def test_training_refuses_what_it_cannot_learn_from() -> None:
    arch = ARCHITECTURES["same"]
    x, y = waves(64, arch)
    with pytest.raises(DataError, match="64 windows and 63 labels"):
        train(build_model(arch), x, y[1:], Recipe(epochs=1), 0)
    x[3, 0, 0, 0] = torch.nan
    with pytest.raises(RunError, match="diverged in epoch 1 of 2"):
        train(build_model(arch), x, y, Recipe(epochs=2), 0)


def test_scores_by_hand() -> None:
    s = scores(np.array([0, 0, 1, 1, 1]), np.array([0, 1, 1, 1, 0]), 2)
    assert s.confusion.tolist() == [[1, 1], [1, 2]]
    assert s.class_f1.tolist() == pytest.approx([0.5, 2 / 3])
    assert (s.macro_f1, s.accuracy) == pytest.approx((7 / 12, 0.6))
    assert s.weighted_f1 == pytest.approx((2 * 0.5 + 3 * 2 / 3) / 5)
