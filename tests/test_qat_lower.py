"""From a trained network to integers: the fake-quantised network, the integer graph and TFLM say the same."""

from collections import OrderedDict

import numpy as np
import pytest
import torch
from test_models import ARCHITECTURES, waves
from torch import nn

from harembed.compress.fine_tuning import Lesson, fine_tune_both
from harembed.errors import GraphError
from harembed.export.lower import lower
from harembed.export.noise import quantisation_noise, sqnr_db
from harembed.export.oracles import run_tflm
from harembed.export.tflite import write_tflite
from harembed.ir.graph import IntGraph
from harembed.ir.interpreter import Interpreter
from harembed.ir.ops.gru_chain import INTERMEDIATES
from harembed.models import build_model
from harembed.nn.centres import Centres
from harembed.nn.lego import LegoConvNorm
from harembed.nn.quant import Mode, best_int8_range, int8_qparams, integer_weight, quantizers, weight_scales
from harembed.nn.quant_layers import QuantNet
from harembed.nn.temporal import ConvNorm, MeanOverTime
from harembed.space import Network
from harembed.train.loop import normalise, predict, state_from_bytes, state_to_bytes, train
from harembed.train.qat import calibrate, fine_tune, fine_tuning, quantise
from harembed.train.recipe import Recipe

torch.set_num_threads(1)
RAW_CHANNELS = 4
RECIPE = Recipe(epochs=3, batch=64)


def recordings(arch: Network, n: int, seed: int) -> tuple[np.ndarray, torch.Tensor]:
    """Raw windows [N, T, 4] int16 in counts, around an offset of 300."""
    x, y = waves(n, arch, seed)
    raw = np.random.default_rng(seed).normal(300, 900, (n, arch.window, RAW_CHANNELS))
    raw[:, :, list(arch.channels)] = 300 + 900 * x.numpy()[:, 0].transpose(0, 2, 1)
    return np.clip(np.round(raw), -32768, 32767).astype(np.int16), y


@pytest.fixture(scope="module", params=ARCHITECTURES)
def trained(request: pytest.FixtureRequest):
    """(architecture, float model, mean, std, raw windows, int8 network after a little training with it)."""
    arch = ARCHITECTURES[request.param]
    raw, y = recordings(arch, 256, 0)
    mean, std = raw.reshape(-1, RAW_CHANNELS).mean(0), raw.reshape(-1, RAW_CHANNELS).std(0)
    x = normalise(raw, mean, std, arch.channels)
    torch.manual_seed(0)
    model = build_model(arch)
    train(model, x, y, RECIPE, 0)
    for layer, gamma in (("attention", 0.8), ("aggregation", -0.6)):
        if hasattr(model, layer):  # weights of attention start at 0: make both matter, with both signs
            getattr(model, layer).gamma.data.fill_(gamma)
    net = quantise(model, std[list(arch.channels)])
    np.testing.assert_allclose(predict(net, x), predict(model, x), atol=1e-4)
    fine_tune(net, Mode.INT8, x, y, fine_tuning(RECIPE, 2), 0)
    return arch, model, mean, std, raw, net


def lowered(trained) -> IntGraph:
    arch, _, mean, std, _, net = trained
    return lower(net, arch, mean, std, tuple(f"class {i}" for i in range(arch.classes)), "net")


def test_fake_quantisation_is_the_integer_graph(trained) -> None:
    """Within one step (a float rounding beside a tie), two behind an LSTM, whose tables interpolate."""
    arch, _, mean, std, raw, net = trained
    graph = lowered(trained)
    expected = predict(net, normalise(raw, mean, std, arch.channels))
    spec = graph[graph.outputs[0]]
    steps = np.round(expected / spec.scale) + spec.zero_point
    actual = Interpreter(graph).run_raw(raw)[0].astype(int)
    ops = {node.op for node in graph.nodes}
    lstm = "lstm" in ops
    if "xnor_conv" not in ops:  # one step beside a threshold turns a sign, and signs weigh alike
        assert np.abs(actual - steps).max() <= (2 if lstm else 1)
    assert (actual != steps).mean() < (0.10 if lstm else 0.005)
    assert (actual.argmax(1) == steps.argmax(1)).mean() >= (0.98 if lstm else 0.99)


