"""Real firmware on every simulator: equal bits, exact counts, and traps for what a chip would not forgive."""

import dataclasses
import shutil
import signal
import struct
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import serial
import unicorn

from harembed.board import load_board
from harembed.build import build_firmware, build_host
from harembed.cost.memory import plan_memory
from harembed.errors import HarnessError
from harembed.export.csource import generate
from harembed.harness import connect
from harembed.harness.client import Device
from harembed.harness.instruction_counts import decode
from harembed.harness.l552_registers import Registers
from harembed.harness.measure import bench
from harembed.harness.process import free_port
from harembed.harness.protocol import Frame, Parser, Type
from harembed.harness.renode import missing_reason
from harembed.harness.simulate import simulate_board
from harembed.harness.simulator_l552 import SimulatedL552
from harembed.harness.transport import ProcessTransport, open_port
from harembed.harness.validate import random_inputs, validate, validate_inputs
from harembed.ir.graph import GraphBuilder, Kind, QParams
from harembed.ir.input_spec import make_input_spec
from harembed.ir.interpreter import Interpreter
from harembed.ir.ops import OPS
from harembed.ir.ops.conv import Conv2DAttrs, output_length
from harembed.toolchain import find_host_compiler, find_toolchain

NUCLEO, MPS2, HOST = load_board("nucleo_l552ze_q"), load_board("mps2_an505"), load_board("host")


def two_convolutions():
    """Raw [32, 7] int16, of which six channels are used, through two convolutions over time."""
    rng = np.random.default_rng(1)
    g = GraphBuilder("two convolutions")
    name = g.tensor("input", (1, 6, 32, 1), kind=Kind.INPUT, qparams=QParams((0.05,), -3))
    shape, scale = (6, 32, 1), 0.05
    for i, (filters, zero_point, activation) in enumerate([(4, -128, "relu"), (3, 7, "none")]):
        height, width, channels = shape
        scales = tuple(rng.uniform(0.002, 0.02, filters))
        weights = g.constant(f"filter_{i}", rng.integers(-127, 128, (filters, 1, 5, channels)).astype(np.int8),
                             QParams(scales, 0, 0))
        bias = g.constant(f"bias_{i}", rng.integers(-3000, 3000, filters).astype(np.int32),
                          QParams(tuple(scale * s for s in scales), 0, 0))
        shape = (height, output_length(width, 5, 2, 1, "same")[0], filters)
        output = g.tensor(f"activation_{i}", (1, *shape), qparams=QParams((0.1,), zero_point))
        g.node("conv_2d", [name, weights, bias], [output], Conv2DAttrs((1, 2), padding="same", activation=activation),
               name=f"conv {i}")
        name, scale = output, 0.1
    mean, std = rng.uniform(-500, 500, 7), rng.uniform(200, 4000, 7)
    spec = make_input_spec(mean, std, 0.05, -3, 32, [0, 2, 3, 4, 5, 6], 1, 32)
    return g.build(["input"], [name], spec, ("sit", "stand"))


GRAPH = two_convolutions()
RAW = np.random.default_rng(5).integers(-32768, 32768, (40, 32, 7)).astype(np.int16)


@pytest.fixture(scope="session")
def images(tmp_path_factory):
    """{board name: firmware}, each built when first asked for."""
    folder, built = tmp_path_factory.mktemp("images"), {}

    def image(board):
        if board.name not in built:
            sources, out = generate(GRAPH), folder / board.name
            on_host = board.kind == "host"
            built[board.name] = build_host(sources, out) if on_host else build_firmware(sources, board, out).elf
        return built[board.name]

    return image


@pytest.fixture(scope="session")
def program(tmp_path_factory):
    """Compile tests/simulated_program.c with one of its tasks for the STM32L552."""
    folder, tools = tmp_path_factory.mktemp("programs"), find_toolchain()
    flags = NUCLEO.core.zig_flags if tools.kind == "zig" else NUCLEO.core.gcc_flags

    script = folder / "link.ld"
    script.write_text("ENTRY(start) SECTIONS { .text 0x08000000 : { KEEP(*(.vectors)) *(.text*) *(.rodata*) } "
                      ".bss 0x20001000 (NOLOAD) : { *(.bss*) } /DISCARD/ : { *(.ARM.ex*) } "
                      "he_stack_limit = 0x20002000; he_stack_top = 0x20003000; }")

    def build(task):
        elf = folder / f"{task}.elf"
        subprocess.run(
            [*tools.command, *flags, "-O1", "-ffreestanding", "-nostdlib", f"-DTASK={task}", "-w",
             str(Path(__file__).with_name("simulated_program.c")), "-o", str(elf), f"-Wl,-T,{script}"], check=True)
        return elf

    return build


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


