"""The registers of an STM32L552 that a firmware of this project touches, as far as a simulator must know them.

Ready bits follow their enable bits at once. What real silicon would silently ignore is trapped instead: a
peripheral used before its clock, a line before its pins, a core clock too fast for the flash wait states, an
address that no modelled register has. Addresses and bits: RM0438; core registers: DDI 0553.
"""

from collections import deque
from collections.abc import Callable

from harembed.errors import HarnessError

LPUART1_PAGE = 0x40008000, 0x1000
LPUART1_EXCEPTION = 16 + 66
SYSTICK_EXCEPTION = 15

_RCC, _PWR, _FLASH, _ICACHE = 0x40021000, 0x40007000, 0x40022000, 0x40030400
_GPIOG, _LPUART = 0x42021800, LPUART1_PAGE[0]
_CR1, _CR3, _BRR, _ISR, _ICR, _RDR, _TDR = (_LPUART + o for o in (0x00, 0x08, 0x0C, 0x1C, 0x20, 0x24, 0x28))
_DWT_CTRL, _CYCCNT, _DEMCR = 0xE0001000, 0xE0001004, 0xE000EDFC
_SYST_CSR, _SYST_RVR, _SYST_CVR = 0xE000E010, 0xE000E014, 0xE000E018
_ISER, _ICER, _ICSR, _VTOR, _CPACR = 0xE000E100, 0xE000E180, 0xE000ED04, 0xE000ED08, 0xE000ED88

# Values after a reset, where they are not 0.
_RESET = {_RCC: 0x63, _RCC + 0x48: 0x100, _RCC + 0x94: 0x0C000600, _PWR: 0x400, _ICACHE: 0x4,
          _GPIOG: 0xFFFFFFFF, 0xE000ED00: 0x410FD214, _VTOR: 0x08000000, 0xE000EF34: 0xC0000000}
# First address, bytes, name, (enable register, bit, its name) or None.
_BLOCKS = (
    (_RCC, 0x9C, "RCC", None),
    (_PWR, 0x88, "PWR", (_RCC + 0x58, 28, "RCC_APB1ENR1.PWREN")),
    (_FLASH, 0x60, "FLASH", None),
    (_ICACHE, 0x30, "ICACHE", None),
    *((0x42020000 + 0x400 * i, 0x30, f"GPIO{chr(65 + i)}", (_RCC + 0x4C, i, f"RCC_AHB2ENR.GPIO{chr(65 + i)}EN"))
      for i in range(8)),
    (_LPUART, 0x30, "LPUART1", (_RCC + 0x5C, 0, "RCC_APB1ENR2.LPUART1EN")),
    (_DWT_CTRL, 0x60, "DWT", None),
    (0xE000E000, 0x1000, "SCS", None),
)
_MSI_KHZ = (100, 200, 400, 800, 1000, 2000, 4000, 8000, 16000, 24000, 32000, 48000)
_AHB_SHIFT = (0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 6, 7, 8, 9)


