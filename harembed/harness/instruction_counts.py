"""Counts of what a simulated Cortex-M33 executes: instructions, taken branches, words loaded, cache misses.

Unicorn reports each basic block as it is entered and each load. A block is decoded once; its instruction count
equals that of a hook on every instruction. A conditional instruction that is skipped inside an IT block counts as
executed, as on silicon, where it takes its cycle. Within a block the cache sees the fetches before the loads.
"""

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from unicorn.arm_const import UC_ARM_REG_XPSR

from harembed.board import CycleModel
from harembed.errors import HarnessError

IT_STATE = 0x0600FC00  # of XPSR


@dataclass(frozen=True)
class Counts:
    instructions: int
    taken_branches: int
    loaded_words: int  # 0 unless loads are observed
    cache_misses: int  # as loaded_words

    def __sub__(self, other: "Counts") -> "Counts":
        return Counts(self.instructions - other.instructions, self.taken_branches - other.taken_branches,
                      self.loaded_words - other.loaded_words, self.cache_misses - other.cache_misses)

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(self.instructions + other.instructions, self.taken_branches + other.taken_branches,
                      self.loaded_words + other.loaded_words, self.cache_misses + other.cache_misses)

    def cycles(self, model: CycleModel) -> float:
        return model.cycles(self.instructions, self.taken_branches, self.loaded_words, self.cache_misses)


NOTHING = Counts(0, 0, 0, 0)


@dataclass(frozen=True)
class Symbol:
    name: str
    start: int
    nbytes: int


class SymbolTable:
    """Functions by address."""

    def __init__(self, functions: Sequence[Symbol]) -> None:
        self._functions = sorted(functions, key=lambda s: s.start)
        self._starts = [s.start for s in self._functions]

    def at(self, address: int) -> str:
        """The name of the function around an address, or the address in hex."""
        i = bisect_right(self._starts, address) - 1
        if i >= 0 and address < self._functions[i].start + max(self._functions[i].nbytes, 2):
            return self._functions[i].name
        return f"0x{address:08x}"


def forget_it_state(uc: Any) -> None:
    """Call at the end of a memory hook on an access inside an IT block.

    Unicorn (2.1.4) writes the block's condition into the CPU's state before such a hook and leaves it there, where
    the code after the IT block finds it. The translated block itself does not read it again.
    """
    xpsr = uc.reg_read(UC_ARM_REG_XPSR)
    if xpsr & IT_STATE:
        uc.reg_write(UC_ARM_REG_XPSR, xpsr & ~IT_STATE)


def decode(code: bytes) -> tuple[int, bool, bool]:
    """(instructions, is there an FPU instruction, is there an IT block) of Thumb code without data."""
    count, fpu, conditional, at = 0, False, False, 0
    while at < len(code):
        first = code[at] | code[at + 1] << 8
        conditional |= first & 0xFF00 == 0xBF00 and first & 0xF != 0
        wide = first >> 11 in (0b11101, 0b11110, 0b11111)
        if wide and first & 0xEC00 == 0xEC00 and at + 3 < len(code):
            fpu |= code[at + 3] & 0x0E == 0x0A  # coprocessors 10 and 11
        count += 1
        at += 4 if wide else 2
    return count, fpu, conditional


