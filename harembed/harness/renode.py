"""An image in Renode, where a `renode` program is installed; it is no package of Python or Debian.

The script of the board (firmware/renode/) reads two variables, $elf and $port, and serves LPUART1 on that TCP
port of 127.0.0.1.
"""

import shutil
from pathlib import Path

from harembed.board import Board
from harembed.errors import HarnessError
from harembed.harness.process import SimulatorProcess, free_port
from harembed.resources import resource_dir


def missing_reason(board: Board) -> str | None:
    """Why Renode cannot run here; None if it can. For skip messages and `harembed doctor`."""
    if board.simulators.renode is None:
        return f"board {board.name} has no Renode script"
    if shutil.which("renode") is None:
        return "no `renode` program is on PATH (https://renode.io)"
    return None


class RenodeTransport(SimulatorProcess):
    """A running Renode.

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
        commands = f"$elf=@{elf.resolve()}; $port={port}; include @{script}; start"
        super().__init__(
            f"Renode {board.name} ({elf.name})",
            [shutil.which("renode") or "renode", "--disable-xwt", "--plain", "--hide-log", "-e", commands], port,
            start_s=60.0)  # Renode needs seconds to start

    def _explain(self, code: int, last_words: str) -> HarnessError:
        return HarnessError(f"{self.name} ended with status {code}: {last_words}.",
                            "Run the script of firmware/renode by hand to see why.")
