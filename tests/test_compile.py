"""`harembed compile`: a .tflite with several inputs and outputs, to a proven firmware; and what is refused."""

import json
import re
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from harembed import verify
from harembed.board import load_board
from harembed.build import build_firmware
from harembed.cli import main
from harembed.errors import HarnessError
from harembed.export.csource import generate
from harembed.export.onnx import write_onnx
from harembed.export.tflite import FILE_IDENTIFIER, write_tflite
from harembed.harness.client import Device
from harembed.harness.simulator_l552 import SimulatedL552
from harembed.ir.graph import DType, GraphBuilder, IntGraph, Kind, QParams
from harembed.ir.ops.concatenation import ConcatenationAttrs
from harembed.ir.ops.conv import Conv2DAttrs
from harembed.ir.ops.dense import FullyConnectedAttrs
from harembed.ir.ops.elementwise import ElementwiseAttrs
from harembed.ir.ops.mean import MeanAttrs
from harembed.ir.ops.rearrange import PadAttrs
from harembed.pipeline import compile_model
from harembed.report.facts import KEYS, LEARNED, collect
from harembed.rundir import RunDir

GIVEN = 5


def two_by_two(units: int = 7) -> IntGraph:
    """Images and a vector come in; out go their sum, and what the vector alone becomes."""
    rng = np.random.default_rng(8)
    g = GraphBuilder("two_by_two")
    q = QParams((0.05,), -3)
    g.tensor("image", (1, 6, 8, 3), kind=Kind.INPUT, qparams=q)
    g.tensor("vector", (1, 5), kind=Kind.INPUT, qparams=QParams((0.02,), 9))
    g.constant("w1", rng.integers(-127, 128, (units, 3, 3, 3)).astype(np.int8), QParams((0.01,) * units, 0, 0))
    g.constant("b1", rng.integers(-999, 999, units).astype(np.int32))
    g.constant("w2", rng.integers(-127, 128, (units, 5)).astype(np.int8), QParams((0.01,)))
    for name, shape in (("c", (1, 3, 4, units)), ("m", (1, units)), ("d", (1, units)), ("s", (1, units))):
        g.tensor(name, shape, DType.INT8, qparams=q)
    g.node("conv_2d", ["image", "w1", "b1"], ["c"], Conv2DAttrs((2, 2), padding="same", activation="relu"))
    g.node("mean", ["c"], ["m"], MeanAttrs((1, 2)))
    g.node("fully_connected", ["vector", "w2", ""], ["d"], FullyConnectedAttrs())
    g.node("add", ["m", "d"], ["s"], ElementwiseAttrs())
    return g.build(["image", "vector"], ["s", "d"])


def edited(edit: Callable[[Any], None]) -> bytes:
    """The file of two_by_two, with a change."""
    root = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(write_tflite(two_by_two()), 0))
    edit(root)
    builder = flatbuffers.Builder(1024)
    builder.Finish(root.Pack(builder), file_identifier=FILE_IDENTIFIER)
    return bytes(builder.Output())


def cosine(root: Any) -> None:
    root.operatorCodes[1].builtinCode = schema.BuiltinOperator.COS


def floats(root: Any) -> None:
    root.subgraphs[0].tensors[0].type = schema.TensorType.FLOAT32


def padded(size: int) -> bytes:
    """A model whose second tensor has size x size elements."""
    g = GraphBuilder("padded")
    q = QParams((0.05,), 0)
    g.tensor("x", (1, 4, 4, 1), kind=Kind.INPUT, qparams=q)
    g.tensor("y", (1, size, size, 1), qparams=q)
    g.node("pad", ["x"], ["y"], PadAttrs((0, 0, 0, 0), (0, size - 4, size - 4, 0)))
    return write_tflite(g.build(["x"], ["y"]))


