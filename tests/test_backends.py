"""Other backends behind the same face: CMSIS-NN called directly, and TFLite Micro.

What needs their sources is skipped where HAREMBED_CMSIS_NN and HAREMBED_TFLM do not name them.
"""

import ctypes
import io
import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from cmsis_nn_program import archive, outputs
from kernel_driver import ARM_GCC
from operators_model import MODEL, operators
from typer.testing import CliRunner

from harembed import libraries
from harembed.backends import BACKENDS
from harembed.cli import app
from harembed.errors import BuildError
from harembed.export.cbundle import bundle
from harembed.export.cmsis_nn import FORMS, LACKS, CmsisNnForm, cmsis_nn_form, scratch_bytes
from harembed.export.csource import generate
from harembed.export.tflite import write_tflite
from harembed.export.tflite_ops import TFLITE_OPS
from harembed.export.tflm import TFLM_OPS, generate_tflm
from harembed.harness.validate import random_inputs
from harembed.ir.expand import expanded
from harembed.ir.graph import GraphBuilder, Kind, QParams
from harembed.ir.interpreter import Interpreter
from harembed.ir.ops import OPS
from harembed.ir.ops.base import Case
from harembed.ir.ops.conv import Conv2D, Conv2DAttrs
from harembed.ir.ops.mean import MeanAttrs
from harembed.ir.ops.pool import Pool2DAttrs
from harembed.link_map import model_share
from harembed.pipeline import compile_model

# TFLM's reference kernel cuts the recurrent part of a gate to int16 before it adds it; CMSIS-NN cuts the sum alone.
OTHER_ARITHMETIC = {("lstm", "gates_saturate")}
CASES = [(op, case) for op in FORMS for case in OPS[op].CASES if (op, case.name) not in OTHER_ARITHMETIC]
# A few of them on the simulated core, whose DSP instructions CMSIS-NN uses there.
ON_M33 = [(op, OPS[op].CASES[0]) for op in FORMS] + [("conv_2d", case) for case in Conv2D.CASES[1:6]]
KEPT = sorted((Path(__file__).parent / "files" / "compare").glob("*.json"))
needs_cmsis_nn = pytest.mark.skipif(not libraries.is_here("cmsis_nn"), reason="HAREMBED_CMSIS_NN names no checkout")
needs_tflm = pytest.mark.skipif(not all(libraries.is_here(name) for name in BACKENDS["tflm"].libraries),
                                reason="HAREMBED_TFLM and HAREMBED_CMSIS_NN name no checkouts")


def name_of(value: object) -> str:
    return value.name if isinstance(value, Case) else str(value)


def test_every_operator_has_a_call_or_a_reason():
    computed = {op.name for op in OPS.values() if not op.view}
    assert set(FORMS) | set(LACKS) == computed
    assert not set(FORMS) & set(LACKS)
    assert set(TFLM_OPS) == set(TFLITE_OPS)


@pytest.mark.parametrize("op,case", [(op.name, case) for op in OPS.values() for case in op.CASES], ids=name_of)
def test_generated_text_is_complete(op, case):
    graph = case.build(np.random.default_rng(0))
    text = generate(graph, kernels="cmsis_nn")["model.c"]
    called = not OPS[op].view and isinstance(cmsis_nn_form(graph, graph.nodes[0]), CmsisNnForm)
    assert ("arm_nnfunctions.h" in text) == called
    assert '.backend = "cmsis_nn"' in text and "_dsp" not in text.replace("he_dsp.h", "")
    text = generate_tflm(graph)["model.cc"]
    assert f"model_data[{len(write_tflite(graph))}]" in text
    assert all(f"{TFLM_OPS[node.op][0]}()" in text for node in expanded(graph).nodes)


def test_a_bundle_names_what_it_needs():
    graph = Conv2D.CASES[0].build(np.random.default_rng(0))
    for name, words in (("cmsis_nn", "ARM-software/CMSIS-NN"), ("tflm", "tensorflow/tflite-micro")):
        files = bundle(graph, backend=name)
        assert words in files["README.md"] and "he_conv_2d_s8.c" not in files
        included = {x for text in files.values() for x in re.findall(r'#\s*include\s+"([^"/]+)"', text)}
        assert included - set(files) == ({"arm_nnfunctions.h"} if name == "cmsis_nn" else set())
    assert "CMSIS-NN" not in bundle(graph)["README.md"]


def test_missing_sources_are_told_in_two_lines(monkeypatch, tmp_path):
    monkeypatch.delenv("HAREMBED_CMSIS_NN", raising=False)
    monkeypatch.setattr(libraries, "_storage", lambda: tmp_path)
    monkeypatch.setattr(libraries, "_HOME", "127.0.0.1")  # nothing listens on its port 443
    with pytest.raises(BuildError) as raised:
        libraries.find_library("cmsis_nn")
    assert "HAREMBED_CMSIS_NN is not set" in raised.value.message
    assert libraries.LIBRARIES["cmsis_nn"].revision[:12] in raised.value.hint
    monkeypatch.setenv("HAREMBED_CMSIS_NN", str(tmp_path))
    with pytest.raises(BuildError, match=r"Include/arm_nnfunctions\.h"):
        libraries.find_library("cmsis_nn")


