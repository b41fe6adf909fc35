"""Proof that a device computes the bits that the interpreter computes: all outputs, compared with ==."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice, product

import numpy as np

from harembed.errors import GraphError
from harembed.harness.client import Device
from harembed.ir.graph import IntGraph
from harembed.ir.interpreter import Interpreter

_BATCH = 256  # windows that the interpreter computes at once
MAX_EXTREMES = 27


@dataclass(frozen=True)
class Difference:
    """The first element that differs, in the first node that differs."""

    window: int
    node: str  # "" if every node agrees by itself and yet an output differs
    index: int  # in the flattened tensor
    expected: int
    got: int


@dataclass(frozen=True)
class ParityReport:
    device: str
    board: str
    start: str  # "raw": from raw samples, quantised by the device; "input": from the model's int8 input
    windows: int
    mismatches: int
    first_difference: Difference | None

    @property
    def text(self) -> str:
        """One line for people."""
        equal = self.windows - self.mismatches
        head = f"{self.device}: {equal:,} of {self.windows:,} windows equal (from {self.start})"
        d = self.first_difference
        if d is None:
            return head
        return f"{head}; window {d.window}, node {d.node!r}, element {d.index}: expected {d.expected}, got {d.got}"


def validate(device: Device, graph: IntGraph, raw_windows: np.ndarray,
             progress: Callable[[int], None] | None = None) -> ParityReport:
    """Compare from raw samples on.

    Parameters
    ----------
    raw_windows : [N, window, raw_channels] int16    counts
    progress : called with the number of windows done, after each

    Raises
    ------
    HarnessError    the device does not answer, or runs another model
    GraphError      the graph has no input spec
    """
    if graph.input_spec is None:
        raise GraphError(f"Graph {graph.name!r} has no input spec: it cannot start at raw samples.",
                         "Use validate_inputs.")
    spec = graph.input_spec
    device.expect(model_id=graph.id())
    return _compare(device, graph, "raw", len(raw_windows), lambda part: (spec.quantise(raw_windows[part]),),
                    lambda i: device.load_raw(raw_windows[i]), progress)


def validate_inputs(device: Device, graph: IntGraph, *inputs: np.ndarray,
                    progress: Callable[[int], None] | None = None) -> ParityReport:
    """Compare from the model's inputs on: one array [N, ...] for each, of its dtype."""
    device.expect(model_id=graph.id())
    return _compare(device, graph, "input", len(inputs[0]), lambda part: tuple(a[part] for a in inputs),
                    lambda i: device.load_input(*(a[i] for a in inputs)), progress)


def random_inputs(graph: IntGraph, count: int, seed: int) -> tuple[np.ndarray, ...]:
    """Full-range random model inputs [count, ...], one array for each input of the graph."""
    rng = np.random.default_rng(seed)
    arrays = []
    for name in graph.inputs:
        spec = graph[name]
        limits = np.iinfo(spec.dtype.numpy)
        arrays.append(rng.integers(limits.min, limits.max, (count, *spec.shape[1:]), spec.dtype.numpy, endpoint=True))
    return tuple(arrays)


def extreme_inputs(graph: IntGraph) -> tuple[np.ndarray, ...]:
    """Constant model inputs, one array [K, ...] per input: all at the least value, the greatest, the zero point.

    With several inputs, the product of these: 3 for one input, 9 for two, 27 at most.
    """
    choices = []
    for name in graph.inputs:
        limits = np.iinfo(graph[name].dtype.numpy)
        choices.append((limits.min, limits.max, graph[name].zero_point))
    rows = list(islice(product(*choices), MAX_EXTREMES))
    return tuple(
        np.stack([np.full(graph[name].shape[1:], row[i], graph[name].dtype.numpy) for row in rows])
        for i, name in enumerate(graph.inputs))


def _compare(device: Device, graph: IntGraph, start: str, count: int,
             quantised: Callable[[slice], tuple[np.ndarray, ...]], load: Callable[[int], object],
             progress: Callable[[int], None] | None) -> ParityReport:
    interpreter = Interpreter(graph)
    mismatches, first = 0, None
    for i, expected in _expected(interpreter, count, quantised):
        load(i)
        device.infer()
        got = device.outputs()
        if not all(np.array_equal(e.ravel(), g.ravel()) for e, g in zip(expected, got, strict=True)):
            mismatches += 1
            if first is None:
                first = _locate(device, interpreter, i, quantised(slice(i, i + 1)), expected, got)
        if progress is not None:
            progress(i + 1)
    return ParityReport(device.transport.name, device.info().board, start, count, mismatches, first)


def _expected(interpreter: Interpreter, count: int,
              quantised: Callable[[slice], tuple[np.ndarray, ...]]) -> Iterator[tuple[int, list[np.ndarray]]]:
    for begin in range(0, count, _BATCH):
        part = slice(begin, min(begin + _BATCH, count))
        outputs = interpreter.run(*quantised(part))
        for k in range(part.stop - begin):
            yield begin + k, [o[k] for o in outputs]


def _locate(device: Device, interpreter: Interpreter, window: int, inputs: tuple[np.ndarray, ...],
            expected: list[np.ndarray], got: list[np.ndarray]) -> Difference:
    """Walk the nodes in order and compare each first output with the device's tap."""
    nodes = {node.outputs[0]: (i, node.name) for i, node in enumerate(interpreter.graph.nodes)}
    for tensor, array in interpreter.trace(*inputs):
        if tensor not in nodes:
            continue
        index, name = nodes[tensor]
        wanted = np.ascontiguousarray(array[0]).ravel()
        tapped = np.frombuffer(device.tap(index), wanted.dtype)
        if not np.array_equal(wanted, tapped):
            return _first(window, name, wanted, tapped)
    for e, g in zip(expected, got, strict=True):
        if not np.array_equal(e.ravel(), g.ravel()):
            return _first(window, "", e.ravel(), g.ravel())
    raise AssertionError("no output differs")


def _first(window: int, node: str, expected: np.ndarray, got: np.ndarray) -> Difference:
    at = int(np.flatnonzero(expected != got)[0])
    return Difference(window, node, at, int(expected[at]), int(got[at]))