def run_cli(*args: str) -> str:
    result = subprocess.run([sys.executable, "-m", "harembed.cli", *args], capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> tuple[Path, str]:
    """The folder of a run, and what Python imported meanwhile."""
    root = tmp_path_factory.mktemp("compiled")
    (root / "m.tflite").write_bytes(write_tflite(two_by_two()))
    rng = np.random.default_rng(1)
    np.savez(root / "given.npz", image=rng.integers(-9, 9, (GIVEN, 6, 8, 3)).astype(np.int8),
             vector=rng.integers(-9, 9, (GIVEN, 5)).astype(np.int8))
    result = subprocess.run([sys.executable, "-X", "importtime", "-m", "harembed.cli", "compile", "m.tflite", "--out",
                             "run", "--inputs", "given.npz"], capture_output=True, text=True, cwd=root)
    assert result.returncode == 0, result.stdout + result.stderr
    return root / "run", result.stderr


def test_all_targets_compute_the_same_bits(finished):
    parity = json.loads((finished[0] / "parity.json").read_text())
    required = {"tflm", "tflm_again", "host", "host_dsp", "l552"}
    required |= {"qemu"} if shutil.which("qemu-system-arm") else set()
    assert required <= {t["name"] for t in parity["targets"] if t["counts"]}
    assert (parity["windows"], parity["extremes"], parity["random"]) == (GIVEN, 9, 209)
    assert all(t["mismatches"] == 0 for t in parity["targets"] if t["counts"])


def test_pytorch_is_not_imported(finished):
    modules = {line.split("|")[-1].strip() for line in finished[1].splitlines()}
    assert "numpy" in modules
    assert not modules & {"torch", "harembed.stages"}


def test_the_report_has_the_keys_of_a_search_and_no_empty_section(finished):
    report = json.loads((finished[0] / "report.json").read_text())
    assert {k for k in report if not k.endswith("_provenance")} == set(KEYS)
    # zig tells no call graph.
    assert {k for k, v in report.items() if v is None} - {"invoke_stack_bytes"} == set(LEARNED)
    assert report["peak_ram_bytes"] == report["peak_ram_elf_bytes"] == report["peak_ram_simulated_bytes"]
    assert [t["name"] for t in report["interface"]["outputs"]] == ["s", "d"]
    assert all(layer["instructions"] > 0 and layer["cycles_modelled"] > 0 for layer in report["layers"])
    page = (finished[0] / "report.html").read_text()
    headings = re.findall(r"<h2>(.*?)</h2>\s*(<\w+)", page)
    assert [h for h, _ in headings] == ["Inputs and outputs", "Layer by layer", "Memory", "Parity", "Speed",
                                        "Flash it", "Settings"]
    assert all(following != "<h2" for _, following in headings)
    assert "None" not in page
    assert not re.findall(r"""(?:src|href)\s*=\s*["']?(?!["'#]|data:)[^>\s]+""", page)


def test_a_failed_proof_is_told_kept_apart_and_tried_again(finished, tmp_path, monkeypatch):
    folder, model = tmp_path / "again", finished[0].parent / "m.tflite"
    shutil.copytree(finished[0], folder)
    (folder / "parity.json").unlink()
    real = verify.run_tflm
    monkeypatch.setattr(verify, "run_tflm", lambda data, inputs: [a + np.int8(1) for a in real(data, inputs)])
    with pytest.raises(HarnessError, match="214 of 214 differ on TFLM interpreter"):
        compile_model(model, folder=folder, inputs=finished[0].parent / "given.npz")
    assert not (folder / "parity.json").exists()
    assert json.loads((folder / "parity_failed.json").read_text())["mismatches"] > 0


def test_an_interrupted_run_goes_on_and_another_model_is_refused(finished, tmp_path):
    folder = tmp_path / "again"
    shutil.copytree(finished[0], folder)
    model = finished[0].parent / "m.tflite"
    for name in ("profile.json", "report.json"):
        (folder / name).unlink()
    (folder / ".profile.json.999999999.tmp").write_text("half")  # of a process that was killed
    before = (folder / "graph.json").stat().st_mtime_ns
    compile_model(model, folder=folder, inputs=finished[0].parent / "given.npz")
    assert (folder / "report.json").read_text() == (finished[0] / "report.json").read_text()
    assert (folder / "graph.json").stat().st_mtime_ns == before
    assert not list(folder.glob(".*.tmp"))
    other = tmp_path / "m.tflite"
    other.write_bytes(write_tflite(two_by_two(units=8)))
    with pytest.raises(Exception, match="model_sha256"):
        compile_model(other, folder=folder, inputs=finished[0].parent / "given.npz")


def test_bench_validate_export_and_report_work_on_the_folder(finished, tmp_path):
    folder = str(finished[0])
    assert "20 of 20 windows equal" in run_cli("validate", folder, "--windows", "20")
    assert "modelled cycles" in run_cli("bench", folder)
    assert "report.html" in run_cli("report", folder)
    run_cli("export", folder, "--c", str(tmp_path / "c"), "--tflite", str(tmp_path / "m.tflite"))
    assert "he_model_input(1)" in (tmp_path / "c" / "README.md").read_text()
    subprocess.run(["cc", "-std=c11", "-Wall", "-Wextra", "-Werror", "-Wconversion", "-fsyntax-only", "-I",
                    str(tmp_path / "c"), *map(str, sorted((tmp_path / "c").glob("*.c")))], check=True)


@pytest.fixture
def board_on_a_socket(finished):
    """The simulated board behind a TCP port, where it is a board like any other."""
    board = load_board("nucleo_l552ze_q")
    simulator = SimulatedL552(finished[0] / "firmware" / "firmware.elf", "cycles", board.cycle_model)
    server = socket.create_server(("127.0.0.1", 0))

    def serve():
        line = server.accept()[0]
        while data := line.recv(4096):
            simulator.write(data)
            line.sendall(simulator.read(0.0))

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield f"socket://127.0.0.1:{server.getsockname()[1]}"
    thread.join(10)
    server.close()


def test_profile_says_where_the_time_goes_and_where_figures_come_from(finished, board_on_a_socket, tmp_path):
    page, data = tmp_path / "p.html", tmp_path / "p.json"
    text = run_cli("profile", str(finished[0]), "--port", board_on_a_socket, "--repeats", "2", "--html", str(page),
                   "--json", str(data))
    facts, report = (json.loads(p.read_text()) for p in (data, finished[0] / "report.json"))
    assert facts["provenance"] == {"macs": "counted", "bytes": "counted", "cycles_measured": "measured",
                                   "cycles_modelled": "estimated", "instructions": "simulated"}
    assert facts["total"]["instructions"] == pytest.approx(report["instructions"], rel=0.02)
    assert [n["macs"] for n in facts["layers"]] == [n["macs"] for n in report["layers"]]
    conv, mean, dense, add = facts["layers"]
    assert (conv["weight_bytes"], conv["input_bytes"], conv["output_bytes"]) == (7 * 27 + 7 * 4, 6 * 8 * 3, 3 * 4 * 7)
    assert (add["weight_bytes"], add["input_bytes"], add["output_bytes"]) == (0, 14, 7)
    # What plays the board here is the simulation itself, another time: only its cache is in another state.
    for key in ("cycles_measured", "cycles_modelled"):
        assert sum(n[key] for n in facts["layers"]) == pytest.approx(facts["total"][key], rel=0.15)
    assert conv["cycles_measured"] == pytest.approx(conv["cycles_modelled"], rel=0.05)
    for rows in (facts["layers"], facts["functions"]):
        assert sum(r["share"] for r in rows) == pytest.approx(1.0)
    assert conv["instructions"] > mean["instructions"] > 0 < dense["instructions"]
    assert conv["name"] in {f["layer"] for f in facts["functions"]}
    assert not any(f["name"].startswith(("he_parser", "he_session")) for f in facts["functions"])
    assert "bytes" in text and "simulated" in text and "Cycle model" in text
    assert page.read_text().count("<svg") == 3
    assert not re.findall(r"""(?:src|href)\s*=\s*["']?(?!["'#]|data:)[^>\s]+|<script""", page.read_text())


# name: (content of the file, its name, more arguments, what the message must name)
REFUSED = {
    "unsupported operator": (edited(cosine), "m.tflite", [], ["operator 1 (COS)"]),
    "float model": (edited(floats), "m.tflite", [], ["FLOAT32", "int8 quantisation"]),
    "truncated": (write_tflite(two_by_two())[:700], "m.tflite", [], ["damaged"]),
    "onnx": (write_onnx(two_by_two()), "m.onnx", [], ["ONNX", "onnx2tf"]),
    "onnx by another name": (write_onnx(two_by_two()), "m.tflite", [], ["ONNX", "onnx2tf"]),
    "pytorch": (b"PK\x03\x04 whatever torch.save wrote", "m.pt", [], ["PyTorch", "ai-edge-torch"]),
    "something else": (b"hello", "m.txt", [], ["not a .tflite", "5 bytes"]),
    "tensor beyond the RAM": (padded(600), "m.tflite", [], ["360,016 bytes of RAM", "258,048"]),
    "floats as inputs": (padded(9), "m.tflite", [np.zeros((3, 4, 4, 1))], ["float64", "round(x / 0.05"]),
    "inputs of another shape": (padded(9), "m.tflite", [np.zeros((3, 5), np.int8)], ["[3, 5]", "[N, 4, 4, 1]"]),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_compiled_is_refused_in_two_lines(name, tmp_path, monkeypatch, capsys):
    data, file, extra, words = REFUSED[name]
    (tmp_path / file).write_bytes(data)
    arguments = ["compile", str(tmp_path / file), "--out", str(tmp_path / "out")]
    for array in extra:
        np.save(tmp_path / "inputs.npy", array)
        arguments += ["--inputs", str(tmp_path / "inputs.npy")]
    monkeypatch.setattr(sys, "argv", ["harembed", *arguments])
    with pytest.raises(SystemExit) as stop:
        main()
    lines = [line for line in capsys.readouterr().err.splitlines() if line.strip()]
    assert stop.value.code == 2
    assert [line.split(":")[0] for line in lines] == ["error", "try"]
    for word in words:
        assert word in " ".join(lines)
    assert not (tmp_path / "out").exists()


def test_any_number_of_inputs(tmp_path):
    g = GraphBuilder("six")
    q = QParams((0.05,), -3)
    names = [g.tensor(f"x{i}", (1, 2 + i), kind=Kind.INPUT, qparams=q) for i in range(6)]
    g.tensor("y", (1, 27), qparams=q)
    g.node("concatenation", names, ["y"], ConcatenationAttrs(1))
    elf = build_firmware(generate(g.build(names, ["y"])), load_board("nucleo_l552ze_q"), tmp_path).elf
    given = [np.full((1, 2 + i), i - 3, np.int8) for i in range(6)]
    with Device(SimulatedL552(elf)) as device:
        device.load_input(*given)
        device.infer()
        assert np.array_equal(device.outputs()[0].ravel(), np.concatenate(given, axis=1).ravel())


def test_a_run_of_an_older_version_is_reported(finished, tmp_path):
    """Versions before firmware.json knew of backends and goals."""
    run = tmp_path / "run"
    shutil.copytree(finished[0], run)
    facts = json.loads((run / "firmware.json").read_text())
    for key in ("backend", "optimize", "outside", "fallbacks"):
        del facts[key]
    (run / "firmware.json").write_text(json.dumps(facts))
    assert collect(RunDir(run))["kernels"]["text"] == "harembed's own kernels"
