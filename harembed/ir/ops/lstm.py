"""lstm: TFLite's UNIDIRECTIONAL_SEQUENCE_LSTM, int8 activations and weights, int16 gates and cell.

inputs: input [1, T, I] int8;
    input weights [U, I] int8 and recurrent weights [U, U] int8, each of the input, forget, cell and output gate;
    biases [U] int32 in the same order;
    output_state [1, U] int8 and cell_state [1, U] int16, of Kind.STATE, updated in place
output: [1, T, U] int8, the integers of output_state after each step, whatever its own quantisation says: TFLM copies
    them, and TensorFlow's converter gives the two of a bidirectional layer one scale

Weights have one scale per tensor and zero point 0; the cell's scale is a power of two, its zero point 0. Peephole,
projection, layer normalisation, coupled gates and time-major layout do not exist here; the importer refuses them.

Arithmetic, as TFLM's reference kernel: a gate adds two int16 in Q3.12 (saturating), one requantised from the input
with the bias, one from output_state; zero points are subtracted while accumulating. (Folding them into the bias
beforehand gives the same int32 sum.) sigmoid and tanh interpolate in a table of 256 knots, Q0.15. Every product of
two int16 is requantised by its own multiplier.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from harembed.errors import GraphError
from harembed.ir.fixedpoint import (
    quantize_multiplier,
    requantize,
    sigmoid_s16,
    sigmoid_table,
    tanh_s16,
)
from harembed.ir.graph import DType, GraphBuilder, IntGraph, Kind, Node, QParams, TensorSpec
from harembed.ir.ops.base import Case, DspForm, Goal, Op, Prepared
from harembed.ir.ops.lstm_dsp import lstm_dsp, lstm_scratch_bytes

GATES = ("input", "forget", "cell", "output")
INPUT_NAMES = (
    "input", *(f"input_to_{g}_weights" for g in GATES), *(f"recurrent_to_{g}_weights" for g in GATES),
    *(f"{g}_bias" for g in GATES), "output_state", "cell_state",
)
GATE_SCALE = 2.0**-12  # Q3.12, the argument of sigmoid and tanh
UNIT_SCALE = 2.0**-15  # Q0.15, their value
OUTPUT_STATE, CELL_STATE = 13, 14  # positions among the inputs


@dataclass(frozen=True)
class LstmAttrs:
    cell_clip: float = 0.0  # the cell stays within +- this, in real units, a float32; 0: only int16 saturation

    def __post_init__(self) -> None:
        object.__setattr__(self, "cell_clip", float(np.float32(self.cell_clip)))


@dataclass(frozen=True, eq=False)
class LstmParams:
    time_steps: int
    input_size: int
    units: int
    input_zero_point: int
    output_state_zero_point: int
    input_multiplier: tuple[int, ...]  # [4] gates in the order of GATES; Q0.31
    input_shift: tuple[int, ...]
    recurrent_multiplier: tuple[int, ...]
    recurrent_shift: tuple[int, ...]
    forget_cell_multiplier: int  # forget gate * cell -> cell
    forget_cell_shift: int
    input_cell_multiplier: int  # input gate * cell gate -> cell
    input_cell_shift: int
    output_multiplier: int  # tanh(cell) * output gate -> output_state
    output_shift: int
    cell_tanh_multiplier: int  # cell -> units of 1/12288
    cell_tanh_shift: int
    cell_clip: int  # in steps of the cell; 32768: none
    sigmoid_table: np.ndarray  # [256] uint16


class Lstm(Op):
    name = "lstm"
    Attrs = LstmAttrs

    def output_shapes(self, graph: IntGraph, node: Node) -> list[tuple[int, ...]]:
        where = f"Node {node.name!r}: lstm"
        if len(node.inputs) != len(INPUT_NAMES) or "" in node.inputs:
            raise GraphError(f"{where} needs {len(INPUT_NAMES)} inputs, all present: {', '.join(INPUT_NAMES)}.")
        tensors = [graph[name] for name in node.inputs]
        x, y = tensors[0], graph[node.outputs[0]]
        if len(x.shape) != 3 or x.shape[0] != 1:
            raise GraphError(f"{where} needs an input [1, T, I], got {x.shape}.")
        inputs, units = x.shape[2], tensors[OUTPUT_STATE].shape[-1]
        shapes = [x.shape, *[(units, inputs)] * 4, *[(units, units)] * 4, *[(units,)] * 4, (1, units), (1, units)]
        dtypes = [DType.INT8] * 9 + [DType.INT32] * 4 + [DType.INT8, DType.INT16]
        for name, t, shape, dtype in zip(INPUT_NAMES, tensors, shapes, dtypes, strict=True):
            if t.shape != shape or t.dtype is not dtype:
                raise GraphError(f"{where}: {name} ({t.name!r}) must be {dtype.value} {shape}, is {t.dtype.value} "
                                 f"{t.shape}.")
        self._check_quantisation(where, tensors, y)
        return [(1, x.shape[1], units)]

    @staticmethod
    def _check_quantisation(where: str, tensors: list[TensorSpec], y: TensorSpec) -> None:
        for t in tensors[1:9]:
            if t.kind is not Kind.CONSTANT or t.qparams is None or len(t.qparams.scale) != 1 or t.zero_point != 0:
                raise GraphError(f"{where}: weights {t.name!r} must be constant, with one scale and zero point 0.",
                                 "TFLM computes no per-channel LSTM.")
        state, cell = tensors[OUTPUT_STATE], tensors[CELL_STATE]
        for t in (state, cell):
            if t.kind is not Kind.STATE:
                raise GraphError(f"{where}: {t.name!r} must be a state tensor, is {t.kind.value}.")
        if y.dtype is not DType.INT8:
            raise GraphError(f"{where}: the output {y.name!r} must be int8, is {y.dtype.value}.")
        mantissa, exponent = math.frexp(cell.scale)
        if mantissa != 0.5 or cell.zero_point != 0 or not -24 <= exponent - 1 <= 0:
            raise GraphError(f"{where}: the cell's scale must be a power of two from 2^-24 to 1 and its zero point "
                             f"0, not {cell.scale} and {cell.zero_point}.")

    def prepare(self, graph: IntGraph, node: Node) -> Prepared:
        tensors = [graph[name] for name in node.inputs]
        x, state, cell = tensors[0], tensors[OUTPUT_STATE], tensors[CELL_STATE]
        from_input = [_gate_multiplier(x, w) for w in tensors[1:5]]
        from_state = [_gate_multiplier(state, w) for w in tensors[5:9]]
        forget_cell = quantize_multiplier(UNIT_SCALE * cell.scale / cell.scale)
        input_cell = quantize_multiplier(UNIT_SCALE * UNIT_SCALE / cell.scale)
        output = quantize_multiplier(UNIT_SCALE * UNIT_SCALE / state.scale)
        tanh_multiplier, tanh_shift = _cell_tanh(cell.scale)
        params = LstmParams(
            time_steps=x.shape[1], input_size=x.shape[2], units=state.shape[1], input_zero_point=x.zero_point,
            output_state_zero_point=state.zero_point,
            input_multiplier=tuple(m for m, _ in from_input), input_shift=tuple(s for _, s in from_input),
            recurrent_multiplier=tuple(m for m, _ in from_state), recurrent_shift=tuple(s for _, s in from_state),
            forget_cell_multiplier=forget_cell[0], forget_cell_shift=forget_cell[1],
            input_cell_multiplier=input_cell[0], input_cell_shift=input_cell[1], output_multiplier=output[0],
            output_shift=output[1], cell_tanh_multiplier=tanh_multiplier, cell_tanh_shift=tanh_shift,
            cell_clip=_quantised_clip(node.attrs.cell_clip, cell.scale), sigmoid_table=sigmoid_table(),
        )
        return Prepared("he_lstm_s8", params)

    def dsp_scratch_bytes(self, graph: IntGraph, node: Node) -> int:
        if self.dsp(graph, node, "size") is None:
            return 0
        return lstm_scratch_bytes(graph[node.inputs[0]].shape[2], graph[node.inputs[OUTPUT_STATE]].shape[1])

    def dsp(self, graph: IntGraph, node: Node, goal: Goal) -> DspForm | None:
        constants = [graph[name].data for name in self.weights(node)]
        arrays = [c for c in constants if c is not None]
        if len(arrays) != len(constants):
            raise GraphError(f"Node {node.name!r}: the weights and biases of an lstm must be constants.")
        return lstm_dsp(self.prepare(graph, node).params, arrays[:4], arrays[4:8], arrays[8:], goal)

    def reference(self, params: LstmParams, inputs: Sequence[np.ndarray | None]) -> list[np.ndarray]:
        x, state, cell = inputs[0], inputs[OUTPUT_STATE], inputs[CELL_STATE]
        assert x is not None and state is not None and cell is not None
        p = params
        output = np.empty((len(x), p.time_steps, p.units), np.int8)
        for t in range(p.time_steps):
            gates = [_gate(p, inputs, g, x[:, t], state) for g in range(4)]
            gate_in, forget, gate_out = (sigmoid_s16(gates[g]).astype(np.int64) for g in (0, 1, 3))
            candidate = tanh_s16(gates[2], 3, 0).astype(np.int64)
            kept = _int16(forget * cell, p.forget_cell_multiplier, p.forget_cell_shift)
            added = _int16(gate_in * candidate, p.input_cell_multiplier, p.input_cell_shift)
            cell[...] = np.clip(np.clip(kept + added, -32768, 32767), -p.cell_clip, p.cell_clip)
            shown = tanh_s16(cell, p.cell_tanh_multiplier, p.cell_tanh_shift).astype(np.int64)
            state[...] = requantize(shown * gate_out, p.output_multiplier, p.output_shift, p.output_state_zero_point,
                                    -128, 127)
            output[:, t] = state
        return [output]

    def macs(self, graph: IntGraph, node: Node) -> int:
        _, steps, inputs = graph[node.inputs[0]].shape
        units = graph[node.inputs[OUTPUT_STATE]].shape[1]
        return 4 * steps * units * (inputs + units)

    def weights(self, node: Node) -> tuple[str, ...]:
        return node.inputs[1:OUTPUT_STATE]

    @staticmethod
    def case(name: str, steps: int, inputs: int, units: int, attrs: LstmAttrs = LstmAttrs(),
             scales: tuple[float, float, float] = (0.03, 0.008, 2.0**-13), zero_points: tuple[int, int] = (6, -5),
             weight_scale: float = 0.006, declared: QParams | None = None) -> Case:
        """A one-node graph; scales are those of input, output state and cell, zero_points of input and output state.

        The output is quantised as the state, if it is not declared otherwise.
        """

        def build(rng: np.random.Generator) -> IntGraph:
            g = GraphBuilder(f"lstm_{name}")
            input_scale, output_scale, cell_scale = scales
            names = [g.tensor("input", (1, steps, inputs), kind=Kind.INPUT,
                              qparams=QParams((input_scale,), zero_points[0]))]
            weight_scales = rng.uniform(0.7, 1.3, 8) * weight_scale
            for i, weights in enumerate(INPUT_NAMES[1:9]):
                columns = inputs if i < 4 else units
                names.append(g.constant(weights, rng.integers(-127, 128, (units, columns)).astype(np.int8),
                                        QParams((weight_scales[i],))))
            for i, bias in enumerate(INPUT_NAMES[9:13]):
                names.append(g.constant(bias, rng.integers(-4000, 4000, units).astype(np.int32),
                                        QParams((input_scale * weight_scales[i],))))
            output = QParams((output_scale,), zero_points[1])
            names.append(g.tensor("output_state", (1, units), kind=Kind.STATE, qparams=output))
            names.append(g.tensor("cell_state", (1, units), DType.INT16, Kind.STATE, QParams((cell_scale,))))
            g.tensor("output", (1, steps, units), qparams=declared or output)
            g.node("lstm", names, ["output"], attrs)
            return g.build(["input"], ["output"])

        return Case(name, build)


def _gate_multiplier(x: TensorSpec, weights: TensorSpec) -> tuple[int, int]:
    return quantize_multiplier(x.scale * weights.scale / GATE_SCALE)


def _cell_tanh(scale: float) -> tuple[int, int]:
    """(multiplier, shift) that turn the cell into units of 1/12288 = 1/(3 * 2^12)."""
    left = math.frexp(scale)[1] - 1 + 12
    return (3 << left, 0) if left >= 0 else (3, -left)


def _quantised_clip(cell_clip: float, scale: float) -> int:
    """The clip in steps of the cell, cut toward zero and to int16 as TFLite does; 32768 is beyond any cell."""
    return 32768 if cell_clip <= 0.0 else int(min(cell_clip / scale, 32767.0))


def _int16(x: np.ndarray, multiplier: int, shift: int) -> np.ndarray:
    """Scaled and saturated to int16, held in int64."""
    return requantize(x, multiplier, shift, 0, -32768, 32767, np.int64)


def _gate(p: LstmParams, inputs: Sequence[np.ndarray | None], gate: int, x: np.ndarray,
          state: np.ndarray) -> np.ndarray:
    """Sum of a gate before its activation [N, U], int16 in Q3.12."""
    w, r, bias = inputs[1 + gate], inputs[5 + gate], inputs[9 + gate]
    assert w is not None and r is not None and bias is not None
    from_input = (x.astype(np.int64) - p.input_zero_point) @ w.T.astype(np.int64) + bias
    from_state = (state.astype(np.int64) - p.output_state_zero_point) @ r.T.astype(np.int64)
    total = (_int16(from_input, p.input_multiplier[gate], p.input_shift[gate])
             + _int16(from_state, p.recurrent_multiplier[gate], p.recurrent_shift[gate]))
    return np.clip(total, -32768, 32767)


Lstm.CASES = (
    Lstm.case("typical", 20, 5, 8, LstmAttrs(10.0)),
    Lstm.case("no_clip", 20, 5, 8),
    Lstm.case("length_one", 1, 1, 1),
    Lstm.case("odd_sizes", 7, 3, 11),
    Lstm.case("tight_clip", 20, 5, 8, LstmAttrs(0.3)),
    Lstm.case("gates_saturate", 12, 9, 7, weight_scale=0.3),
    Lstm.case("small_weights", 12, 4, 6, weight_scale=2e-4),
    Lstm.case("coarse_cell", 30, 5, 6, LstmAttrs(10.0), scales=(0.03, 0.008, 2.0**-9)),
    Lstm.case("fine_cell", 30, 5, 6, scales=(0.03, 0.008, 2.0**-15)),
    Lstm.case("other_output", 12, 5, 6, declared=QParams((0.005,), 11)),
    Lstm.case("zero_points_extreme", 12, 5, 6, zero_points=(-128, 127)),
    Lstm.case("zero_points_extreme_2", 12, 5, 6, zero_points=(127, -128)),
)
