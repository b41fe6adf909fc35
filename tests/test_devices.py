"""The harness with real firmware: equal bits on every device, transports, and errors that say what to do."""

import dataclasses
import shutil
import struct
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import serial
from small_firmware import GRAPH, HOST, MPS2, NUCLEO, RAW, reference_logits

from harembed.build import build_host
from harembed.cost.memory import plan_memory
from harembed.errors import HarnessError
from harembed.export.csource import generate
from harembed.harness import connect
from harembed.harness.client import Device
from harembed.harness.process import free_port
from harembed.harness.protocol import Frame, Type
from harembed.harness.renode import missing_reason
from harembed.harness.simulator_l552 import SimulatedL552
from harembed.harness.transport import ProcessTransport, open_port
from harembed.harness.validate import random_inputs, validate, validate_inputs
from harembed.ir.graph import Kind
from harembed.ir.interpreter import Interpreter
from harembed.ir.ops import OPS
from harembed.toolchain import find_host_compiler

boards = pytest.mark.parametrize("board", [
    pytest.param(HOST, id="host"), pytest.param(NUCLEO, id="l552"),
    pytest.param(MPS2, id="qemu", marks=pytest.mark.qemu),
])


@boards
def test_devices_compute_the_bits_of_the_interpreter(images, board, needs_qemu):
    if board is MPS2:
        needs_qemu()
    with connect(board, images(board)) as device:
        raw = validate(device, GRAPH, RAW)
        random = validate_inputs(device, GRAPH, *random_inputs(GRAPH, 20, seed=3))
        status = device.status()
    assert (raw.mismatches, raw.windows, random.mismatches, random.windows) == (0, 40, 0, 20)
    assert (status.overruns, status.crc_errors, status.discarded, status.runs, device.retries) == (0, 0, 0, 60, 0)


def test_info_tells_the_graph_and_the_plan(images):
    with connect(NUCLEO, images(NUCLEO)) as device:
        info = device.info()
    assert (info.id, info.board, info.clock_hz, info.icache_enabled, info.icache_ways) == (
        GRAPH.id(), "nucleo_l552ze_q", 110_000_000, True, 1)
    assert (info.arena_bytes, info.window_bytes, info.raw) == (plan_memory(GRAPH).arena_bytes, 192, (32, 7, 6))
    assert [(t.name, t.shape, t.dtype, t.scale, t.zero_point) for t in (*info.inputs, *info.outputs)] == [
        (t.name, t.shape, t.dtype, t.scale, t.zero_point) for t in (GRAPH["input"], GRAPH["activation_1"])]
    assert ([n.name for n in info.nodes], info.labels) == (["conv 0", "conv 1"], ("sit", "stand"))


def test_a_difference_is_located_by_taps(images, monkeypatch):
    tensors = dict(GRAPH.tensors)
    bias = tensors["bias_1"].data.copy()
    bias[2] += 5000
    tensors["bias_1"] = dataclasses.replace(tensors["bias_1"], data=bias)
    other = dataclasses.replace(GRAPH, tensors=tensors)
    with connect(HOST, images(HOST)) as device:
        with pytest.raises(HarnessError, match=f"runs model two convolutions \\({GRAPH.id()}\\), not {other.id()}"):
            validate(device, other, RAW[:1])
        monkeypatch.setattr(device, "expect", lambda **_: device.info())
        report = validate(device, other, RAW)
    assert report.mismatches > 0
    assert (report.first_difference.node, report.first_difference.index % 3) == ("conv 1", 2)


@pytest.mark.parametrize("op, case", [("add", "same_shape"), ("lstm", "typical")])
def test_several_inputs_and_states_cross_the_protocol(tmp_path, op, case):
    graph = next(c for c in OPS[op].CASES if c.name == case).build(np.random.default_rng(0))
    inputs = random_inputs(graph, 5, seed=1)
    with connect(HOST, build_host(generate(graph), tmp_path)) as device:
        info = device.info()
        assert (len(info.inputs), len(info.states)) == (len(graph.inputs), len(graph.of_kind(Kind.STATE)))
        assert validate_inputs(device, graph, *inputs).mismatches == 0
        device.load_input(*(a[0] for a in inputs))
        taps = dict(Interpreter(graph).trace(*(a[:1] for a in inputs)))
        for i, node in enumerate(graph.nodes):
            assert device.tap(i) == np.ascontiguousarray(taps[node.outputs[0]]).tobytes()


def test_a_damaged_line_and_wrong_use_are_explained(images):
    with connect(HOST, images(HOST)) as device:
        with pytest.raises(HarnessError, match="has no complete window; 192 bytes are missing"):
            device.infer()
        with pytest.raises(HarnessError, match=r"takes windows int16 \[32, 7\], got int16 \[7, 32\]"):
            device.load_raw(RAW[0].T)
        with pytest.raises(HarnessError, match="says that it is 'host', not 'nucleo_l552ze_q'"):
            device.expect(board="nucleo_l552ze_q")
        device.load_raw(RAW[0])
        device.transport.write(b"\xa5\x5a\x40noise")  # a frame of 64 bytes seems to begin
        device.timeout_s = 0.05
        assert device.repeat(3).n == 3
        assert (device.logits() == reference_logits(RAW[:1])).all()
        assert (device.retries > 0, device.status().crc_errors) == (True, 1)