def test_pinned_sources_are_downloaded_once(monkeypatch, tmp_path):
    """By PlatformIO, here from a file instead of the repository."""
    folder = tmp_path / "CMSIS-NN-4ab83cc"
    (folder / "Include").mkdir(parents=True)
    (folder / "Source").mkdir()
    (folder / "Include" / "arm_nnfunctions.h").write_text("/* a header */\n")
    (folder / "Source" / "a.c").write_text("int a;\n")
    archive_path = shutil.make_archive(str(tmp_path / "archive"), "zip", tmp_path, folder.name)
    monkeypatch.delenv("HAREMBED_CMSIS_NN", raising=False)
    monkeypatch.setattr(libraries, "_storage", lambda: tmp_path / "store")
    monkeypatch.setattr(libraries.socket, "create_connection", lambda *_, **__: io.BytesIO())
    monkeypatch.setattr(libraries, "_archive", lambda library: f"file://{archive_path}")
    assert not libraries.is_here("cmsis_nn")
    found = libraries.find_library("cmsis_nn")
    assert (found / "Source" / "a.c").is_file() and libraries.is_here("cmsis_nn")
    monkeypatch.setattr(libraries, "_archive", lambda library: "file:///nothing/there.zip")
    assert libraries.find_library("cmsis_nn") == found


def test_the_link_map_is_shared_out():
    text = """
 .text.main     0x08000100       0x1c .pio/build/b/src/app/main.o
 .text.he_model_invoke
                0x08000200       0x40 .pio/build/b/src/model/model.o
 .text.unused   0x00000000       0x80 .pio/build/b/src/model/model.o
 .rodata.table  0x08000240       0x10 .pio/build/b/liboutside.a(arm_nntables.o)
 .he_node.0.code
                0x08000250       0x20 .pio/build/b/src/model/model.o
 .bss.he_arena  0x20000000      0x100 .pio/build/b/src/model/model.o
 .debug_info    0x00000000      0x999 .pio/build/b/src/model/model.o
"""
    assert (model_share(text).flash, model_share(text).ram) == (0x70, 0x100)


def test_operators_model_is_what_its_script_writes():
    assert MODEL.read_bytes() == write_tflite(operators())


@pytest.mark.parametrize("path", KEPT, ids=lambda path: path.stem)
def test_kept_comparisons_are_of_the_pinned_sources(path):
    """No package index has these sources, so what `harembed compare` wrote with them is kept."""
    report = json.loads(path.read_text())
    for name, source in report["sources"].items():
        assert source["revision"] in (None, libraries.LIBRARIES[name].revision) and len(source["sha256"]) == 64
    for result in report["backends"].values():
        assert result["parity"]["mismatches"] == 0 and result["parity"]["inputs"] >= 100
    assert sum(layer["macs"] for layer in report["backends"]["own"]["layers"]) > 100_000


@needs_cmsis_nn
def test_scratch_is_what_cmsis_nn_asks_for(tmp_path):
    """Its own functions for cores with DSP instructions, compiled for this computer, on the operators' cases."""
    root = libraries.find_library("cmsis_nn")
    sizes = [root / "Source" / "ConvolutionFunctions" / f"arm_{kind}_get_buffer_sizes_s8.c"
             for kind in ("convolve", "depthwise_conv")]
    library = tmp_path / "sizes.so"
    subprocess.run(["gcc", "-w", "-shared", "-fPIC", f"-I{root / 'Include'}", *sizes, "-o", library], check=True)
    functions = ctypes.CDLL(str(library))
    for op, function, output_first in (("conv_2d", functions.arm_convolve_wrapper_s8_get_buffer_size_dsp, True),
                         ("depthwise_conv_2d", functions.arm_depthwise_conv_wrapper_s8_get_buffer_size_dsp, False)):
        for case in OPS[op].CASES:
            graph = case.build(np.random.default_rng(0))
            p = OPS[op].prepare(graph, graph.nodes[0]).params
            tiles = (p.stride_w, p.stride_h, p.pad_left, p.pad_top, p.dilation_w, p.dilation_h, p.act_min, p.act_max)
            head = () if output_first else (p.depth_multiplier,)
            params = (ctypes.c_int32 * 11)(-p.input_zero_point, p.output_zero_point, *head, *tiles)
            filters = (p.output_c, p.filter_h, p.filter_w, p.input_c) if output_first else \
                (1, p.filter_h, p.filter_w, p.output_c)
            dims = [(ctypes.c_int32 * 4)(*d) for d in ((1, p.input_h, p.input_w, p.input_c), filters,
                                                       (1, p.output_h, p.output_w, p.output_c))]
            assert scratch_bytes(graph)[graph.nodes[0].name] == function(params, *dims), f"{op} {case.name}"


