"""Functions of one int8 value: 256 possible inputs, so a table of 256 outputs says all.

The table costs 256 bytes of flash, mostly less than code that computes it would.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from harembed.errors import GraphError
from harembed.ir.fixedpoint import multiply_by_quantized_multiplier, quantize_multiplier
from harembed.ir.graph import DType, IntGraph, Node
from harembed.ir.ops.base import Op, Prepared

MAX_LEFT_SHIFT = 22  # of a centred int8, which has nine bits


@dataclass(frozen=True, eq=False)
class LookupParams:
    size: int  # elements
    table: np.ndarray  # [256] int8: the output for input -128, -127, ... 127


def centred_values(zero_point: int) -> np.ndarray:
    """All inputs minus their zero_point, int64 [256]."""
    return np.arange(-128, 128, dtype=np.int64) - zero_point


def rescale(node: Node, centred: np.ndarray, real: float) -> np.ndarray:
    """Centred int8 values times a real factor >= 0, rounded twice as TFLM does.

    Raises
    ------
    GraphError    if the factor takes them out of 32 bits, where TFLM's result is undefined
    """
    multiplier, shift = quantize_multiplier(real)
    if shift > MAX_LEFT_SHIFT:
        raise GraphError(f"Node {node.name!r}: {node.op} rescales by {real:.4g}, which leaves 32 bits.",
                         "Its scales are damaged; quantise the model again.")
    return multiply_by_quantized_multiplier(centred, multiplier, shift)


class Lookup(Op):
    """Base of such operators; a subclass computes the table of a node, in TFLM's arithmetic."""

    def table(self, graph: IntGraph, node: Node) -> np.ndarray:
        """The outputs for input -128, -127, ... 127, int8 [256]."""
        raise NotImplementedError

    def output_shapes(self, graph: IntGraph, node: Node) -> list[tuple[int, ...]]:
        x, y = graph[node.inputs[0]], graph[node.outputs[0]]
        if x.dtype is not DType.INT8 or y.dtype is not DType.INT8:
            raise GraphError(f"Node {node.name!r}: {self.name} needs int8, got {x.dtype.value} -> {y.dtype.value}.")
        return [x.shape]

    def in_place(self, graph: IntGraph, node: Node) -> tuple[int, ...]:
        """he_lookup_s8 reads input[i], then writes output[i]."""
        return (0,)

    def prepare(self, graph: IntGraph, node: Node) -> Prepared:
        return Prepared("he_lookup_s8", LookupParams(graph[node.inputs[0]].elements, self.table(graph, node)))

    def reference(self, params: LookupParams, inputs: Sequence[np.ndarray | None]) -> list[np.ndarray]:
        x = inputs[0]
        assert x is not None
        return [params.table[x.astype(np.int64) + 128]]
