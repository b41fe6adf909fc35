"""What an image of designed layers takes on a real board, over its serial port. The user flashes each image."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from harembed.board import Board
from harembed.errors import HarnessError
from harembed.harness import connect
from harembed.ir.graph import IntGraph
from harembed.latency.observe import load_full_range
from harembed.report.html import flash_commands


@dataclass(frozen=True)
class Bench:
    """A board on a line, and somebody who flashes it.

    Attributes
    ----------
    flashed : called when an image is to be on the board; returns when it is
    """

    port: str
    console: Console
    flashed: Callable[[], object]

    def cycles(self, graph: IntGraph, elf: Path, board: Board) -> list[int]:
        """Cycles of each node, by the board's counter.

        Raises
        ------
        HarnessError    nothing answers, another image does, or its counter does not count cycles
        """
        first, *others = flash_commands({"board": board.model_dump(), "build": {"elf": str(elf)}})
        self.console.print(f"Flash {graph.name}, then press Enter:\n  {first}", highlight=False, soft_wrap=True)
        for other in others:
            self.console.print(f"  or {other}", highlight=False, soft_wrap=True)
        self.flashed()
        with connect(board, port=self.port) as device:
            info = device.expect(model_id=graph.id(), board=board.name)
            if not info.cycles_are_real:
                raise HarnessError(f"The counter of {device.transport.name} does not count cycles of the core.",
                                   "Connect a real board, or leave --port out.")
            load_full_range(device)
            return device.profile()