def assert_equal(graph, folder, library, bare, *command):
    inputs = random_inputs(graph, 8, 1)
    for name, array in zip(graph.inputs, inputs, strict=True):
        limits = np.iinfo(graph[name].dtype.numpy)
        array[0], array[1] = limits.min, limits.max
    expected = Interpreter(graph).run(*inputs)
    actual = outputs(graph, inputs, folder, library, bare, *command)
    for e, a in zip(expected, actual, strict=True):
        assert np.array_equal(e, a)


@pytest.fixture(scope="module")
def host_archive(tmp_path_factory):
    return archive(tmp_path_factory.mktemp("host"), "gcc")


@pytest.fixture(scope="module")
def m33_archive(tmp_path_factory):
    return archive(tmp_path_factory.mktemp("m33"), *ARM_GCC, ar="arm-none-eabi-ar")


@needs_cmsis_nn
@pytest.mark.parametrize("op,case", CASES, ids=name_of)
def test_plain_c_is_equal(op, case, host_archive, tmp_path):
    assert_equal(case.build(np.random.default_rng(3)), tmp_path, host_archive, False, "gcc")


@needs_cmsis_nn
@pytest.mark.arm_gcc
@pytest.mark.parametrize("op,case", ON_M33, ids=name_of)
def test_the_simulated_core_is_equal(op, case, m33_archive, tmp_path):
    if shutil.which("arm-none-eabi-gcc") is None:
        pytest.skip("arm-none-eabi-gcc is not installed")
    assert_equal(case.build(np.random.default_rng(3)), tmp_path, m33_archive, True, *ARM_GCC)


@pytest.fixture(scope="module")
def small_model(tmp_path_factory):
    """A convolution, a pooling that CMSIS-NN has and a mean that it lacks, as a .tflite."""
    rng = np.random.default_rng(5)
    g = GraphBuilder("small")
    g.tensor("x", (1, 3, 16, 2), kind=Kind.INPUT, qparams=QParams((0.05,), 3))
    g.constant("w", rng.integers(-127, 128, (5, 1, 3, 2)).astype(np.int8), QParams((0.01,) * 5, 0, 0))
    g.constant("b", rng.integers(-500, 500, 5).astype(np.int32), QParams((0.0005,) * 5, 0, 0))
    g.tensor("y", (1, 3, 16, 5), qparams=QParams((0.03,), -128))
    g.tensor("z", (1, 3, 8, 5), qparams=QParams((0.03,), -128))
    g.tensor("m", (1, 5), qparams=QParams((0.02,), -100))
    g.node("conv_2d", ["x", "w", "b"], ["y"], Conv2DAttrs(padding="same", activation="relu"), "conv")
    g.node("max_pool_2d", ["y"], ["z"], Pool2DAttrs((1, 2), (1, 2)), "pool")
    g.node("mean", ["z"], ["m"], MeanAttrs((1, 2), False), "mean")
    path = tmp_path_factory.mktemp("model") / "small.tflite"
    path.write_bytes(write_tflite(g.build(["x"], ["m"])))
    return path


@pytest.mark.slow
@pytest.mark.arm_gcc
@pytest.mark.parametrize("backends", [
    pytest.param("own:speed,own,cmsis_nn", marks=needs_cmsis_nn, id="cmsis_nn"),
    pytest.param("own,tflm", marks=needs_tflm, id="tflm")])
def test_backends_are_compared_on_the_simulated_board(backends, small_model, tmp_path):
    if shutil.which("arm-none-eabi-gcc") is None:
        pytest.skip("arm-none-eabi-gcc is not installed")
    done = CliRunner().invoke(app, ["compare", str(small_model), "--backends", backends, "--inputs", "5", "--layers",
                                    "--out", str(tmp_path)], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    report = json.loads((tmp_path / "compare.json").read_text())
    assert list(report["backends"]) == backends.split(",")
    for name, result in report["backends"].items():
        assert result["parity"] == {"inputs": 8, "mismatches": 0, "largest": 0}
        assert result["instructions"] > max(layer["instructions"] for layer in result["layers"]) > 0
        assert result["stack_bytes"] > 0 and result["model_flash_bytes"] < result["flash_bytes"]
        assert list(result["fallbacks"]) == (["mean_2"] if name == "cmsis_nn" else [])
    named = {"cmsis_nn"} if "cmsis_nn" in backends else set(BACKENDS["tflm"].libraries)
    assert set(report["sources"]) == named


@pytest.mark.slow
@pytest.mark.arm_gcc
@pytest.mark.qemu
@needs_cmsis_nn
def test_compile_takes_a_backend(small_model, tmp_path):
    if shutil.which("arm-none-eabi-gcc") is None or shutil.which("qemu-system-arm") is None:
        pytest.skip("arm-none-eabi-gcc or qemu-system-arm is not installed")
    facts = compile_model(small_model, folder=tmp_path / "run", backend="cmsis_nn")
    parity = json.loads((tmp_path / "run" / "parity.json").read_text())
    assert parity["mismatches"] == 0 and any("STM32L552" in target["title"] for target in parity["targets"])
    firmware = json.loads((tmp_path / "run" / "firmware.json").read_text())
    assert firmware["backend"] == "cmsis_nn" and list(firmware["fallbacks"]) == ["mean_2"]
    assert facts["macs"] > 0
