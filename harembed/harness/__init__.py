"""Devices by name: which program or simulator stands behind a board when no --port is given."""

from collections.abc import Callable
from pathlib import Path

from harembed.board import Board
from harembed.errors import HarnessError, unknown_name
from harembed.harness.client import Device
from harembed.harness.renode import RenodeTransport
from harembed.harness.simulator_l552 import SimulatedL552
from harembed.harness.simulator_qemu import QemuTransport
from harembed.harness.transport import ProcessTransport, Transport, open_port


def _l552(firmware: Path, board: Board, count: str) -> Transport:
    if board.simulators.unicorn != "stm32l552":
        raise HarnessError(f"Board {board.name} is no STM32L552.", "Use --board nucleo_l552ze_q.")
    return SimulatedL552(firmware, count, board.cycle_model)


# Each takes (firmware file, board, what to count); only the simulated STM32L552 has a choice of counts.
SIMULATORS: dict[str, Callable[[Path, Board, str], Transport]] = {
    "host": lambda firmware, board, count: ProcessTransport([str(firmware)]),
    "qemu": lambda firmware, board, count: QemuTransport(firmware, board),
    "renode": lambda firmware, board, count: RenodeTransport(firmware, board),
    "l552": _l552,
}


def default_simulator(board: Board) -> str:
    """The simulator that needs least: this process for an STM32L552, QEMU for its machine, the host program."""
    if board.kind == "host":
        return "host"
    if board.simulators.unicorn:
        return "l552"
    if board.simulators.qemu_machine:
        return "qemu"
    raise HarnessError(f"Board {board.name} has no simulator.", "Connect the board and give its --port.")


def connect(board: Board, firmware: Path | None = None, port: str | None = None, simulator: str | None = None,
            count: str = "nothing") -> Device:
    """Open a device and see that it is the board that is meant.

    Parameters
    ----------
    board : Board
    firmware : Path    ELF, or the program of the host build; needed without `port`
    port : str         a serial port or socket://HOST:PORT of real hardware (or of whatever listens there)
    simulator : str    a key of SIMULATORS; None takes the board's default
    count : str        "nothing", "instructions" or "cycles": what the simulated STM32L552 counts

    Raises
    ------
    HarnessError    nothing answers, or another board does
    """
    if port is not None:
        device = Device(open_port(port, board.serial.baud if board.serial else 115200))
    else:
        name = simulator or default_simulator(board)
        if name not in SIMULATORS:
            raise HarnessError(unknown_name("simulator", name, list(SIMULATORS)), "Leave --on out.")
        if firmware is None:
            raise HarnessError(f"No firmware to run on {name}.", "`harembed search` builds it; choose its run.")
        device = Device(SIMULATORS[name](firmware, board, count))
    try:
        device.expect(board=board.name)
    except BaseException:
        device.close()
        raise
    return device
