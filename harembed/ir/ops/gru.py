"""gru: a gated recurrent unit over time (Cho et al., 2014, in the variant of cuDNN and PyTorch), int8 throughout.

inputs: input [1, T, I] int8;
    input weights [3U, I] int8 and recurrent weights [3U, U] int8: rows of the reset, the update and the new gate;
    input bias [3U] int32, recurrent bias [3U] int32
output: [1, T, U] int8, the hidden state h after each step; it starts at 0, which is the output's zero_point

TFLite has no such operator. It is defined as the chain of TFLite's operators that `expand` writes for each time step,
and so has their arithmetic, TFLM as a judge, and a .tflite:

    i = input weights x + input bias              FULLY_CONNECTED, for all steps at once
    s = recurrent weights h + recurrent bias      FULLY_CONNECTED
    reset, update = logistic(i + s)               ADD, LOGISTIC; the first 2U rows
    new = tanh(i + reset * s)                     MUL, ADD, TANH; the last U rows
    h = new + update * (h - new)                  SUB, MUL, ADD
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from harembed.errors import GraphError
from harembed.ir.graph import DType, GraphBuilder, IntGraph, Kind, Node, QParams, TensorSpec
from harembed.ir.ops.activations import Logistic, Tanh
from harembed.ir.ops.base import Case, DspForm, Expansion, Goal, Op, Prepared
from harembed.ir.ops.dense import FullyConnected, FullyConnectedParams
from harembed.ir.ops.elementwise import Add, AddParams, Mul, MulParams, Sub
from harembed.ir.ops.gru_chain import INTERMEDIATES, TANH_QPARAMS, GruAttrs, GruChain
from harembed.ir.ops.gru_dsp import gru_dsp, gru_scratch_bytes
from harembed.ir.ops.rearrange import ReshapeAttrs

INPUT_NAMES = ("input", "input_weights", "recurrent_weights", "input_bias", "recurrent_bias")
_DENSE, _LOGISTIC, _TANH, _ADD, _SUB, _MUL = FullyConnected(), Logistic(), Tanh(), Add(), Sub(), Mul()


@dataclass(frozen=True, eq=False)
class GruParams:
    time_steps: int
    input_size: int
    units: int
    zero_point: int  # of the hidden state
    input: FullyConnectedParams  # of one time step
    recurrent: FullyConnectedParams
    gate_sum: AddParams
    reset_product: MulParams
    new_sum: AddParams
    difference: AddParams
    update_product: MulParams
    output_sum: AddParams
    logistic: np.ndarray  # [256] int8
    tanh: np.ndarray  # [256] int8


class Gru(Op):
    name = "gru"
    Attrs = GruAttrs

    def output_shapes(self, graph: IntGraph, node: Node) -> list[tuple[int, ...]]:
        where = f"Node {node.name!r}: gru"
        if len(node.inputs) != len(INPUT_NAMES) or "" in node.inputs:
            raise GraphError(f"{where} needs {len(INPUT_NAMES)} inputs, all present: {', '.join(INPUT_NAMES)}.")
        x, w, r, *biases = (graph[name] for name in node.inputs)
        y = graph[node.outputs[0]]
        if len(x.shape) != 3 or x.shape[0] != 1 or len(w.shape) != 2 or w.shape[0] % 3:
            raise GraphError(f"{where} needs an input [1, T, I] and weights [3U, I], got {x.shape} and {w.shape}.")
        units = w.shape[0] // 3
        expected = [(3 * units, x.shape[2]), (3 * units, units), (3 * units,), (3 * units,)]
        dtypes = [DType.INT8, DType.INT8, DType.INT32, DType.INT32]
        for name, t, shape, dtype in zip(INPUT_NAMES[1:], (w, r, *biases), expected, dtypes, strict=True):
            if t.shape != shape or t.dtype is not dtype or t.data is None:
                raise GraphError(f"{where}: {name} ({t.name!r}) must be a constant {dtype.value} {shape}, is "
                                 f"{t.dtype.value} {t.shape}.")
        if x.dtype is not DType.INT8 or y.dtype is not DType.INT8:
            raise GraphError(f"{where} needs int8, got {x.dtype.value} -> {y.dtype.value}.")
        if not len(node.attrs.scales) == len(node.attrs.zero_points) == len(INTERMEDIATES):
            raise GraphError(f"{where} needs scales and zero points of {', '.join(INTERMEDIATES)}.")
        return [(1, x.shape[1], units)]

    def prepare(self, graph: IntGraph, node: Node) -> Prepared:
        """Parameters are those of the operators of one time step."""
        x, w = graph[node.inputs[0]], graph[node.inputs[1]]
        step, nodes = self._one_step(graph, node)
        params = {role: _OPS[role].prepare(step, n).params for role, n in nodes.items()}
        result = GruParams(
            time_steps=x.shape[1], input_size=x.shape[2], units=w.shape[0] // 3,
            zero_point=graph[node.outputs[0]].zero_point, logistic=params.pop("logistic").table,
            tanh=params.pop("tanh").table, **params)
        # i and s of all gates, reset and update, one product: 3U + 3U + U bytes, and the state.
        return Prepared("he_gru_s8", result, scratch_bytes=8 * result.units,
                        also=("he_fully_connected_s8", "he_add_s8", "he_mul_s8", "he_lookup_s8"))

    def dsp_scratch_bytes(self, graph: IntGraph, node: Node) -> int:
        return gru_scratch_bytes(graph[node.inputs[0]].shape[2], graph[node.outputs[0]].shape[2])

    def dsp(self, graph: IntGraph, node: Node, goal: Goal) -> DspForm | None:
        step, nodes = self._one_step(graph, node)
        forms = {role: _OPS[role].dsp(step, n, goal) for role, n in nodes.items() if role not in ("logistic", "tanh")}
        return gru_dsp(self.prepare(graph, node).params, forms, goal)

    def reference(self, params: GruParams, inputs: Sequence[np.ndarray | None]) -> list[np.ndarray]:
        x, w, r, b, rb = inputs
        assert x is not None
        p, u = params, params.units
        h = np.full((len(x), u), p.zero_point, np.int8)
        output = np.empty((len(x), p.time_steps, u), np.int8)
        for t in range(p.time_steps):
            i = _DENSE.reference(p.input, [x[:, t], w, b])[0].reshape(len(x), 3 * u)
            s = _DENSE.reference(p.recurrent, [h, r, rb])[0].reshape(len(x), 3 * u)
            gates = _ADD.reference(p.gate_sum, [i[:, : 2 * u], s[:, : 2 * u]])[0]
            gates = p.logistic[gates.astype(np.int64) + 128]
            product = _MUL.reference(p.reset_product, [gates[:, :u], s[:, 2 * u :]])[0]
            new = p.tanh[_ADD.reference(p.new_sum, [i[:, 2 * u :], product])[0].astype(np.int64) + 128]
            difference = _SUB.reference(p.difference, [h, new])[0]
            update = _MUL.reference(p.update_product, [gates[:, u:], difference])[0]
            h = _ADD.reference(p.output_sum, [new, update])[0]
            output[:, t] = h
        return [output]

    def expand(self, graph: IntGraph, node: Node) -> Expansion:
        """All time steps, unrolled."""
        output = graph[node.outputs[0]]
        _, steps, units = output.shape
        assert output.qparams is not None
        e = GruChain(node, units, output.qparams)
        sums = e.input_sums(node.inputs[0], steps)
        start = np.full((1, units), output.zero_point, np.int8)
        h = e.constant("start", start, output.qparams)
        sums_of_start = _DENSE.reference(self.prepare(graph, node).params.recurrent,
                                         [start, graph[node.inputs[2]].data, graph[node.inputs[4]].data])[0]
        parts = e.constant_sums(sums_of_start.reshape(1, -1))
        rows = []
        for t in range(steps):
            h = e.step(f"t{t}", sums, t, h, *(parts if t == 0 else e.recurrent_sums(f"t{t}", h)))
            rows.append(e.add("reshape", f"t{t}/row", (1, 1, units), output.qparams, (h,),
                              ReshapeAttrs((1, 1, units))))
        e.concatenate(rows, node.outputs)
        return Expansion(tuple(e.tensors), tuple(e.nodes))

    def _one_step(self, graph: IntGraph, node: Node) -> tuple[IntGraph, dict[str, Node]]:
        """The operators of a single time step by their role, in a graph that has their tensors."""
        x, output = graph[node.inputs[0]], graph[node.outputs[0]]
        units = output.shape[2]
        assert output.qparams is not None
        e = GruChain(node, units, output.qparams)
        row = TensorSpec(f"{node.name}/x", (1, 1, x.shape[2]), x.dtype, Kind.ACTIVATION, x.qparams)
        h = TensorSpec(f"{node.name}/h", (1, units), DType.INT8, Kind.ACTIVATION, output.qparams)
        e.step("step", e.input_sums(row.name, 1), 0, h.name, *e.recurrent_sums("step", h.name))
        tensors = {**graph.tensors, **{t.name: t for t in (row, h, *e.tensors)}}
        roles = {n.name.rpartition("/")[2]: n for n in e.nodes}
        return IntGraph(graph.name, tensors, (), (), ()), {role: roles[role] for role in _OPS}

    def macs(self, graph: IntGraph, node: Node) -> int:
        _, steps, inputs = graph[node.inputs[0]].shape
        units = graph[node.outputs[0]].shape[2]
        return 3 * steps * units * (inputs + units)

    def weights(self, node: Node) -> tuple[str, ...]:
        return node.inputs[1:]

    @staticmethod
    def case(name: str, steps: int, inputs: int, units: int, weight_scale: float = 0.006,
             scales: tuple[float, ...] = (0.05, 0.04, 0.06, 0.03, 0.05, 1 / 64, 1 / 100),
             zero_points: tuple[int, ...] = (3, -5, 7, 0, -2, 1, 4), input_zero_point: int = 6,
             output: QParams = TANH_QPARAMS) -> Case:
        """A one-node graph; scales and zero_points are those of INTERMEDIATES."""

        def build(rng: np.random.Generator) -> IntGraph:
            g = GraphBuilder(f"gru_{name}")
            quantised = QParams((0.03,), input_zero_point)
            names = [g.tensor("input", (1, steps, inputs), kind=Kind.INPUT, qparams=quantised)]
            sizes = {"input": (inputs, quantised.scale[0]), "recurrent": (units, output.scale[0])}
            for part, (columns, _) in sizes.items():
                weights = rng.integers(-127, 128, (3 * units, columns)).astype(np.int8)
                names.append(g.constant(f"{part}_weights", weights, QParams((weight_scale,))))
            for part, (_, scale) in sizes.items():
                bias = rng.integers(-3000, 3000, 3 * units).astype(np.int32)
                names.append(g.constant(f"{part}_bias", bias, QParams((scale * weight_scale,))))
            g.tensor("output", (1, steps, units), qparams=output)
            g.node("gru", names, ["output"], GruAttrs(scales, zero_points))
            return g.build(["input"], ["output"])

        return Case(name, build)


# The operators of a time step that have parameters, by their role.
_OPS: dict[str, Op] = {
    "input": _DENSE, "recurrent": _DENSE, "gate_sum": _ADD, "logistic": _LOGISTIC, "reset_product": _MUL,
    "new_sum": _ADD, "tanh": _TANH, "difference": _SUB, "update_product": _MUL, "output_sum": _ADD,
}


Gru.CASES = (
    Gru.case("typical", 12, 5, 8),
    Gru.case("length_one", 1, 1, 1),
    Gru.case("odd_sizes", 7, 3, 11),
    Gru.case("saturating", 9, 9, 7, weight_scale=0.2),
    Gru.case("small_weights", 9, 4, 6, weight_scale=2e-4),
    Gru.case("zero_points_extreme", 9, 5, 6, zero_points=(-128, 127, -128, 127, -128, 127, -128),
             input_zero_point=127),
    Gru.case("zero_points_extreme_2", 9, 5, 6, zero_points=(127, -128, 127, -128, 127, -128, 127),
             input_zero_point=-128),
    Gru.case("other_output", 9, 5, 6, output=QParams((0.011,), 9)),
    Gru.case("coarse", 9, 5, 6, scales=(0.5, 0.5, 0.4, 0.3, 0.25, 0.03, 0.02)),
)
