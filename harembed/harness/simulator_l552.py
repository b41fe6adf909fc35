"""The very image of an STM32L552 board, executed by Unicorn in this process.

Unicorn executes the instructions; this module adds what it lacks: the chip's registers (l552_registers.py),
exception entry and return (exception_frames.py), and counts (instruction_counts.py). Time does not exist:
DWT_CYCCNT yields what was chosen by `count`, SysTick interrupts come only under `preempt_every`, bytes on the
serial line take no time. Not modelled: priorities (one exception at a time), faults that the firmware handles
itself, unaligned LDRD.
"""

import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import unicorn as uc_api
from unicorn import arm_const as arm

from harembed.board import CycleModel
from harembed.errors import HarnessError
from harembed.harness.elf_image import read_elf
from harembed.harness.emulation_guard import EmulationGuard
from harembed.harness.exception_frames import enter_exception, leave_exception
from harembed.harness.instruction_counts import IT_STATE, BlockCounter, Counts, forget_it_state
from harembed.harness.l552_registers import LPUART1_EXCEPTION, LPUART1_PAGE, SYSTICK_EXCEPTION, Registers

FLASH = (0x08000000, 512 * 1024)
RAM = (0x20000000, 256 * 1024)  # SRAM1 192 KiB and, without a gap, SRAM2 64 KiB
_PERIPHERALS = ((0x40000000, 0x8000), (0x40009000, 0x37000), (0x42020000, 0x3000), (0xE0000000, 0x10000))
_PAINT = b"\xa5\x5c\xa5\x5c"
_NOWHERE = 0xFFFFFFFE  # an `until` that is never reached
_EXCEPTION_EXIT = 8  # number of Unicorn's interrupt hook
_CORE_EXCEPTIONS = {  # by their numbers in that hook: what happened, what to do
    1: ("The core does not know an instruction", "Was it compiled for another core, or is it data?"),
    2: ("The firmware makes a supervisor call", "No image of this project uses SVC."),
    7: ("The firmware stops at a breakpoint", "Remove the BKPT, or run it under a debugger."),
    17: ("A coprocessor that is absent is used", "Was it compiled for another core?"),
    18: ("The core leaves Thumb state", "Look for a call through an address without bit 0."),
    19: ("The stack overflows", "Raise memory.stack_bytes in the board file, or use less."),
}
_UNMASK = (0xB662, 0xFFFF, 0x0000, 0x0000), (0xF380, 0xFFF0, 0x8810, 0xFFFF)  # CPSIE i; MSR PRIMASK, Rn


@dataclass
class WriteTrace:
    """Which bytes of a region were written."""

    start: int
    touched: bytearray  # one byte for each byte of the region

    @property
    def bytes_touched(self) -> int:
        return sum(self.touched)

    @property
    def span(self) -> tuple[int, int]:
        """Offsets of the first written byte and behind the last; (0, 0) if none was."""
        first = self.touched.find(1)
        return (0, 0) if first < 0 else (first, self.touched.rfind(1) + 1)


@dataclass
class StackTrace:
    """How much stack a call took."""

    nbytes: int = 0  # of the function and all that it called; 0 if it was not called