def test_tflm_computes_the_lowered_graph(trained) -> None:
    graph = lowered(trained)
    assert graph.input_spec is not None
    shape = graph[graph.inputs[0]].shape[1:]
    real = graph.input_spec.quantise(trained[4][:24])
    noise = np.random.default_rng(1).integers(-128, 128, real.shape).astype(np.int8)
    x = np.concatenate([real, noise]).reshape(-1, *shape)
    assert np.array_equal(run_tflm(write_tflite(graph), [x])[0], Interpreter(graph).run(x)[0])


def test_parameters_are_weights_and_biases_after_folding(trained) -> None:
    model = trained[1]
    norms = sum(m.weight.numel() for m in model.modules() if isinstance(m, nn.BatchNorm2d))  # or a threshold
    expected = sum(p.numel() for p in model.parameters()) - norms  # a scale vanishes, a shift becomes a bias
    expected -= sum(4 * m.hidden_size for m in model.modules() if isinstance(m, nn.LSTM))  # two biases become one
    expected -= hasattr(model, "attention")  # its weight is folded
    expected -= sum(m.centres.numel() for m in model.modules() if isinstance(m, Centres))
    expected -= sum(m.wanted.numel() for m in model.modules() if isinstance(m, LegoConvNorm))  # they choose
    assert lowered(trained).parameters == expected


def test_noise_of_every_activation_is_told(trained) -> None:
    arch, _, mean, std, raw, net = trained
    noise = quantisation_noise(net, lowered(trained), raw[:64], mean, std, arch)
    inside = ("cell", *INTERMEDIATES, "gates", "new")  # of lstm and gru
    names = {q.name for q in quantizers(net) if q.name.rpartition(".")[2] not in inside}
    assert {n.tensor for n in noise} == names
    ends = ("input", "conv0") if getattr(arch, "xnor", False) else ("input", "conv0", "classifier")  # a sign may turn
    assert min(n.sqnr_db for n in noise if n.tensor in ends) > 15
    assert all(q.mode is Mode.INT8 for q in quantizers(net))


def test_a_collapsed_layer_is_named(trained) -> None:
    arch, _, mean, std, raw, net = trained
    layers = dict(net.layers.named_children())
    tensor, layer = ("features.1", "features.convs.1") if "features" in layers \
        else ("block0", "block0") if "block0" in layers else ("conv1", "conv1")
    broken = state_from_bytes(state_to_bytes(net.state_dict()))
    broken[f"layers.{layer}.out.scale"] *= 200
    copy = quantise(trained[1], std[list(arch.channels)])
    copy.load_state_dict(broken)
    graph = lower(copy, arch, mean, std, ("x",) * arch.classes, "broken")
    collapsed = [n for n in quantisation_noise(copy, graph, raw[:64], mean, std, arch) if n.collapsed]
    assert collapsed[0].tensor == tensor
    assert tensor in collapsed[0].hint and "Try" in collapsed[0].hint


def test_saved_weights_give_the_same_graph(trained) -> None:
    arch, _, mean, std, _, net = trained
    fresh = quantise(build_model(arch), std[list(arch.channels)])
    fresh.load_state_dict(state_from_bytes(state_to_bytes(net.state_dict())))
    labels = tuple(f"class {i}" for i in range(arch.classes))
    assert lower(fresh, arch, mean, std, labels, "net").id() == lowered(trained).id()


def test_two_processes_train_what_one_trains() -> None:
    arch = ARCHITECTURES["same"]
    x, y = waves(64, arch, 0)
    torch.manual_seed(0)
    model = build_model(arch)
    lesson = Lesson(x, y, fine_tuning(RECIPE, 2), 0, None)
    one, two = (fine_tune_both(quantise(model), quantise(model), lesson, processes, lambda *_: None)
                for processes in (1, 2))
    for (net, history), (other, same_history) in zip(one, two, strict=True):
        assert history == same_history
        torch.testing.assert_close(other.state_dict(), net.state_dict(), rtol=0, atol=0, equal_nan=True)


