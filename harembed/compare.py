"""One model on several backends, each built for a simulated board: equal bits, instructions, cycles, memory."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from harembed import harness
from harembed.backend_build import BackendImage, build_backend, sources_of
from harembed.backends import backend, need_libraries
from harembed.board import Board, load_board
from harembed.compile_job import imported, read_model, sha256
from harembed.errors import GraphError, HarnessError
from harembed.harness.client import Device
from harembed.harness.simulate import simulate_board
from harembed.harness.simulator_l552 import SimulatedL552
from harembed.harness.validate import extreme_inputs, random_inputs
from harembed.ir.file import load_graph
from harembed.ir.graph import IntGraph
from harembed.ir.interpreter import Interpreter
from harembed.ir.ops.base import GOALS, Goal
from harembed.link_map import model_share
from harembed.progress import Tick, stage
from harembed.rundir import RunDir, dump_json, write_atomic


@dataclass(frozen=True)
class Column:
    """A backend with its goal: "own", "own:speed", "cmsis_nn", "tflm"."""

    name: str
    backend: str
    goal: Goal


@dataclass(frozen=True)
class Parity:
    """Outputs against the integer interpreter's.

    Attributes
    ----------
    largest : of the differences, in steps of the output
    """

    inputs: int
    mismatches: int
    largest: int


def columns(text: str, goal: Goal = "balanced") -> tuple[Column, ...]:
    """Read --backends.

    Raises
    ------
    GraphError    an unknown backend or goal; a goal of a backend that has none
    """
    result = []
    for name in text.split(","):
        chosen, _, wanted = name.strip().partition(":")
        backend(chosen)
        if wanted and (chosen != "own" or wanted not in GOALS):
            raise GraphError(f"{name!r}: only own has a choice, of {', '.join(GOALS)}.",
                             "Write own:speed, for example.")
        result.append(Column(name.strip(), chosen, next((g for g in GOALS if g == wanted), goal)))
    return tuple(result)


def compare(subject: Path, wanted: Sequence[Column], board_name: str, folder: Path, inputs: int, seed: int,
            console: Console, toolchain: str | None = None) -> dict[str, Any]:
    """Build, prove and count each column; write compare.json into the folder.

    Parameters
    ----------
    subject : Path    a run's folder or an int8 .tflite
    inputs : int      random full-range inputs, besides the constant extremes

    Returns
    -------
    dict    the content of compare.json

    Raises
    ------
    BuildError    foreign sources are not here, or do not compile
    BoardError    it does not fit the board
    HarnessError  no simulator here counts what the board executes
    """
    graph, facts = _subject(subject)
    board = load_board(board_name)
    if board.simulators.unicorn is None:
        raise HarnessError(f"Nothing here counts what {board.name} executes.", "Use --board nucleo_l552ze_q.")
    for column in wanted:
        need_libraries(column.backend)
    made = tuple(np.concatenate(pair) for pair in zip(random_inputs(graph, inputs, seed), extreme_inputs(graph),
                                                      strict=True))
    expected = Interpreter(graph).run(*made)
    images, results = [], {}
    for column in wanted:
        with stage(console, column.name) as tick:
            built, result = _column(graph, column, board, folder / column.name.replace(":", "_"), toolchain, made,
                                    expected, tick)
            tick(1, 1, _note(result))
        images.append(built)
        results[column.name] = result
    report = {
        **facts, "graph_id": graph.id(), "board": board.name, "clock_hz": images[0].image.clock_hz,
        "toolchain": images[0].image.toolchain, "optimise": images[0].image.optimise, "random_inputs": inputs,
        "seed": seed, "cycle_model_error_percent": board.cycle_model.new_kernels_error_percent
        if board.cycle_model else None, "sources": sources_of(images), "backends": results}
    write_atomic(folder / "compare.json", dump_json(report))
    return report


def _subject(path: Path) -> tuple[IntGraph, dict[str, Any]]:
    """A graph from a run's folder or from a .tflite."""
    if path.is_dir() and (path / "graph.json").is_file():
        run = RunDir(path)
        return load_graph(run.file("graph.json").read_text(), run.file("graph.npz").read_bytes()), {"run": path.name}
    data = read_model(path)
    return imported(path.name, data), {"model": path.name, "model_sha256": sha256(data)}


