"""Where the time of one inference goes: by layer and by function, every figure with its origin."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from harembed.board import Board
from harembed.harness.measure import LatencyReport
from harembed.harness.simulate import simulate_board
from harembed.ir.graph import IntGraph, Kind, Node
from harembed.ir.ops import OPS

# What a device counts, as a key of this profile; the best answer to "how long" first.
KEYS = {"cycles": "cycles_measured", "modelled_cycles": "cycles_modelled", "nanoseconds": "nanoseconds_measured",
        "instructions": "instructions"}
TITLES = {"cycles_measured": "cycles", "cycles_modelled": "modelled cycles", "nanoseconds_measured": "ns",
          "instructions": "instructions"}


@dataclass(frozen=True)
class LayerProfile:
    """One node.

    Attributes
    ----------
    weight_bytes, input_bytes, output_bytes : counted from the graph, each tensor once: what must be moved at least
    ticks : {key of TITLES: ticks}
    """

    name: str
    op: str
    macs: int
    weight_bytes: int
    input_bytes: int
    output_bytes: int
    ticks: dict[str, int]

    @property
    def moved_bytes(self) -> int:
        return self.weight_bytes + self.input_bytes + self.output_bytes


@dataclass(frozen=True)
class FunctionProfile:
    """One function of the image; `layer` is the layer whose code it is, "" if several share it."""

    name: str
    layer: str
    ticks: dict[str, int]


@dataclass(frozen=True)
class Profile:
    """
    Attributes
    ----------
    reports : what devices said; the one that answers "how long" best first
    functions : slowest first; empty where nothing sees functions
    clock_hz : core clock; 0 where a clock has no meaning
    """

    reports: tuple[LatencyReport, ...]
    layers: tuple[LayerProfile, ...]
    functions: tuple[FunctionProfile, ...]
    clock_hz: int

    @property
    def keys(self) -> tuple[str, ...]:
        """The columns of ticks that there are, best answer first."""
        return tuple(KEYS[r.unit] for r in self.reports)

    def provenance(self, key: str) -> str:
        return next(r.provenance for r in self.reports if KEYS[r.unit] == key)

    def total(self, key: str) -> int:
        """Ticks of a whole inference, which was timed by itself."""
        return next(r.median for r in self.reports if KEYS[r.unit] == key)

    def to_dict(self) -> dict[str, Any]:
        """Plain data, with the origin of every column."""
        best = self.keys[0]
        return {
            "clock_hz": self.clock_hz, "latency_us": self.reports[0].latency_us,
            "provenance": {"macs": "counted", "bytes": "counted", **{k: self.provenance(k) for k in self.keys}},
            "total": {key: self.total(key) for key in self.keys},
            "layers": [{"name": n.name, "op": n.op, "macs": n.macs, "weight_bytes": n.weight_bytes,
                        "input_bytes": n.input_bytes, "output_bytes": n.output_bytes, "moved_bytes": n.moved_bytes,
                        **n.ticks, "per_mac": n.ticks[best] / n.macs if n.macs else None,
                        "share": share(n.ticks[best], self.layers, best)} for n in self.layers],
            "functions": [{"name": f.name, "layer": f.layer, **f.ticks,
                           "share": share(f.ticks[k], self.functions, k)}
                          for f in self.functions for k in [next(iter(f.ticks))]],
            "reports": [{k: v for k, v in asdict(r).items() if k != "layers"} for r in self.reports],
        }


def share(ticks: int, rows: tuple[LayerProfile, ...] | tuple[FunctionProfile, ...], key: str) -> float:
    """A row's part of the sum of a column."""
    return ticks / max(sum(r.ticks[key] for r in rows), 1)


def make_profile(graph: IntGraph, reports: list[LatencyReport],
                 by_function: dict[str, tuple[int, int | None]] | None = None) -> Profile:
    """Put together what the graph says and what devices said.

    Parameters
    ----------
    by_function : as BoardSimulation has it
    """
    best = list(KEYS)
    reports = sorted(reports, key=lambda r: best.index(r.unit))
    layers = []
    for i, node in enumerate(graph.nodes):
        ticks = {KEYS[r.unit]: r.layers[i].ticks for r in reports}
        layers.append(LayerProfile(node.name, node.op, OPS[node.op].macs(graph, node), *_bytes(graph, node), ticks))
    functions = tuple(
        FunctionProfile(name, _owner(graph, name),
                        {"instructions": instructions} if cycles is None else
                        {"cycles_modelled": cycles, "instructions": instructions})
        for name, (instructions, cycles) in (by_function or {}).items())
    return Profile(tuple(reports), tuple(layers), functions, max(r.clock_hz for r in reports))


def simulated_profile(graph: IntGraph, elf: Path, board: Board, window: np.ndarray | None,
                      measured: LatencyReport | None = None) -> Profile:
    """The profile of an image on the simulated board, with what a real one measured beside it if there is one."""
    run = simulate_board(elf, board, window)
    return make_profile(graph, [r for r in (measured, run.cycles, run.instructions) if r is not None],
                        run.by_function)


def _bytes(graph: IntGraph, node: Node) -> tuple[int, int, int]:
    """(constants, activations read, activations written) of a node; a state is read and written."""
    if OPS[node.op].view:
        return 0, 0, 0
    inputs = [graph[name] for name in dict.fromkeys(node.inputs) if name]
    states = sum(t.nbytes for t in inputs if t.kind is Kind.STATE)
    return (sum(t.nbytes for t in inputs if t.kind is Kind.CONSTANT),
            sum(t.nbytes for t in inputs if t.kind is not Kind.CONSTANT),
            states + sum(t.nbytes for t in graph.output_tensors(node)))


def _owner(graph: IntGraph, function: str) -> str:
    """Generated code calls the function of a layer of its own node_<index>."""
    head, _, index = function.partition(".")[0].rpartition("_")
    if head == "node" and index.isdigit() and int(index) < len(graph.nodes):
        return graph.nodes[int(index)].name
    return ""