def test_what_cannot_be_lowered_is_refused_by_name() -> None:
    arch = ARCHITECTURES["same"]
    mean, std, labels = np.zeros(4), np.ones(4), ("a", "b", "c")
    with pytest.raises(GraphError, match=r"'gelu' \(GELU\) cannot be quantised") as refused:
        quantise(nn.Sequential(OrderedDict(gelu=nn.GELU())))
    assert ".tflite" in refused.value.hint
    net = quantise(build_model(arch))
    with pytest.raises(GraphError, match="'input' has no range") as refused:
        lower(net, arch, mean, std, labels, "net")
    assert "calibrate" in refused.value.hint
    calibrate(net, waves(64, arch)[0])
    net.layers.add_module("gelu", nn.GELU())
    with pytest.raises(GraphError, match=r"'gelu' \(GELU\) has no lowering") as refused:
        lower(net, arch, mean, std, labels, "net")
    assert ".tflite" in refused.value.hint
    with pytest.raises(GraphError, match="2 labels"):
        lower(net, arch, mean, std, ("a", "b"), "net")


def test_a_pruned_filter_with_a_bias_stays_within_int32() -> None:
    """Weights that all but vanish would ask for a bias of 1e12 steps."""
    arch = ARCHITECTURES["same"]
    model = build_model(arch)
    model.conv0.conv.weight.data[1] = 1e-12
    model.conv0.norm.bias.data[1] = 3.0
    net: QuantNet = quantise(model)
    x, _ = waves(64, arch)
    calibrate(net, x)
    graph = lower(net, arch, np.zeros(4), np.ones(4), ("a", "b", "c"), "net")
    taps = net.taps(x)
    for name, values in Interpreter(graph).trace(
            np.round(taps["input"].numpy() / graph["input"].scale + graph["input"].zero_point).astype(np.int8)):
        if name == "conv0":
            real = (values.astype(float) - graph[name].zero_point) * graph[name].scale
            assert np.allclose(real[..., 1], 3.0, atol=graph[name].scale)


def test_ranges_weigh_clipping_against_rounding_in_every_window() -> None:
    """Quiet windows among loud ones: peaks are clipped, and the mean noise-to-signal ratio falls."""
    rng = np.random.default_rng(0)
    values = (rng.laplace(0, 1, (200, 50)) * rng.choice([0.3, 2.0], (200, 1))).astype(np.float32)

    def ratio(scale: float, zero_point: int) -> float:
        q = np.clip(np.round(values / scale) + zero_point, -128, 127)
        noise = np.square((q - zero_point) * scale - values).mean(1)
        return float((noise / np.square(values).mean(1)).mean())

    best = best_int8_range(torch.from_numpy(values))
    assert best[0] * 255 < 0.9 * (values.max() - values.min())
    assert ratio(*best) < 0.9 * ratio(*int8_qparams(float(values.min()), float(values.max())))
    assert best_int8_range(torch.from_numpy(np.abs(values)))[1] == -128


def test_weights_use_the_whole_symmetric_range() -> None:
    weight = torch.tensor([[0.5, -1.0], [0.25, 0.1]])
    scales = weight_scales(weight, 2)
    assert integer_weight(weight, scales).tolist() == [[64, -127], [127, 51]]


def test_signal_to_noise() -> None:
    assert sqnr_db(np.array([3.0, 4.0]), np.array([3.0, 3.5])) == pytest.approx(20.0)


def test_the_input_is_clipped_where_the_network_does_not_mind() -> None:
    """A network that sees values from -1 to 1 alone gets finer steps of them than one that adds all up; later
    calibrations keep what was chosen."""
    rng = np.random.default_rng(0)
    loud = rng.choice([0.1, 6.0], (256, 1, 1, 1))
    x = torch.from_numpy((rng.laplace(0, 1, (256, 1, 1, 32)) * loud).astype(np.float32))

    def step(classifier: list[float]) -> float:
        model = nn.Sequential(OrderedDict(conv0=ConvNorm(1, 3, (1, 1)), mean=MeanOverTime(),
                                          classifier=nn.Linear(3, 1))).eval()
        model.conv0.conv.weight.data.fill_(1.0)
        model.conv0.norm.bias.data = torch.tensor([1.0, 0.0, -1.0])  # relu(x + 1), relu(x), relu(x - 1)
        model.classifier.weight.data = torch.tensor([classifier])
        net = quantise(model)
        calibrate(net, x)
        chosen = float(net.input.scale)
        calibrate(net, 3 * x)
        assert float(net.input.scale) == chosen
        return chosen

    assert step([1.0, -2.0, 1.0]) < 0.5 * step([0.0, 1.0, 0.0])