@pytest.fixture
def needs_qemu():
    def check():
        if shutil.which("qemu-system-arm") is None:
            pytest.skip("qemu-system-arm is not installed")

    return check


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


def test_peak_ram_of_plan_image_and_trace_agree(images):
    run = simulate_board(images(NUCLEO), NUCLEO, RAW[0])
    planned = plan_memory(GRAPH).arena_bytes
    assert (run.arena_bytes, run.arena_span) == (planned, (0, planned))
    assert 100 < run.stack_bytes < NUCLEO.memory.stack_bytes
    assert (run.instructions.unit, run.cycles.unit) == ("instructions", "modelled_cycles")
    assert (run.instructions.provenance, run.cycles.provenance) == ("simulated", "estimated")
    assert 1.0 < run.cycles.median / run.instructions.median < 2.0
    layers = sum(layer.ticks for layer in run.instructions.layers)
    assert abs(run.instructions.median - layers) < 100  # reading the counter takes instructions too
    assert run.cycles.latency_us == pytest.approx(run.cycles.median / 110.0)
    assert run.instructions.latency_us is None


def test_block_counts_equal_a_count_of_every_instruction(images):
    simulator, every = SimulatedL552(images(NUCLEO), "instructions"), Counter()

    def count(uc, address, size, data):
        every[simulator.image.functions.at(address)] += 1

    simulator._uc.hook_add(unicorn.UC_HOOK_CODE, count)
    with Device(simulator) as device:
        device.load_raw(RAW[0])
        device.infer()
        blocks = simulator.instructions_by_function()
        # Unicorn's own hook passes over instructions that an IT block skips; a core spends a cycle on each.
        conditional = {name for name in blocks if has_it_block(simulator, name)}
    assert blocks.keys() == every.keys()
    assert {k: v for k, v in blocks.items() if k not in conditional} == {
        k: v for k, v in every.items() if k not in conditional}
    assert len(blocks.keys() - conditional) > 10
    assert all(every[k] <= blocks[k] < 1.2 * every[k] + 2 for k in conditional)
    assert simulator.exceptions > 5


def has_it_block(simulator, function):
    symbol = simulator.image.symbol(function)
    code = simulator._uc.mem_read(symbol.start & ~1, symbol.nbytes)
    return any(high == 0xBF and low & 0xF for low, high in zip(code[::2], code[1::2], strict=True))


@pytest.mark.qemu
def test_qemu_counts_the_instructions_that_unicorn_counts(images, needs_qemu):
    needs_qemu()
    with connect(MPS2, images(MPS2)) as device:
        on_qemu = bench(device, 1, RAW[0])
    assert device.transport._process.poll() is not None  # reaped
    with connect(NUCLEO, images(NUCLEO), count="instructions") as device:
        on_unicorn = bench(device, 1, RAW[0])
    for a, b in zip(on_qemu.layers, on_unicorn.layers, strict=True):
        assert abs(a.ticks - b.ticks) < 40  # reading SysTick takes more instructions than reading DWT
    with connect(NUCLEO, images(NUCLEO)) as device, pytest.raises(HarnessError, match="counts nothing"):
        bench(device)


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


def test_bytes_that_arrive_during_an_inference_are_kept(images):
    simulator = SimulatedL552(images(NUCLEO), preempt_every=997)
    device = Device(simulator)
    device.load_raw(RAW[0])
    emulate, late, taken = simulator._emulate, [], []

    def emulate_and_send():
        emulate()
        if late and len(taken) < 3 * len(Frame(Type.STATUS, 0).encode()) and len(taken) % 3 == 0:
            simulator.write(late.pop(0))
        taken.append(simulator._handling)

    frame = Frame(Type.STATUS, 1234)
    late += [bytes([b]) for b in frame.encode()]
    simulator._emulate = emulate_and_send
    simulator.write(Frame(Type.INFER, 1233).encode())
    before = simulator.exceptions
    answers = Parser().feed(simulator.read(0.0))
    assert [a.sequence for a in answers] == [1233, 1234]
    assert simulator.exceptions - before >= 10
    simulator._emulate = emulate
    assert (device.logits() == reference_logits(RAW[:1])).all()
    assert device.status().overruns == 0


def reference_logits(raw):
    return Interpreter(GRAPH).run_raw(raw)[0].ravel()