def _column(graph: IntGraph, column: Column, board: Board, folder: Path, toolchain: str | None,
            made: tuple[np.ndarray, ...], expected: list[np.ndarray],
            tick: Tick) -> tuple[BackendImage, dict[str, Any]]:
    tick(0, 4, "building")
    built = build_backend(graph, column.backend, board, folder, toolchain, column.goal)
    tick(1, 4, "running inputs")
    with harness.connect(board, built.image.elf) as device:
        device.expect(model_id=graph.id())
        parity = _parity(device, made, expected)
    tick(2, 4, "counting")
    simulation = simulate_board(built.image.elf, board)
    layers = [{"name": n.name, "op": n.op, "macs": n.macs, "instructions": n.ticks}
              for n in simulation.instructions.layers]
    for layer, modelled in zip(layers, simulation.cycles.layers if simulation.cycles else (), strict=False):
        layer["cycles_modelled"] = modelled.ticks
    link_map = built.image.elf.with_name("firmware.map")
    share = model_share(link_map.read_text()) if link_map.is_file() else None
    return built, {
        "title": backend(column.backend).title, "goal": column.goal if column.backend == "own" else None,
        "parity": asdict(parity), "instructions": simulation.instructions.median,
        "cycles_modelled": simulation.cycles.median if simulation.cycles else None,
        "latency_us": simulation.cycles.latency_us if simulation.cycles else None,
        "flash_bytes": built.image.flash_bytes, "ram_static_bytes": built.image.ram_static_bytes,
        "model_flash_bytes": share.flash if share else None, "model_ram_bytes": share.ram if share else None,
        "arena_bytes": built.image.arena_bytes, "arena_computed_bytes": built.arena_computed,
        "arena_used_bytes": built.arena_used,
        "stack_bytes": _stack(built.image.elf), "invoke_stack_bytes": built.image.invoke_stack_bytes,
        "fallbacks": backend(column.backend).fallbacks(graph),
        "layers": layers, "by_function": simulation.by_function}


def _parity(device: Device, made: tuple[np.ndarray, ...], expected: list[np.ndarray]) -> Parity:
    mismatches = largest = 0
    for i in range(len(made[0])):
        device.load_input(*(a[i] for a in made))
        device.infer()
        steps = max(int(np.abs(e[i].astype(np.int64).ravel() - g.astype(np.int64).ravel()).max())
                    for e, g in zip(expected, device.outputs(), strict=True))
        mismatches += steps > 0
        largest = max(largest, steps)
    return Parity(len(made[0]), mismatches, largest)


def _stack(elf: Path) -> int:
    """Bytes of stack of he_model_invoke() and all that it calls."""
    simulator = SimulatedL552(elf)
    with Device(simulator) as device:
        info = device.info()
        rng = np.random.default_rng(0)
        device.load_input(*(harness.measure.full_range(rng, t) for t in info.inputs))
        with simulator.trace_stack("he_model_invoke") as trace:
            device.infer()
        return trace.nbytes


def _note(result: dict[str, Any]) -> str:
    parity = result["parity"]
    equal = parity["inputs"] - parity["mismatches"]
    steps = f", off by {parity['largest']} at most" if parity["mismatches"] else ""
    return f"{equal:,} of {parity['inputs']:,} inputs equal{steps}; {result['instructions']:,} instructions"


def print_comparison(report: dict[str, Any], console: Console, layers: bool) -> None:
    """The tables of a compare.json on the terminal."""
    results = report["backends"]
    table = Table("", *results, box=None, header_style="bold")
    rows = (("instructions", "instructions"), ("modelled cycles", "cycles_modelled"),
            ("flash, whole image", "flash_bytes"), ("flash of the model", "model_flash_bytes"),
            ("RAM, whole image", "ram_static_bytes"), ("RAM of the model", "model_ram_bytes"),
            ("arena", "arena_bytes"), ("stack of an invocation", "stack_bytes"),
            ("at most, by call graph", "invoke_stack_bytes"))
    for title, key in rows:
        table.add_row(title, *(_figure(r[key]) for r in results.values()))
    table.add_row("inputs that differ", *(f"{r['parity']['mismatches']:,} of {r['parity']['inputs']:,}"
                                          for r in results.values()))
    console.print(table)
    if layers:
        console.print(_by_layer(results))
    for name, result in results.items():
        for node, reason in result["fallbacks"].items():
            console.print(f"{name}: {node} runs on harembed's portable kernel: {reason}.", highlight=False,
                          soft_wrap=True)
    for source in report["sources"].values():
        console.print(f"{source['title']} {source['revision'] or 'of unknown revision'}, {source['files']} files, "
                      f"sha256 {source['sha256'][:16]}", highlight=False, soft_wrap=True)
    console.print(f"Simulated on {report['board']} by {report['toolchain']} -{report['optimise']}; modelled cycles "
                  f"±{report['cycle_model_error_percent']:.0f} %; bytes.", highlight=False, soft_wrap=True)


def _by_layer(results: dict[str, Any]) -> Table:
    table = Table(box=None, header_style="bold", title="instructions by layer")
    for header in ("layer", "op", "MACs", *results):
        table.add_column(header, overflow="fold")
    first = next(iter(results.values()))
    for i, layer in enumerate(first["layers"]):
        table.add_row(layer["name"], layer["op"], f"{layer['macs']:,}",
                      *(f"{r['layers'][i]['instructions']:,}" for r in results.values()))
    return table


def _figure(value: int | None) -> str:
    return "" if value is None else f"{value:,}"
