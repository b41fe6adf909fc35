"""What an operator is: the one home of all that the project knows of it.

An operator says which shapes it yields, prepares its integer parameters once (interpreter, C generator and
cost read the same numbers), computes the reference result, counts its work, and brings its own test cases.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from harembed.ir.graph import IntGraph, Node


@dataclass(frozen=True, eq=False)
class Prepared:
    """A node made ready to compute.

    Attributes
    ----------
    kernel : name of the C function; its header is firmware/kernels/<kernel>.h
    params : frozen dataclass of integers and integer arrays, or None; becomes `<kernel>_params` in C, field by
        field under the same names (an array becomes a pointer to a constant table)
    scratch_bytes : working memory that the kernel needs while it runs
    """

    kernel: str
    params: Any
    scratch_bytes: int = 0


@dataclass(frozen=True)
class Case:
    """A small graph around one operator, at an edge of what it allows."""

    name: str
    build: Callable[[np.random.Generator], IntGraph]


class Op:
    """Base of all operators. A subclass is a stateless singleton in harembed.ir.ops.OPS.

    C convention: `void <kernel>(const <kernel>_params *params, inputs..., outputs..., scratch)`, constants
    among the inputs, absent optional inputs as NULL, scratch only if scratch_bytes > 0, params only if not None.
    Of a variadic operator all inputs are one argument, an array of pointers.
    """

    name: str
    Attrs: type | None = None  # the frozen dataclass of Node.attrs
    CASES: tuple[Case, ...] = ()
    view = False  # the output is the first input under another shape: same storage, no code
    variadic = False  # takes any number of int8 inputs

    def output_shapes(self, graph: IntGraph, node: Node) -> list[tuple[int, ...]]:
        """Shapes of the outputs; raises GraphError where inputs or attributes are not supported."""
        raise NotImplementedError

    def prepare(self, graph: IntGraph, node: Node) -> Prepared:
        """The integer parameters of a node."""
        raise NotImplementedError

    def reference(self, params: Any, inputs: Sequence[np.ndarray | None]) -> list[np.ndarray]:
        """Compute all outputs. Axis 0 of activations may hold N samples instead of 1.

        A state tensor that the node updates is among `inputs` as a writable array and is changed in place.
        """
        raise NotImplementedError

    def macs(self, graph: IntGraph, node: Node) -> int:
        """Multiply-accumulates; 0 for an operator that has none."""
        return 0

    def weights(self, node: Node) -> tuple[str, ...]:
        """The inputs that count as parameters (weights and biases)."""
        return ()