@pytest.mark.parametrize("task, count, message", [
    ("write_flash", "nothing", r"A write of 4 bytes at 0x08001000 \(flash\), in start"),
    ("read_null", "nothing", r"A read of 4 bytes at 0x00000000 \(no memory\)"),
    ("write_beyond_ram", "nothing", r"A write of 4 bytes at 0x20040000"),
    ("uart_without_clock", "nothing", "LPUART1 is used at 0x40008028 while its clock is off"),
    ("uart_without_pins", "nothing", "PG7 and PG8 are not LPUART1's pins"),
    ("use_timer", "nothing", "No modelled register is at 0x40000000"),
    ("supervisor_call", "nothing", "The firmware makes a supervisor call, in start"),
    ("stack_overflow", "nothing", "The stack overflows, in deeper"),
    ("use_fpu", "instructions", "An FPU instruction runs near .* while the FPU is off"),
])
def test_what_a_chip_would_not_forgive_is_trapped(program, task, count, message):
    with pytest.raises(HarnessError, match=message):
        SimulatedL552(program(task), count).run_until_idle()


def test_a_hanging_firmware_is_named(program):
    simulator = SimulatedL552(program("loop_for_ever"), hang_s=0.1)
    with pytest.raises(HarnessError, match=r"run for 0.1 s without waiting for input, in (start|loop_for_ever)"):
        simulator.run_until_idle()


@pytest.mark.parametrize("count", ["nothing", "cycles"])
def test_ctrl_c_ends_an_inference(images, count):
    script = ("import sys; from pathlib import Path; from harembed.board import load_board\n"
              "from harembed.harness import connect\n"
              "with connect(load_board('nucleo_l552ze_q'), Path(sys.argv[1]), count=sys.argv[2]) as device:\n"
              "    device.load_input(__import__('numpy').zeros(192, 'int8')); print('ready', flush=True)\n"
              "    device.repeat(10_000_000)")
    harness = subprocess.Popen([sys.executable, "-c", script, str(images(NUCLEO)), count], stdout=subprocess.PIPE,
                               # A shell that runs the tests in the background has them ignore Ctrl-C.
                               stderr=subprocess.PIPE,
                               preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
    harness.stdout.readline()
    time.sleep(0.1)
    harness.send_signal(signal.SIGINT)
    _, said = harness.communicate(timeout=20)
    assert said.decode().splitlines()[-1] == "KeyboardInterrupt"


@pytest.mark.parametrize("count", ["nothing", "instructions", "cycles"])
def test_observation_changes_nothing(program, count):
    simulator = SimulatedL552(program("load_conditionally"), count, NUCLEO.cycle_model)
    simulator.run_until_idle()
    assert result_of(simulator)[0] == 7


def result_of(simulator):
    return struct.unpack("<II", simulator._uc.mem_read(simulator.image.symbol("result").start, 8))


def test_interrupts_preserve_all_registers(program):
    simulator = SimulatedL552(program("interrupted_sum"), preempt_every=53)
    simulator.run_until_idle()
    total, interrupts = result_of(simulator)
    assert (total, interrupts) == (999_500, simulator.exceptions)
    assert interrupts > 50


@pytest.mark.parametrize("writes, message", [
    ([(0x40021008, 1)], "source 1, which is not ready"),
    ([(0x40021000, 1 << 24 | 0x63)], "PLL is switched on without a running source"),
    ([(0x4002100C, 1 | 55 << 8), (0x40021000, 1 << 24 | 0x6B), (0x40021008, 3)], "jumps above 80 MHz"),
    ([(0x4002100C, 1 | 40 << 8), (0x40021000, 1 << 24 | 0x6B), (0x40021008, 3)],
     "80,000,000 Hz with 0 flash wait states"),
    ([(0x40021058, 1 << 28), (0x40022000, 3), (0x4002100C, 1 | 40 << 8), (0x40021000, 1 << 24 | 0x6B),
      (0x40021008, 3)], "80,000,000 Hz in voltage range 2"),
    ([(0x40030400, 5), (0x40030400, 1)], "WAYSEL changes while the cache is on"),
    ([(0x40007000, 0)], "PWR is used at 0x40007000 while its clock is off"),
])
def test_register_traps(writes, message):
    registers = Registers(lambda: 0)
    for address, value in writes[:-1]:
        registers.write(address, 4, value)
    with pytest.raises(HarnessError, match=message):
        registers.write(writes[-1][0], 4, writes[-1][1])


@pytest.mark.parametrize("code, expected", [
    ("00bf 30bf", (2, False, False)), ("4ff00060", (1, False, False)), ("b0ee000a", (1, True, False)),
    ("93ed000b", (1, True, False)), ("d3e90045 0130", (2, False, False)), ("18bf 7047", (2, False, True)),
])
def test_thumb_decoding(code, expected):
    assert decode(bytes.fromhex(code)) == expected


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


@pytest.mark.renode
def test_renode_computes_the_bits_of_the_interpreter(images):
    if reason := missing_reason(NUCLEO):
        pytest.skip(reason)
    with connect(NUCLEO, images(NUCLEO), simulator="renode") as device:
        assert validate(device, GRAPH, RAW).mismatches == 0
