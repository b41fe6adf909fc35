"""What an operator is: the one home of all that the project knows of it.

An operator says which shapes it yields, prepares its integer parameters once (interpreter, C generator and
cost read the same numbers), computes the reference result, counts its work, and brings its own test cases.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from harembed.ir.graph import IntGraph, Node, TensorSpec

Goal = Literal["speed", "balanced", "size"]  # what generated code is optimised for
GOALS: tuple[Goal, ...] = ("speed", "balanced", "size")


@dataclass(frozen=True, eq=False)
class Prepared:
    """A node made ready to compute.

    Attributes
    ----------
    kernel : name of the C function; its header is firmware/kernels/<kernel>.h
    params : frozen dataclass of integers and integer arrays, or None; becomes `<kernel>_params` in C, field by
        field under the same names (an array becomes a pointer to a constant table)
    scratch_bytes : working memory that the kernel needs while it runs
    also : names of further kernels that this one calls
    """

    kernel: str
    params: Any
    scratch_bytes: int = 0
    also: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Expansion:
    """Tensors and nodes that stand for one node; they read its inputs and write its outputs."""

    tensors: tuple[TensorSpec, ...]
    nodes: tuple[Node, ...]


@dataclass(frozen=True, eq=False)
class DspForm:
    """A node made ready for a kernel with DSP instructions, which computes the same bits as the portable one.

    C convention: `void <kernel>(const <kernel>_params *params, activations..., outputs..., uint8_t *scratch)`,
    scratch only if dsp_scratch_bytes > 0. Constants are part of params, in the order in which the kernel reads them,
    or stand among the activations.

    Attributes
    ----------
    kernel : name of the C function; its header is firmware/kernels/<kernel>.h
    params : frozen dataclass as in Prepared; may hold further ones, which become structs in the struct
    inline : call `<kernel>_inline` of the header, which takes params.layout after params: the compiler then knows
        all of params
    takes_constants : constant inputs are arguments, as of the portable kernel
    borrows : bytes; its working memory is none of the plan, but what the arena has free at the node, see dsp_within.
        0: it makes do with dsp_scratch_bytes
    """

    kernel: str
    params: Any
    inline: bool
    takes_constants: bool = False
    borrows: int = 0


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

    def dsp_scratch_bytes(self, graph: IntGraph, node: Node) -> int:
        """Working memory of the DSP form, whatever the goal."""
        return 0

    def in_place(self, graph: IntGraph, node: Node) -> tuple[int, ...]:
        """Positions of inputs, each of the output's size, over which the output may be computed.

        To be read off the kernels, portable and DSP: behind the write of an element they read neither that element of
        such an input again nor one in front of it, and no pointer of theirs is `restrict`. Of several such inputs all
        may lie there, as in x + x.
        """
        return ()

    def dsp(self, graph: IntGraph, node: Node, goal: Goal) -> DspForm | None:
        """The form for cores with DSP instructions; None if the portable kernel serves them too, with this goal."""
        return None

    def dsp_within(self, graph: IntGraph, node: Node, goal: Goal, room: int) -> DspForm | None:
        """The same where the arena has so many bytes free; at least dsp_scratch_bytes."""
        return self.dsp(graph, node, goal)

    def reference(self, params: Any, inputs: Sequence[np.ndarray | None]) -> list[np.ndarray]:
        """Compute all outputs. Axis 0 of activations may hold N samples instead of 1.

        A state tensor that the node updates is among `inputs` as a writable array and is changed in place.
        """
        raise NotImplementedError

    def expand(self, graph: IntGraph, node: Node) -> Expansion | None:
        """The node by operators of TFLite, for the formats that have no other, with equal bits; None if TFLite has it
        (and therefore ONNX a form of it here)."""
        return None

    def macs(self, graph: IntGraph, node: Node) -> int:
        """Multiply-accumulates; 0 for an operator that has none."""
        return 0

    def weights(self, node: Node) -> tuple[str, ...]:
        """The inputs that count as parameters (weights and biases)."""
        return ()

    def parameters(self, graph: IntGraph, node: Node, tensor: str) -> int:
        """How many one of these inputs holds."""
        return graph[tensor].elements
