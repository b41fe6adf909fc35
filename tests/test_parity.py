"""Searched kinds of networks and published tails: every target computes the interpreter's bits from raw counts."""

import shutil

import numpy as np
import pytest
import torch

from harembed import harness
from harembed.board import load_board
from harembed.build import build_firmware, build_host
from harembed.cost.memory import plan_memory
from harembed.export.csource import generate
from harembed.export.lower import lower
from harembed.export.onnx import compare_onnx
from harembed.export.oracles import run_tflm
from harembed.export.tflite import write_tflite
from harembed.feature_graph import FeatureGraph, GraphConcat, GraphConv, GraphPool
from harembed.harness.simulate import simulate_board
from harembed.harness.validate import random_inputs, validate, validate_inputs
from harembed.ir.graph import IntGraph
from harembed.ir.interpreter import Interpreter
from harembed.models import build_model
from harembed.space import (
    Architecture,
    AttendTail,
    ConvTail,
    DeepConvLstmTail,
    GraphArchitecture,
    Network,
    TemporalConv,
    TinyHarTail,
)
from harembed.train.loop import normalise
from harembed.train.qat import calibrate, quantise

C = TemporalConv
# Odd, pruned filter counts as searches leave them; windows that no stride divides.
ARCHITECTURES: dict[str, Network] = {
    "same": Architecture(50, (0, 2, 3), "same", (C(5, 2, 3), C(3, 1, 5), C(7, 2, 7)), ConvTail(11, (C(3, 1, 6),)), 4),
    "valid": Architecture(61, (1, 3), "valid", (C(1, 2, 9), C(7, 2, 4)), ConvTail(13, (C(5, 2, 8), C(1, 1, 3))), 6),
    "one_layer": Architecture(16, (0,), "same", (C(7, 2, 1),), ConvTail(2), 2),
    "tinyhar": Architecture(40, (0, 1, 2, 3), "same", (C(5, 2, 5), C(3, 2, 6)), TinyHarTail(10), 5),
    "deepconvlstm": Architecture(40, (0, 1, 2), "same", (C(5, 2, 5), C(3, 2, 6)), DeepConvLstmTail(10), 5),
    "attend": Architecture(40, (0, 1, 2), "same", (C(5, 2, 5), C(3, 2, 6)), AttendTail(10), 5),
    "branches": GraphArchitecture(21, (0, 2, 3), FeatureGraph((
        GraphConv(5, 0, 7), GraphConv(8, 1, 5), GraphPool(2, 0), GraphConcat(2, 3), GraphPool(5, 4),
        GraphConv(2, 1, 3), GraphConv(3, 3, 2))), DeepConvLstmTail(10), 5),
    "branches_shared": GraphArchitecture(16, (0, 1, 3), FeatureGraph((
        GraphConv(3, 0, 5), GraphPool(3, 1), GraphConv(5, 2, 6), GraphConcat(3, 1))), ConvTail(7, (C(3, 2, 4),)), 4,
        "shared"),
}
RAW_CHANNELS = 4
WINDOWS = 24


def graph_of(name: str) -> tuple[IntGraph, np.ndarray]:
    """An untrained network, calibrated, as an integer graph; and raw windows [N, T, 4] int16 around its range."""
    arch = ARCHITECTURES[name]
    torch.manual_seed(1)
    rng = np.random.default_rng(2)
    mean, std = np.array([10.0, -300.0, 0.0, 2000.0]), np.array([900.0, 400.0, 30.0, 5000.0])
    raw = np.clip(rng.normal(mean, 1.5 * std, (256, arch.window, RAW_CHANNELS)), -32768, 32767).astype(np.int16)
    model = build_model(arch)
    for parameter in model.parameters():  # gates and scales that start at 0 or 1 would hide errors
        parameter.data += 0.1 * torch.randn_like(parameter)
    net = quantise(model.eval(), std[list(arch.channels)])
    calibrate(net, normalise(raw, mean, std, arch.channels))
    return lower(net, arch, mean, std, tuple(f"c{i}" for i in range(arch.classes)), name), raw[:WINDOWS]


@pytest.fixture(scope="module", params=ARCHITECTURES)
def network(request) -> tuple[IntGraph, np.ndarray]:
    return graph_of(request.param)


def test_tflm_is_equal(network):
    graph, raw = network
    for x in (graph.input_spec.quantise(raw), *random_inputs(graph, 40, 3)):
        expected, actual = Interpreter(graph).run(x)[0], run_tflm(write_tflite(graph), [x])[0]
        assert np.array_equal(actual.reshape(len(x), -1), expected.reshape(len(x), -1))


@pytest.mark.parametrize("name", ["branches", "branches_shared"])
def test_onnx_names_the_same_classes(name):
    graph, raw = graph_of(name)
    report = compare_onnx(graph, [graph.input_spec.quantise(raw)])
    assert report.same_class == report.windows == WINDOWS


@pytest.mark.parametrize("options", [
    pytest.param({"compiler": "gcc", "sanitize": True}, id="gcc-sanitized"),
    pytest.param({"compiler": "gcc", "sanitize": True, "dsp_emulation": True}, id="gcc-dsp-sanitized"),
    pytest.param({"compiler": "clang", "dsp_emulation": True}, id="clang-dsp"),
])
def test_the_host_is_equal(network, options, tmp_path):
    if shutil.which(options["compiler"]) is None:
        pytest.skip(f"{options['compiler']} is not installed")
    graph, raw = network
    program = build_host(generate(graph), tmp_path, **options)
    assert_equal(graph, raw, harness.connect(load_board("host"), program))


@pytest.mark.arm_gcc
@pytest.mark.parametrize("defines", [{}, {"HE_FORCE_PORTABLE": 1}], ids=["dsp", "portable"])
def test_the_board_image_is_equal_and_uses_the_planned_memory(network, defines, tmp_path):
    if shutil.which("arm-none-eabi-gcc") is None:
        pytest.skip("arm-none-eabi-gcc is not installed")
    graph, raw = network
    board = load_board("nucleo_l552ze_q")
    image = build_firmware(generate(graph), board, tmp_path, "gcc", defines=defines)
    assert_equal(graph, raw, harness.connect(board, image.elf))
    simulation = simulate_board(image.elf, board, raw[0])
    plan = plan_memory(graph)
    assert image.arena_bytes == simulation.arena_span[1] == plan.arena_bytes
    # Two softmaxes, two sums, a tanh and a product; two softmaxes and a sum.
    assert sum(len(b.in_place) for b in plan.buffers) == {"tinyhar": 6, "attend": 3}.get(graph.name, 0)


@pytest.mark.qemu
def test_qemu_is_equal(network, tmp_path):
    if shutil.which("qemu-system-arm") is None:
        pytest.skip("qemu-system-arm is not installed")
    graph, raw = network
    board = load_board("mps2_an505")
    assert_equal(graph, raw, harness.connect(board, build_firmware(generate(graph), board, tmp_path).elf))


def assert_equal(graph: IntGraph, raw: np.ndarray, device) -> None:
    with device:
        for report in (validate(device, graph, raw), validate_inputs(device, graph, *random_inputs(graph, 20, 4))):
            assert report.mismatches == 0, report.text
