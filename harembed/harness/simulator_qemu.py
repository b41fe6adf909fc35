"""An image in QEMU (mps2-an505: the same core with another memory map).

With -icount an instruction takes 2^shift ns of simulated time, so SysTick counts instructions, exactly and
repeatably. Simulated time is never latency.
"""

import shutil
from pathlib import Path

from harembed.board import Board
from harembed.errors import HarnessError
from harembed.harness.process import SimulatorProcess

_PROGRAM = "qemu-system-arm"
_HARD_FAULT = 70  # exit status that the firmware chooses


class QemuTransport(SimulatorProcess):
    """A running QEMU.

    Parameters
    ----------
    elf : Path       linked for `board`
    board : Board    with simulators.qemu_machine

    Raises
    ------
    HarnessError    QEMU is not installed, cannot run this board, or ended at once
    """

    ticks = "instructions"

    def __init__(self, elf: Path, board: Board) -> None:
        machine, shift = board.simulators.qemu_machine, board.simulators.qemu_icount_shift
        if machine is None or shift is None:
            raise HarnessError(f"Board {board.name} has no qemu_machine.", "Use --board mps2_an505 for QEMU.")
        program = shutil.which(_PROGRAM)
        if program is None:
            raise HarnessError(f"{_PROGRAM} is not installed.", "Type `sudo apt-get install qemu-system-arm`, or use "
                               "--board nucleo_l552ze_q, whose simulator needs no program.")
        if not elf.is_file():
            raise HarnessError(f"There is no firmware {elf}.", "`harembed search` builds it; choose its run.")
        super().__init__(
            f"QEMU {machine} ({elf.name})",
            [program, "-M", machine, "-display", "none", "-monitor", "none", "-nodefaults",
             "-serial", "none", "-semihosting-config", "enable=on,target=native,arg=stdio",
             "-icount", f"shift={shift},sleep=off", "-kernel", str(elf)])

    def _explain(self, code: int, last_words: str) -> HarnessError:
        reason = "the firmware took a HardFault" if code == _HARD_FAULT else last_words
        return HarnessError(f"{self.name} ended with status {code}: {reason}.",
                            "Run the image with --board nucleo_l552ze_q to see where it faults.")