class BlockCounter:
    """Hooks for Unicorn and their totals.

    Parameters
    ----------
    code : reads memory, (address, bytes) -> bytes
    flash : (first address, bytes) that the cache covers
    fpu_enabled : asked when a block with FPU instructions is first entered
    model : CycleModel    its cache is simulated; None counts no misses
    """

    def __init__(self, code: Callable[[int, int], bytes], flash: tuple[int, int], fpu_enabled: Callable[[], bool],
                 model: CycleModel | None) -> None:
        self._code, self._fpu_enabled, self._model = code, fpu_enabled, model
        self._first, self._last = flash[0], flash[0] + flash[1]
        if model and model.cache_ways != 1:
            raise HarnessError(f"The cache model knows 1 way, the board file says {model.cache_ways}.",
                               "Set cycle_model.cache_ways = 1 and enable the cache so.")
        self._line = model.cache_line_bytes if model else 16
        self._tags = [-1] * (model.cache_bytes // model.cache_line_bytes if model else 1)
        self._blocks: dict[tuple[int, int], list[Any]] = {}  # see _decode
        self._entered: list[Any] | None = None
        self._end = 0  # where the last block would fall through to
        self.instructions = self.taken_branches = self.loaded_words = self.cache_misses = 0

    def on_block(self, uc: object, address: int, size: int, data: object) -> None:
        block = self._blocks.get((address, size)) or self._decode(address, size)
        block[0] += 1
        self.instructions += block[1]
        if address != self._end:
            self.taken_branches += 1
            block[6] += 1
        self._end = block[2]
        self._entered = block
        if self._model is not None:
            tags, sets = self._tags, len(self._tags)
            for line in range(block[3], block[4]):
                if tags[line % sets] != line:
                    tags[line % sets] = line
                    self.cache_misses += 1
                    block[8] += 1

    def on_load(self, uc: Any, access: int, address: int, size: int, value: int, data: object) -> None:
        words, block = (size + 3) // 4, self._entered
        self.loaded_words += words
        if self._first <= address < self._last:
            line, sets = address // self._line, len(self._tags)
            if self._tags[line % sets] != line:
                self._tags[line % sets] = line
                self.cache_misses += 1
                if block is not None:
                    block[8] += 1
        if block is not None:
            block[7] += words
            if block[5]:
                forget_it_state(uc)

    def resume(self, address: int) -> None:
        """Execution goes on at an address without a branch (after WFI, or into and out of an exception)."""
        self._end = address

    def undo_block(self) -> None:
        """The block that was entered last did not execute: an exception came first."""
        if self._entered is not None:
            self._entered[0] -= 1
            self.instructions -= self._entered[1]

    def counts(self) -> Counts:
        return Counts(self.instructions, self.taken_branches, self.loaded_words, self.cache_misses)

    def cycles(self) -> int:
        """Modelled cycles so far, rounded down."""
        assert self._model is not None
        return int(self._model.cycles(self.instructions, self.taken_branches, self.loaded_words, self.cache_misses))

    def counts_by_function(self, symbols: SymbolTable) -> dict[str, Counts]:
        """What each function did; a taken branch counts where it leads to."""
        totals: dict[str, Counts] = {}
        for (address, _), block in self._blocks.items():
            name = symbols.at(address)
            counts = Counts(block[0] * block[1], block[6], block[7], block[8])
            totals[name] = totals.get(name, NOTHING) + counts
        return totals

    def by_function(self, symbols: SymbolTable) -> dict[str, int]:
        """Instructions of each function, most first."""
        totals = {k: v.instructions for k, v in self.counts_by_function(symbols).items()}
        return dict(sorted(((k, v) for k, v in totals.items() if v), key=lambda item: -item[1]))

    def _decode(self, address: int, size: int) -> list[Any]:
        """[runs, instructions, end, first cache line, behind last, may be in an IT block, taken branches to it, words
        loaded, cache misses] of a new block."""
        count, fpu, conditional = decode(self._code(address, size))
        # Unicorn ends blocks at its pages of 1 KiB, even in the middle of an IT block.
        conditional |= self._entered is not None and self._entered[5] and address == self._end
        if fpu and not self._fpu_enabled():
            raise HarnessError(f"An FPU instruction runs near 0x{address:08x} while the FPU is off.",
                               "Set bits 20-23 of CPACR in the reset handler.")
        flash = self._first <= address < self._last
        block = [0, count, address + size, address // self._line,
                 (address + size - 1) // self._line + 1 if flash else address // self._line, conditional,
                 0, 0, 0]
        self._blocks[(address, size)] = block
        return block