class SimulatedL552:
    """A Transport whose other end is the simulated board.

    Parameters
    ----------
    elf : Path                       linked for this chip
    count : str                      what DWT_CYCCNT yields: "nothing" (0; fastest), "instructions", or
                                     "cycles" (modelled, slowest)
    cycle_model : CycleModel         of the board file; needed for "cycles"
    preempt_every : int              instructions after which pending interrupts are looked for; 0: only where
                                     the firmware waits or unmasks them
    hang_s : float                   a firmware that computes longer than this, of this process's time, hangs

    Raises
    ------
    HarnessError    the file is no image for this chip; later, anything that the real chip could not do
    """

    def __init__(self, elf: Path, count: str = "nothing", cycle_model: CycleModel | None = None,
                 preempt_every: int = 0, hang_s: float = 300.0) -> None:
        if count not in ("nothing", "instructions", "cycles") or (count == "cycles" and cycle_model is None):
            raise HarnessError(f"Cannot count {count!r} without a cycle model.",
                               "Use instructions, or a board file with [cycle_model].")
        self.name = f"simulated STM32L552 ({elf.name})"
        self.ticks = {"nothing": "nothing", "instructions": "instructions", "cycles": "modelled_cycles"}[count]
        self.image = read_elf(elf)
        self.registers = Registers(self._ticks)
        self.counter: BlockCounter | None = None
        self.exceptions = 0  # taken since the start
        self._preempts = preempt_every > 0
        self._slice = preempt_every  # 0: until something stops it
        self._hang_s = hang_s
        self._systick_left = 0
        self._systick_pending = False
        self._problem: HarnessError | None = None
        self._left_exception = False
        self._handling = 0  # exception number, 0 in thread mode
        self._uc: Any = uc_api.Uc(uc_api.UC_ARCH_ARM, uc_api.UC_MODE_THUMB | uc_api.UC_MODE_MCLASS)
        self._uc.ctl_set_cpu_model(arm.UC_CPU_ARM_CORTEX_M33)
        self._map()
        if count != "nothing":
            self._observe(cycle_model if count == "cycles" else None)
        self._reset()
        self._guard = EmulationGuard(self._uc.emu_stop, hang_s)

    # Transport

    def write(self, data: bytes) -> None:
        self.registers.received.extend(data)

    def read(self, timeout_s: float) -> bytes:
        """Run until the firmware waits for input; return what it sent."""
        self.run_until_idle()
        data = bytes(self.registers.sent)
        self.registers.sent.clear()
        if not data:
            time.sleep(timeout_s)  # nothing will come: wait as on a silent line
        return data

    def close(self) -> None:
        self._guard.close()

    # Observation

    def stack_high_water_bytes(self) -> int:
        """Most bytes of stack that were in use, found by the paint that is left."""
        return self._used_below(self.image.symbol("he_stack_top").start)

    def _used_below(self, top: int) -> int:
        low = self.image.symbol("he_stack_limit").start
        stack = bytes(self._uc.mem_read(low, top - low))
        clean = 0
        while stack[clean : clean + 4] == _PAINT:
            clean += 4
        return len(stack) - clean

    @contextmanager
    def trace_stack(self, function: str) -> Iterator[StackTrace]:
        """Paint the stack anew when a function is entered, and see how deep its call went."""
        entry, low = self.image.symbol(function).start & ~1, self.image.symbol("he_stack_limit").start
        trace, tops = StackTrace(), []

        def on_entry(uc: Any, address: int, size: int, data: object) -> None:
            tops.append(uc.reg_read(arm.UC_ARM_REG_SP))
            uc.mem_write(low, _PAINT * ((tops[-1] - low) // 4))
            forget_it_state(uc)

        hook = self._uc.hook_add(uc_api.UC_HOOK_CODE, on_entry, None, entry, entry)
        try:
            yield trace
        finally:
            self._uc.hook_del(hook)
            if tops:
                trace.nbytes = self._used_below(tops[-1])

    @contextmanager
    def trace_writes(self, symbol: str = "he_arena") -> Iterator[WriteTrace]:
        """Observe writes into a variable while the context lasts (slow)."""
        s = self.image.symbol(symbol)
        trace = WriteTrace(s.start, bytearray(s.nbytes))

        def on_write(uc: object, access: int, address: int, size: int, value: int, data: object) -> None:
            first = address - s.start
            for i in range(max(first, 0), min(first + size, s.nbytes)):
                trace.touched[i] = 1
            forget_it_state(uc)

        hook = self._uc.hook_add(uc_api.UC_HOOK_MEM_WRITE, on_write, None, s.start, s.start + s.nbytes - 1)
        try:
            yield trace
        finally:
            self._uc.hook_del(hook)

    @contextmanager
    def trace_calls(self, function: str) -> Iterator[list[Counts]]:
        """What had been counted at each call of a function, while the context lasts."""
        assert self.counter is not None
        counter, calls = self.counter, list[Counts]()
        at = self.image.symbol(function).start & ~1
        hook = self._uc.hook_add(uc_api.UC_HOOK_CODE, lambda *_: calls.append(counter.counts()), None, at, at)
        try:
            yield calls
        finally:
            self._uc.hook_del(hook)

    def instructions_by_function(self) -> dict[str, int]:
        """Instructions since the start, by function, most first; needs a count."""
        return self.counter.by_function(self.image.functions) if self.counter else {}

    def counts_by_function(self) -> dict[str, Counts]:
        """All that was counted since the start, by function; loads and misses only with "cycles"."""
        return self.counter.counts_by_function(self.image.functions) if self.counter else {}

    # Execution

    def run_until_idle(self) -> None:
        """Execute until the firmware waits for an interrupt that nothing will bring.

        Raises
        ------
        HarnessError    with function and address, for whatever the real chip would fault on or ignore
        """
        with self._guard.session():
            while not self._step():
                if self._guard.expired:
                    raise self._located(HarnessError(
                        f"The firmware has run for {self._hang_s:g} s without waiting for input.",
                        "Look for an endless loop there."))

    def _step(self) -> bool:
        """Execute up to the next reason to stop, and act on it; true if the firmware waits for input."""
        self._emulate()
        if self._left_exception:
            leave_exception(self._uc)
            self._handling = 0
            return False
        pending = self._pending()
        if pending and self._may_interrupt():
            enter_exception(self._uc, pending, self.registers.vector_table)
            self._handling = pending
            self._systick_pending &= pending != SYSTICK_EXCEPTION
            self.exceptions += 1
        return not pending and self._waits()

    def _emulate(self) -> None:
        pc = self._uc.reg_read(arm.UC_ARM_REG_PC)
        if self.counter and self.counter.instructions:
            self.counter.resume(pc)
        self._left_exception = False
        try:
            with self._guard.emulation():
                self._uc.emu_start(pc | 1, _NOWHERE, count=self._slice)
        except uc_api.UcError as e:
            if self._problem is None:
                raise self._located(HarnessError(f"{e}.", "Look at this function in the disassembly.")) from e
        if self._problem is not None:
            raise self._located(self._problem)
        if self._preempts:
            self._count_systick()

    def _count_systick(self) -> None:
        """A slice of instructions has passed (or less, before a wait)."""
        self._systick_left -= self._slice
        if self._systick_left <= 0:
            self._systick_left = self.registers.systick_period
            self._systick_pending = self._systick_left > 0

    def _waits(self) -> bool:
        """Did execution stop behind a WFI?"""
        pc = self._uc.reg_read(arm.UC_ARM_REG_PC)
        return bytes(self._uc.mem_read(pc - 2, 2)) == b"\x30\xbf"

    def _pending(self) -> int:
        if self.registers.uart_interrupt():
            return LPUART1_EXCEPTION
        return SYSTICK_EXCEPTION if self._systick_pending else 0

    def _may_interrupt(self) -> bool:
        in_it_block = self._uc.reg_read(arm.UC_ARM_REG_XPSR) & IT_STATE
        return not (self._handling or in_it_block or self._uc.reg_read(arm.UC_ARM_REG_PRIMASK))

    # Construction

    def _map(self) -> None:
        self._uc.mem_map(*FLASH, uc_api.UC_PROT_READ | uc_api.UC_PROT_EXEC)
        self._uc.mem_map(*RAM, uc_api.UC_PROT_READ | uc_api.UC_PROT_WRITE)
        for address, data in self.image.segments:
            if not FLASH[0] <= address <= address + len(data) <= sum(FLASH):
                raise HarnessError(f"{self.image.path} loads {len(data):,} bytes at 0x{address:08x}, outside the "
                                   "flash of an STM32L552.", "Build it with --board nucleo_l552ze_q.")
            self._uc.mem_write(address, data)
        for base, length in _PERIPHERALS:
            self._uc.mmio_map(base, length, self._on_register_read, base, self._on_register_write, base)
        base, length = LPUART1_PAGE
        self._uc.mmio_map(base, length, self._on_line_read, base, self._on_register_write, base)
        self._uc.hook_add(uc_api.UC_HOOK_INTR, self._on_interrupt)
        self._uc.hook_add(uc_api.UC_HOOK_MEM_INVALID, self._on_invalid)
        for address, data in self.image.segments:
            for behind in _unmasking(address, data):
                self._uc.hook_add(uc_api.UC_HOOK_CODE, self._on_unmasked, None, behind, behind)

    def _observe(self, cycle_model: CycleModel | None) -> None:
        self.counter = BlockCounter(lambda a, n: bytes(self._uc.mem_read(a, n)), FLASH,
                                    lambda: self.registers.fpu_enabled, cycle_model)
        self._uc.hook_add(uc_api.UC_HOOK_BLOCK, self._on_block)
        if cycle_model is not None:
            self._uc.hook_add(uc_api.UC_HOOK_MEM_READ, self.counter.on_load)

    def _reset(self) -> None:
        for name in ("he_stack_limit", "he_stack_top"):
            self.image.symbol(name)
        low, top = self.image.symbols["he_stack_limit"].start, self.image.symbols["he_stack_top"].start
        self._uc.mem_write(low, _PAINT * ((top - low) // 4))
        sp, pc = struct.unpack("<II", self._uc.mem_read(FLASH[0], 8))
        self._uc.reg_write(arm.UC_ARM_REG_SP, sp)
        self._uc.reg_write(arm.UC_ARM_REG_PC, pc | 1)

    # Hooks. An exception must not pass through Unicorn, so it is kept and raised by _emulate.

    def _ticks(self) -> int:
        if self.counter is None:
            return 0
        return self.counter.cycles() if self.ticks == "modelled_cycles" else self.counter.instructions

    def _on_block(self, uc: object, address: int, size: int, data: object) -> None:
        assert self.counter is not None
        try:
            self.counter.on_block(uc, address, size, data)
        except HarnessError as e:
            self._stop(e)

    def _on_register_read(self, uc: object, offset: int, size: int, base: int) -> int:
        try:
            return self.registers.read(base + offset, size)
        except HarnessError as e:
            self._stop(e)
            return 0

    def _on_line_read(self, uc: object, offset: int, size: int, base: int) -> int:
        value = self.registers.read_line(offset)
        return self._on_register_read(uc, offset, size, base) if value is None else value

    def _on_register_write(self, uc: object, offset: int, size: int, value: int, base: int) -> None:
        try:
            self.registers.write(base + offset, size, value)
        except HarnessError as e:
            self._stop(e)

    def _on_interrupt(self, uc: object, number: int, data: object) -> None:
        if number == _EXCEPTION_EXIT and self._handling:
            self._left_exception = True
            self._uc.emu_stop()
        else:
            what, hint = _CORE_EXCEPTIONS.get(number, (f"The core raises exception {number}", "See the disassembly."))
            self._stop(HarnessError(f"{what}.", hint))

    def _on_invalid(self, uc: object, access: int, address: int, size: int, value: int, data: object) -> bool:
        kind = {uc_api.UC_MEM_WRITE_UNMAPPED: "write", uc_api.UC_MEM_WRITE_PROT: "write",
                uc_api.UC_MEM_FETCH_UNMAPPED: "fetch", uc_api.UC_MEM_FETCH_PROT: "fetch"}.get(access, "read")
        place = "flash" if FLASH[0] <= address < sum(FLASH) else "no memory"
        self._problem = HarnessError(f"A {kind} of {size} bytes at 0x{address:08x} ({place}).",
                                     "Look for a wild pointer or an index beyond an array there.")
        return False

    def _on_unmasked(self, uc: object, address: int, size: int, data: object) -> None:
        if self._pending() and self._may_interrupt():
            if self.counter:
                self.counter.undo_block()
            self._uc.emu_stop()

    def _stop(self, problem: HarnessError) -> None:
        if self._problem is None:
            self._problem = problem
        self._uc.emu_stop()

    def _located(self, problem: HarnessError) -> HarnessError:
        pc = self._uc.reg_read(arm.UC_ARM_REG_PC)
        where = f"in {self.image.functions.at(pc)} near pc 0x{pc:08x}"
        return HarnessError(f"{problem.message.rstrip('.')}, {where}.", problem.hint)


def _unmasking(start: int, code: bytes) -> Iterator[int]:
    """Addresses behind each instruction that may unmask interrupts (data that looks like one does no harm)."""
    words = struct.unpack(f"<{len(code) // 2}H", code[: len(code) // 2 * 2])
    for i, first in enumerate(words):
        for a, a_mask, b, b_mask in _UNMASK:
            if first & a_mask == a and (not b_mask or (i + 1 < len(words) and words[i + 1] & b_mask == b)):
                yield start + 2 * i + (4 if b_mask else 2)
