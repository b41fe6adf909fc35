"""An image in QEMU (mps2-an505: the same core with another memory map), its serial line on a TCP socket.

With -icount an instruction takes 2^shift ns of simulated time, so SysTick counts instructions, exactly and
repeatably. Simulated time is never latency.
"""

import shutil
import socket
import subprocess
import time
from pathlib import Path

from harembed.board import Board
from harembed.errors import HarnessError
from harembed.harness.transport import SocketTransport

_PROGRAM = "qemu-system-arm"


class QemuTransport:
    """A running QEMU and the connection to its serial line. `close` ends and reaps the process.

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
        port = free_port()
        self.name = f"QEMU {machine} ({elf.name})"
        self._process = subprocess.Popen(
            [*die_with_parent(), program, "-M", machine, "-display", "none", "-monitor", "none", "-nodefaults",
             "-serial", f"tcp:127.0.0.1:{port},server=on,wait=on,nodelay=on",
             "-semihosting-config", "enable=on,target=native", "-icount", f"shift={shift},sleep=off",
             "-kernel", str(elf)],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        try:
            self._line = self._connect(port)
        except BaseException:
            self._end()
            raise

    def read(self, timeout_s: float) -> bytes:
        try:
            return self._line.read(timeout_s)
        except HarnessError as e:
            raise self._ended(e) from e

    def write(self, data: bytes) -> None:
        try:
            self._line.write(data)
        except HarnessError as e:
            raise self._ended(e) from e

    def close(self) -> None:
        self._line.close()
        self._end()

    def _connect(self, port: int) -> SocketTransport:
        deadline = time.monotonic() + 10.0
        while True:
            try:
                return SocketTransport("127.0.0.1", port, patience_s=0.2)
            except HarnessError:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    raise self._ended(None) from None

    def _ended(self, error: HarnessError | None) -> HarnessError:
        """Say how QEMU ended, if it has; else the error itself."""
        try:
            code = self._process.wait(timeout=0.5)
        except subprocess.TimeoutExpired:
            return error or HarnessError("QEMU runs but does not accept a connection.", "Is the machine overloaded?")
        assert self._process.stderr is not None
        said = self._process.stderr.read().decode(errors="replace").strip().splitlines()
        reason = "the firmware took a HardFault" if code == 70 else (said[-1] if said else "it gave no reason")
        return HarnessError(f"{self.name} ended with status {code}: {reason}.",
                            "Run the image with --board nucleo_l552ze_q to see where it faults.")

    def _end(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(timeout=2.0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stderr is not None:
            self._process.stderr.close()


def die_with_parent() -> list[str]:
    """Command prefix that ends a simulator when this process is killed (`setpriv` is part of every Linux)."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "KILL"] if setpriv else []


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nothing listens on now."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]