class Registers:
    """Reads and writes by address; host bytes in `received`, device bytes in `sent`.

    Parameters
    ----------
    cycles : returns what DWT_CYCCNT counts
    """

    def __init__(self, cycles: Callable[[], int]) -> None:
        self._cycles = cycles
        self._cycle_origin = 0
        self._values = dict(_RESET)
        self._usable: dict[int, int] = {}  # addresses that were checked, to their word register
        self._receives = False  # LPUART1 was checked: it has its clock, and is on
        self.received: deque[int] = deque()
        self.sent = bytearray()
        self._reads: dict[int, Callable[[], int]] = {
            _ISR: self._read_isr, _RDR: self._read_rdr, _CYCCNT: self._read_cyccnt, _ICSR: lambda: 0,
            _PWR + 0x14: lambda: 0,  # VOSF: the regulator is always ready
            _ICACHE + 0x04: lambda: 0x2,  # never busy
        }
        self._writes: dict[int, Callable[[int], None]] = {
            _RCC: self._write_rcc_cr, _RCC + 0x08: self._write_rcc_cfgr, _FLASH: self._write_flash_acr,
            _ICACHE: self._write_icache_cr, _TDR: self._write_tdr, _CR1: self._write_cr1, _ICR: lambda v: None,
            _CYCCNT: self._write_cyccnt,
        }

    def read(self, address: int, size: int) -> int:
        register = self._register(address)
        special = self._reads.get(register)
        value = special() if special else self._values.get(register, 0)
        return (value >> (8 * (address - register))) & ((1 << 8 * size) - 1)

    def read_line(self, offset: int) -> int | None:
        """A word of LPUART1 that is asked for with every byte, if it may be had without another check."""
        if self._receives:
            if offset == _ISR - _LPUART:
                return 0x6000E0 if self.received else 0x6000C0
            if offset == _RDR - _LPUART and self.received:
                return self.received.popleft()
        return None

    def write(self, address: int, size: int, value: int) -> None:
        register = self._register(address)
        if _RCC <= register < _RCC + 0x9C:
            self._usable.clear()  # a clock may go off
            self._receives = False
        if size < 4 and register != _TDR:
            shift = 8 * (address - register)
            mask = ((1 << 8 * size) - 1) << shift
            value = (self._values.get(register, 0) & ~mask) | (value << shift & mask)
        if _ISER <= register < _ISER + 0x40 or _ICER <= register < _ICER + 0x40:
            self._write_nvic(register, value)
            return
        special = self._writes.get(register)
        if special:
            special(value)
        else:
            self._values[register] = value

    @property
    def fpu_enabled(self) -> bool:
        return self._values.get(_CPACR, 0) >> 20 & 0xF == 0xF

    @property
    def vector_table(self) -> int:
        return self._values[_VTOR]

    @property
    def systick_period(self) -> int:
        """Instructions between two SysTick interrupts; 0 if it is off."""
        on = self._values.get(_SYST_CSR, 0) & 3 == 3
        return self._values.get(_SYST_RVR, 0) + 1 if on else 0

    def uart_interrupt(self) -> bool:
        """Does LPUART1 ask for an interrupt that is enabled?"""
        enabled = self._values.get(_ISER + 4 * (66 // 32), 0) >> 66 % 32 & 1
        return bool(self.received and enabled and self._values.get(_CR1, 0) & 0x25 == 0x25)  # UE, RE, RXNEIE

    def core_clock_hz(self) -> int:
        return self._core_clock_hz(self._values.get(_RCC + 0x08, 0))

    def _register(self, address: int) -> int:
        """The word register that holds an address, once its peripheral is known to be usable."""
        known = self._usable.get(address)
        return self._check_register(address) if known is None else known

    def _check_register(self, address: int) -> int:
        for start, length, name, gate in _BLOCKS:
            if start <= address < start + length:
                if gate and not self._values.get(gate[0], 0) >> gate[1] & 1:
                    raise _trap(f"{name} is used at 0x{address:08x} while its clock is off",
                                f"Set {gate[2]} first.")
                self._usable[address] = address & ~3
                return address & ~3
        raise _trap(f"No modelled register is at 0x{address:08x}",
                    "Correct the address, or add the peripheral to harembed/harness/l552_registers.py.")

    # RCC, PWR, FLASH, ICACHE

    def _write_rcc_cr(self, value: int) -> None:
        for enable, ready in ((0, 1), (8, 10), (16, 17), (24, 25), (26, 27)):
            value = value & ~(1 << ready) | (value >> enable & 1) << ready
        if value >> 24 & 1 and not self._pll_input_hz(value):
            raise _trap("The PLL is switched on without a running source", "Choose and start PLLSRC first.")
        self._values[_RCC] = value

    def _write_rcc_cfgr(self, value: int) -> None:
        source = value & 3
        ready = (1, 10, 17, 25)[source]
        if not self._values[_RCC] >> ready & 1:
            raise _trap(f"The core clock is switched to source {source}, which is not ready",
                        "Wait for its ready bit in RCC_CR.")
        old = self._values.get(_RCC + 0x08, 0)
        value = value & ~0xC | source << 2
        if source == 3 and old & 3 != 3 and self._core_clock_hz(value) > 80_000_000:
            raise _trap("The core clock jumps above 80 MHz at once",
                        "Switch with HPRE = 2, wait 1 us, then set HPRE = 1.")
        self._values[_RCC + 0x08] = value
        self._check_wait_states()

    def _write_flash_acr(self, value: int) -> None:
        self._values[_FLASH] = value
        self._check_wait_states()

    def _check_wait_states(self) -> None:
        """RM0438, read access latency: one wait state per 20 MHz; above 80 MHz in voltage range 0 only."""
        hz = self.core_clock_hz()
        wait_states, voltage_range = self._values.get(_FLASH, 0) & 0xF, self._values[_PWR] >> 9 & 3
        if hz > 20_000_000 * (wait_states + 1):
            raise _trap(f"A core clock of {hz:,} Hz with {wait_states} flash wait states", "Raise FLASH_ACR.LATENCY.")
        limit = (110_000_000, 80_000_000, 26_000_000, 26_000_000)[voltage_range]
        if hz > limit:
            raise _trap(f"A core clock of {hz:,} Hz in voltage range {voltage_range}, whose limit is {limit:,} Hz",
                        "Set PWR_CR1.VOS first.")

    def _msi_hz(self) -> int:
        cr = self._values[_RCC]
        index = cr >> 4 & 0xF if cr >> 3 & 1 else self._values[_RCC + 0x94] >> 8 & 0xF
        return _MSI_KHZ[min(index, 11)] * 1000

    def _pll_input_hz(self, cr: int) -> int:
        source = self._values.get(_RCC + 0x0C, 0) & 3
        if source == 1 and cr >> 1 & 1:
            return self._msi_hz()
        return 16_000_000 if source == 2 and cr >> 10 & 1 else 0

    def _core_clock_hz(self, cfgr: int) -> int:
        cr, pll = self._values[_RCC], self._values.get(_RCC + 0x0C, 0)
        pll_hz = (self._pll_input_hz(cr) * (pll >> 8 & 0x7F) // ((pll >> 4 & 0xF) + 1) // (2 * (pll >> 25 & 3) + 2))
        return (self._msi_hz(), 16_000_000, 0, pll_hz)[cfgr & 3] >> _AHB_SHIFT[cfgr >> 4 & 0xF]

    def _write_icache_cr(self, value: int) -> None:
        old = self._values[_ICACHE]
        if old & 1 and (old ^ value) & 4:
            raise _trap("ICACHE_CR.WAYSEL changes while the cache is on", "Clear ICACHE_CR.EN first.")
        self._values[_ICACHE] = value & ~2  # CACHEINV reads as 0

    # LPUART1

    def _write_cr1(self, value: int) -> None:
        if value & 1:
            self._check_line()
        self._values[_CR1] = value
        self._receives = False

    def _check_line(self) -> None:
        v = self._values
        if v.get(_BRR, 0) < 0x300:
            raise _trap(f"LPUART1 is enabled with BRR = 0x{v.get(_BRR, 0):x}", "BRR must be at least 0x300.")
        source = v.get(_RCC + 0x88, 0) >> 10 & 3
        if source == 2 and not v[_RCC] >> 10 & 1:
            raise _trap("LPUART1 is enabled on HSI16, which is off", "Set RCC_CR.HSION and wait for HSIRDY.")
        if not v.get(_PWR + 0x04, 0) >> 9 & 1:
            raise _trap("Port G is used while VDDIO2 is isolated", "Set PWR_CR2.IOSV first.")
        modes = v[_GPIOG] >> 14 & 0xF
        functions = v.get(_GPIOG + 0x20, 0) >> 28, v.get(_GPIOG + 0x24, 0) & 0xF
        if modes != 0xA or functions != (8, 8):
            raise _trap("PG7 and PG8 are not LPUART1's pins (alternate function 8)", "Set MODER and AFR of port G.")

    def _need(self, bit: int, what: str) -> None:
        enabled = self._values.get(_CR1, 0)
        if not (enabled & 1 and enabled >> bit & 1):
            raise _trap(f"LPUART1 {what} while it is off", f"Set UE and {'RE' if bit == 2 else 'TE'} in LPUART1_CR1.")

    def _read_isr(self) -> int:
        # Sending takes no time; the line waits with the next byte until the last one was read, so it never overruns.
        self._receives = self._values.get(_CR1, 0) & 5 == 5
        return 0x6000C0 | (0x20 if self.received and self._receives else 0)

    def _read_rdr(self) -> int:
        self._need(2, "is read")
        return self.received.popleft() if self.received else 0

    def _write_tdr(self, value: int) -> None:
        self._need(3, "is written")
        self.sent.append(value & 0xFF)

    # Core

    def _write_nvic(self, register: int, value: int) -> None:
        enable = _ISER + (register & 0x3F)
        old = self._values.get(enable, 0)
        self._values[enable] = old | value if register < _ICER else old & ~value

    def _read_cyccnt(self) -> int:
        on = self._values.get(_DEMCR, 0) >> 24 & 1 and self._values.get(_DWT_CTRL, 0) & 1
        return (self._cycles() - self._cycle_origin) & 0xFFFFFFFF if on else 0

    def _write_cyccnt(self, value: int) -> None:
        self._cycle_origin = self._cycles() - value


def _trap(what: str, hint: str) -> HarnessError:
    return HarnessError(f"{what}.", hint)
