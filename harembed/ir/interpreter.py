"""Runs an integer graph in NumPy: the reference that every generated program must equal, bit for bit."""

from collections.abc import Iterator

import numpy as np

from harembed.errors import GraphError
from harembed.ir.graph import IntGraph, Kind
from harembed.ir.ops import OPS


class Interpreter:
    """Computes windows in batches; states start from their zero_point in every window.

    Parameters
    ----------
    graph : IntGraph    checked
    """

    def __init__(self, graph: IntGraph) -> None:
        self.graph = graph
        self._prepared = [OPS[node.op].prepare(graph, node) for node in graph.nodes]

    def trace(self, *inputs: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
        """Yield (tensor name, [N, ...] array) for each tensor as it is computed: the taps.

        Parameters
        ----------
        inputs : one array [N, ...] per graph input, of its dtype; flattened trailing axes are accepted
        """
        live = self._start(inputs)
        for node, prepared in zip(self.graph.nodes, self._prepared, strict=True):
            arrays = [live[t] if t else None for t in node.inputs]
            results = OPS[node.op].reference(prepared.params, arrays)
            for name, array in zip(node.outputs, results, strict=True):
                # Operators leave axes of length 1 to us: kernels see flat memory and do not know keep_dims.
                live[name] = array.reshape(len(array), *self.graph[name].shape[1:])
                yield name, live[name]

    def run(self, *inputs: np.ndarray) -> list[np.ndarray]:
        """The graph's outputs, each [N, ...]."""
        results = {name: np.asarray(inputs[self.graph.inputs.index(name)])
                   for name in self.graph.outputs if name in self.graph.inputs}
        for name, array in self.trace(*inputs):
            if name in self.graph.outputs:
                results[name] = array
        return [results[name] for name in self.graph.outputs]

    def run_raw(self, raw: np.ndarray) -> list[np.ndarray]:
        """As run, from raw windows [N, window, raw_channels] int16 through the graph's input spec."""
        if self.graph.input_spec is None:
            raise GraphError(f"Graph {self.graph.name!r} has no input spec: it does not start at raw samples.")
        return self.run(self.graph.input_spec.quantise(raw))

    def _start(self, inputs: tuple[np.ndarray, ...]) -> dict[str, np.ndarray]:
        if len(inputs) != len(self.graph.inputs):
            raise GraphError(f"Graph {self.graph.name!r} has {len(self.graph.inputs)} inputs, got {len(inputs)}.")
        live: dict[str, np.ndarray] = {t.name: t.data for t in self.graph.of_kind(Kind.CONSTANT)
                                       if t.data is not None}
        n = len(inputs[0])
        for name, array in zip(self.graph.inputs, inputs, strict=True):
            spec = self.graph[name]
            if array.dtype != spec.dtype.numpy or array[0].size != spec.elements:
                raise GraphError(f"Input {name!r} must be {spec.dtype} {spec.shape}, got {array.dtype} "
                                 f"{array.shape[1:]} per window.")
            live[name] = array.reshape(n, *spec.shape[1:])
        for spec in self.graph.of_kind(Kind.STATE):
            live[spec.name] = np.full((n, *spec.shape[1:]), spec.zero_point, spec.dtype.numpy)
        return live
