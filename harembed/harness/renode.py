"""An image in Renode, where a `renode` program is installed; it is no package of Python or Debian.

The script of the board (firmware/renode/) reads two variables, $elf and $port, and serves LPUART1 on that TCP
port of 127.0.0.1.
"""

import shutil
import subprocess
import time
from pathlib import Path

from harembed.board import Board
from harembed.errors import HarnessError
from harembed.harness.simulator_qemu import die_with_parent, free_port
from harembed.harness.transport import SocketTransport
from harembed.resources import resource_dir


def missing_reason(board: Board) -> str | None:
    """Why Renode cannot run here; None if it can. For skip messages and `harembed doctor`."""
    if board.simulators.renode is None:
        return f"board {board.name} has no Renode script"
    if shutil.which("renode") is None:
        return "no `renode` program is on PATH (https://renode.io)"
    return None


class RenodeTransport:
    """A running Renode and the connection to its serial line. `close` ends and reaps the process.

    Raises
    ------
    HarnessError    Renode is not installed, the board has no script, or Renode ended at once
    """

    ticks = "nothing"  # virtual time at a nominal rate is neither instructions nor cycles

    def __init__(self, elf: Path, board: Board) -> None:
        reason = missing_reason(board)
        script = resource_dir("firmware") / "renode" / (board.simulators.renode or "")
        if reason is None and not script.is_file():
            reason = f"{script} does not exist"
        if reason is not None:
            raise HarnessError(f"Cannot use Renode: {reason}.", "Use the built-in simulator: --on l552.")
        port = free_port()
        self.name = f"Renode {board.name} ({elf.name})"
        commands = f"$elf=@{elf.resolve()}; $port={port}; include @{script}; start"
        self._process = subprocess.Popen(
            [*die_with_parent(), shutil.which("renode") or "renode", "--disable-xwt", "--plain", "--hide-log", "-e",
             commands],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            self._line = self._connect(port)
        except BaseException:
            self._end()
            raise

    def read(self, timeout_s: float) -> bytes:
        return self._line.read(timeout_s)

    def write(self, data: bytes) -> None:
        self._line.write(data)

    def close(self) -> None:
        self._line.close()
        self._end()

    def _connect(self, port: int) -> SocketTransport:
        deadline = time.monotonic() + 60.0  # Renode needs seconds to start
        while True:
            try:
                return SocketTransport("127.0.0.1", port, patience_s=0.5)
            except HarnessError:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    raise HarnessError(f"{self.name} does not serve its serial line.",
                                       "Run the script of firmware/renode by hand to see why.") from None

    def _end(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(timeout=5.0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
