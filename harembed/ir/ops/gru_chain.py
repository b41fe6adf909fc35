"""The operators of TFLite that a gru stands for, time step by time step (gru.py says what they compute)."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from harembed.ir.graph import DType, Kind, Node, QParams, TensorSpec
from harembed.ir.ops.concatenation import ConcatenationAttrs
from harembed.ir.ops.dense import FullyConnectedAttrs
from harembed.ir.ops.elementwise import ElementwiseAttrs
from harembed.ir.ops.slice import StridedSliceAttrs

# What is rounded to int8 on the way from input and state to the next state, in the order of GruAttrs.
INTERMEDIATES = ("input_sum", "recurrent_sum", "gate_sum", "reset_product", "new_sum", "difference", "update_product")
LOGISTIC_QPARAMS, TANH_QPARAMS = QParams((2.0**-8,), -128), QParams((2.0**-7,), 0)  # fixed by TFLite
MOST_INPUTS = 10  # of TFLM's CONCATENATION


@dataclass(frozen=True)
class GruAttrs:
    scales: tuple[float, ...]  # of INTERMEDIATES, float32
    zero_points: tuple[int, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "scales", tuple(float(np.float32(s)) for s in self.scales))

    def qparams(self, name: str) -> QParams:
        i = INTERMEDIATES.index(name)
        return QParams((self.scales[i],), self.zero_points[i])


class GruChain:
    """Collects the tensors and nodes that a gru stands for; their names begin with the node's."""

    def __init__(self, node: Node, units: int, state: QParams) -> None:
        self.node, self.units, self.state = node, units, state
        self.tensors: list[TensorSpec] = []
        self.nodes: list[Node] = []

    def add(self, op: str, name: str, shape: tuple[int, ...], qparams: QParams, inputs: tuple[str, ...],
            attrs: Any = None) -> str:
        full = f"{self.node.name}/{name}"
        self.tensors.append(TensorSpec(full, shape, DType.INT8, Kind.ACTIVATION, qparams))
        self.nodes.append(Node(full, op, inputs, (full,), attrs))
        return full

    def constant(self, name: str, data: np.ndarray, qparams: QParams) -> str:
        full = f"{self.node.name}/{name}"
        self.tensors.append(TensorSpec(full, data.shape, DType.INT8, Kind.CONSTANT, qparams, data))
        return full

    def input_sums(self, x: str, steps: int) -> str:
        """From the input [1, T, I] to its share of all gates [1, T, 3U]."""
        node = self.node
        return self.add("fully_connected", "input", (1, steps, 3 * self.units), node.attrs.qparams("input_sum"),
                        (x, node.inputs[1], node.inputs[3]), FullyConnectedAttrs(keep_num_dims=True))

    def recurrent_sums(self, prefix: str, h: str) -> tuple[str, str]:
        """From the state [1, U] to its share of the gates reset and update [1, 2U] and of the new gate [1, U]."""
        node, u, qparams = self.node, self.units, self.node.attrs.qparams("recurrent_sum")
        s = self.add("fully_connected", f"{prefix}/recurrent", (1, 3 * u), qparams,
                     (h, node.inputs[2], node.inputs[4]), FullyConnectedAttrs())
        return (self._columns(f"{prefix}/recurrent_gates", s, qparams, 0, 2 * u),
                self._columns(f"{prefix}/recurrent_new", s, qparams, 2 * u, u))

    def constant_sums(self, sums: np.ndarray) -> tuple[str, str]:
        """The same for a state that is known beforehand: TFLM's FULLY_CONNECTED wants an input of run time."""
        qparams, u = self.node.attrs.qparams("recurrent_sum"), self.units
        return (self.constant("t0/recurrent_gates", np.ascontiguousarray(sums[:, : 2 * u]), qparams),
                self.constant("t0/recurrent_new", np.ascontiguousarray(sums[:, 2 * u :]), qparams))

    def step(self, prefix: str, sums: str, t: int, h: str, recurrent_gates: str, recurrent_new: str) -> str:
        """One time step: from the input sums [1, T, 3U] and the state [1, U] to the next state."""
        u, attrs = self.units, self.node.attrs

        def add(op: str, role: str, width: int, qparams: QParams, *inputs: str) -> str:
            return self.add(op, f"{prefix}/{role}", (1, width), qparams, inputs,
                            ElementwiseAttrs() if op in ("add", "sub", "mul") else None)

        def of_input(role: str, begin: int, width: int) -> str:
            return self.add("strided_slice", f"{prefix}/{role}", (1, width), attrs.qparams("input_sum"), (sums,),
                            StridedSliceAttrs((0, t, begin), (1, 1, width), (1, 1, 1), (1,)))

        gate_sum = add("add", "gate_sum", 2 * u, attrs.qparams("gate_sum"), of_input("input_gates", 0, 2 * u),
                       recurrent_gates)
        gates = add("logistic", "logistic", 2 * u, LOGISTIC_QPARAMS, gate_sum)
        reset = self._columns(f"{prefix}/reset", gates, LOGISTIC_QPARAMS, 0, u)
        update = self._columns(f"{prefix}/update", gates, LOGISTIC_QPARAMS, u, u)
        product = add("mul", "reset_product", u, attrs.qparams("reset_product"), reset, recurrent_new)
        new_sum = add("add", "new_sum", u, attrs.qparams("new_sum"), of_input("input_new", 2 * u, u), product)
        new = add("tanh", "tanh", u, TANH_QPARAMS, new_sum)
        difference = add("sub", "difference", u, attrs.qparams("difference"), h, new)
        kept = add("mul", "update_product", u, attrs.qparams("update_product"), update, difference)
        return add("add", "output_sum", u, self.state, new, kept)

    def concatenate(self, rows: list[str], outputs: tuple[str, ...]) -> None:
        """Lay [1, 1, U] side by side in time; TFLM takes ten inputs at most."""
        widths = dict.fromkeys(rows, 1)
        while len(rows) > MOST_INPUTS:
            groups = [rows[i : i + MOST_INPUTS] for i in range(0, len(rows), MOST_INPUTS)]
            rows = []
            for group in groups:
                width = sum(widths[name] for name in group)
                rows.append(self.add("concatenation", f"rows_{len(self.nodes)}", (1, width, self.units), self.state,
                                     tuple(group), ConcatenationAttrs(1)))
                widths[rows[-1]] = width
        self.nodes.append(Node(self.node.name, "concatenation", tuple(rows), outputs, ConcatenationAttrs(1)))

    def _columns(self, name: str, source: str, qparams: QParams, begin: int, width: int) -> str:
        return self.add("strided_slice", name, (1, width), qparams, (source,),
                        StridedSliceAttrs((0, begin), (1, width), (1, 1)))