def test_sanitizers_find_nothing_under_noise(tmp_path):
    """Random bytes, and well-formed frames with random content, at a host program with ASan and UBSan."""
    if find_host_compiler().kind == "zig":
        pytest.skip("zig cc brings no AddressSanitizer; gcc and clang are not installed")
    program = build_host(generate(GRAPH), tmp_path, sanitize=True)
    rng = np.random.default_rng(2)
    with Device(ProcessTransport([str(program)])) as device:
        for _ in range(300):
            kind = int(rng.choice([*Type, rng.integers(256)]))
            payload = rng.integers(0, 256, rng.integers(0, 65)).astype(np.uint8).tobytes()
            if rng.random() < 0.5:  # small numbers pass more checks than random ones
                payload = struct.pack("<II", *rng.integers(0, 400, 2)) + payload[: rng.integers(0, 57)]
            if kind != Type.REPEAT:
                device.transport.write(Frame(kind, int(rng.integers(65536)), payload).encode())
            device.transport.write(rng.integers(0, 256, rng.integers(0, 9)).astype(np.uint8).tobytes())
        device.transport.write(bytes(80))
        assert validate(device, GRAPH, RAW[:5]).mismatches == 0


def test_serial_port_pty_and_socket(images):
    program = subprocess.Popen([str(images(HOST)), "pty"], stderr=subprocess.PIPE)
    try:
        path = program.stderr.readline().decode().strip()
        with connect(HOST, port=path) as device:
            assert validate(device, GRAPH, RAW[:2]).mismatches == 0
            with pytest.raises(HarnessError, match="is in use by another program"):
                open_port(path)
    finally:
        program.kill()
        program.wait()
        program.stderr.close()
    port = free_port()
    program = subprocess.Popen([str(images(HOST)), f"tcp:{port}"])
    try:
        with connect(HOST, port=f"socket://127.0.0.1:{port}") as device:
            assert validate(device, GRAPH, RAW[:2]).mismatches == 0
    finally:
        program.wait(timeout=5)  # ends when the line is closed


@pytest.mark.parametrize("open_it, message", [
    (lambda: open_port("/dev/no_such_port"), "There is no serial port /dev/no_such_port"),
    (lambda: open_port("socket://localhost"), "names no port number"),
    (lambda: ProcessTransport(["./no_such_program"]), "Cannot start ./no_such_program"),
    (lambda: SimulatedL552(Path("no.elf")), "There is no firmware no.elf"),
    (lambda: SimulatedL552(Path(__file__)), "is not an ELF file"),
    (lambda: connect(HOST, Path("x"), simulator="quemu"), "Did you mean 'qemu'"),
    (lambda: connect(MPS2, Path("x"), simulator="l552"), "Board mps2_an505 is no STM32L552"),
    (lambda: connect(NUCLEO), "No firmware to run on l552"),
])
def test_what_cannot_be_opened_is_explained(open_it, message):
    with pytest.raises(HarnessError, match=message):
        open_it()


def test_a_forbidden_port_is_explained(monkeypatch):
    def refuse(*_, **__):
        raise serial.SerialException(13, "could not open port /dev/ttyACM0: [Errno 13] Permission denied")

    monkeypatch.setattr(serial, "serial_for_url", refuse)
    with pytest.raises(HarnessError, match="You may not open /dev/ttyACM0") as e:
        open_port("/dev/ttyACM0")
    assert "dialout" in e.value.hint


def test_missing_programs_are_explained(images, monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(HarnessError, match="qemu-system-arm is not installed"):
        connect(MPS2, Path("x.elf"))
    assert "no `renode` program" in missing_reason(NUCLEO)


@pytest.mark.qemu
def test_a_killed_harness_leaves_no_qemu(images, needs_qemu):
    needs_qemu()
    if shutil.which("setpriv") is None:
        pytest.skip("setpriv is not installed")
    script = ("import sys, time; from pathlib import Path; from harembed.board import load_board\n"
              "from harembed.harness.simulator_qemu import QemuTransport\n"
              "line = QemuTransport(Path(sys.argv[1]), load_board('mps2_an505'))\n"
              "print(line._process.pid, flush=True); time.sleep(60)")
    harness = subprocess.Popen([sys.executable, "-c", script, str(images(MPS2))], stdout=subprocess.PIPE)
    qemu = Path(f"/proc/{int(harness.stdout.readline())}/stat")
    assert qemu.read_text().rpartition(")")[2].split()[0] != "Z"
    harness.kill()
    harness.communicate()
    for _ in range(100):
        if not qemu.exists() or qemu.read_text().rpartition(")")[2].split()[0] == "Z":  # nobody reaps it here
            return
        time.sleep(0.02)
    pytest.fail("QEMU still runs")


@pytest.mark.renode
def test_renode_computes_the_bits_of_the_interpreter(images):
    if reason := missing_reason(NUCLEO):
        pytest.skip(reason)
    with connect(NUCLEO, images(NUCLEO), simulator="renode") as device:
        assert validate(device, GRAPH, RAW).mismatches == 0
