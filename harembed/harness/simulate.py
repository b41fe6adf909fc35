"""Everything that a run of the board image on the simulated STM32L552 tells: counts, stack, arena, functions."""

import itertools
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from harembed.board import Board
from harembed.errors import HarnessError
from harembed.harness.client import Device
from harembed.harness.instruction_counts import NOTHING, Counts
from harembed.harness.measure import LatencyReport, bench
from harembed.harness.simulator_l552 import SimulatedL552


@dataclass(frozen=True)
class BoardSimulation:
    """One window on the simulated board; nothing here is measured.

    Attributes
    ----------
    instructions : LatencyReport    exact
    cycles : LatencyReport          by the board's cycle model; None if the board file has none
    error_percent : float           of these modelled cycles, as the board file states it for new kernels
    stack_bytes : int               high-water mark of start, information, load, inference, profile; an interrupt
                                    at the deepest point would add its frame (104 bytes at most) and its handler
    arena_bytes : int               size of the arena in the image
    arena_bytes_touched : int       bytes of it that were written in between
    arena_span : (first, behind last) offset that was written
    by_function : {function: (instructions, modelled cycles or None)} of one inference and the input's way into the
        model, without the protocol; slowest first
    """

    instructions: LatencyReport
    cycles: LatencyReport | None
    error_percent: float | None
    stack_bytes: int
    arena_bytes: int
    arena_bytes_touched: int
    arena_span: tuple[int, int]
    by_function: dict[str, tuple[int, int | None]]


def simulate_board(elf: Path, board: Board, window: np.ndarray | None = None) -> BoardSimulation:
    """Run one window through the image of a board that Unicorn can simulate.

    Parameters
    ----------
    window : [window, raw_channels] int16    None sends fixed full-range model inputs
    """
    if board.simulators.unicorn != "stm32l552":
        raise HarnessError(f"Board {board.name} has no simulator in this process.", "Use --board nucleo_l552ze_q.")
    model = board.cycle_model
    simulator = SimulatedL552(elf, "instructions")
    with Device(simulator) as device:
        device.info()  # the start-up code, which clears the whole arena, is over
        with simulator.trace_writes() as trace:
            instructions = bench(device, 1, window)
        stack = simulator.stack_high_water_bytes()
        functions = {} if model else _functions(device, simulator)
    cycles = None
    if model is not None:
        simulator = SimulatedL552(elf, "cycles", model)
        with Device(simulator) as device:
            cycles = bench(device, 1, window)
            functions = _functions(device, simulator)
    times = {name: (c.instructions, round(c.cycles(model)) if model else None) for name, c in functions.items()}
    return BoardSimulation(
        instructions=instructions, cycles=cycles, error_percent=model.new_kernels_error_percent if model else None,
        stack_bytes=stack, arena_bytes=len(trace.touched), arena_bytes_touched=trace.bytes_touched,
        arena_span=trace.span,
        by_function=dict(sorted(times.items(), key=lambda item: (-(item[1][1] or 0), -item[1][0], item[0]))),
    )


def _functions(device: Device, simulator: SimulatedL552) -> dict[str, Counts]:
    """What the second of two invocations in a row did more than one alone: the protocol takes the same for both."""
    at = [simulator.counts_by_function()]
    for n in (1, 2):
        device.repeat(n)
        at.append(simulator.counts_by_function())
    one, two = ({name: c - before.get(name, NOTHING) for name, c in after.items()}
                for before, after in itertools.pairwise(at))
    second = {name: c - one.get(name, NOTHING) for name, c in two.items()}
    return {name: c for name, c in second.items() if c.instructions > 0}
