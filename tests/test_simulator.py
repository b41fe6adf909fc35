"""The simulated STM32L552: exact counts, interrupts, and traps for what a chip would not forgive."""

import signal
import struct
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
import unicorn
from small_firmware import GRAPH, MPS2, NUCLEO, RAW, reference_logits

from harembed.cost.memory import plan_memory
from harembed.errors import HarnessError
from harembed.harness import connect
from harembed.harness.client import Device
from harembed.harness.instruction_counts import decode
from harembed.harness.l552_registers import Registers
from harembed.harness.measure import bench
from harembed.harness.protocol import Frame, Parser, Type
from harembed.harness.simulate import simulate_board
from harembed.harness.simulator_l552 import SimulatedL552
from harembed.toolchain import find_toolchain


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


@pytest.mark.parametrize("task", ["load_conditionally", "load_conditionally_across_pages"])
@pytest.mark.parametrize("count", ["nothing", "instructions", "cycles"])
def test_observation_changes_nothing(program, count, task):
    simulator = SimulatedL552(program(task), count, NUCLEO.cycle_model)
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
