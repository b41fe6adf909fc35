"""softmax: TFLite's SOFTMAX over the last axis, int8 to int8.

inputs: input [..., D] int8, D at most 511
output: the same shape, int8, scale 1/256 and zero point -128 (fixed by the format)
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from harembed.errors import GraphError
from harembed.ir.fixedpoint import (
    one_over_one_plus_x,
    quantize_multiplier,
    rounding_divide_by_pot,
    saturating_rounding_doubling_high_mul,
)
from harembed.ir.graph import DType, GraphBuilder, IntGraph, Kind, Node, QParams
from harembed.ir.ops.base import Case, DspForm, Goal, Op, Prepared
from harembed.ir.ops.softmax_dsp import DIFF_INTEGER_BITS, exponentials, softmax_dsp

SUM_INTEGER_BITS = 12  # the sum of exponentials is Q12.19
MAX_DEPTH = 511  # from 512 equal values on TFLM's final shift exceeds 31 bits and it aborts


@dataclass(frozen=True)
class SoftmaxAttrs:
    beta: float = 1.0  # softmax(beta * x); a float32, as in the file

    def __post_init__(self) -> None:
        object.__setattr__(self, "beta", float(np.float32(self.beta)))


@dataclass(frozen=True, eq=False)
class SoftmaxParams:
    rows: int  # product of all axes but the last
    depth: int
    multiplier: int  # Q0.31
    shift: int  # to the left, 0..31
    diff_min: int  # a smaller difference to the maximum counts as probability 0


class Softmax(Op):
    name = "softmax"
    Attrs = SoftmaxAttrs

    def output_shapes(self, graph: IntGraph, node: Node) -> list[tuple[int, ...]]:
        x, y = graph[node.inputs[0]], graph[node.outputs[0]]
        if x.dtype is not DType.INT8 or y.dtype is not DType.INT8:
            raise GraphError(f"Node {node.name!r}: softmax needs int8, got {x.dtype.value} -> {y.dtype.value}.")
        if len(x.shape) < 2 or x.shape[-1] > MAX_DEPTH:
            raise GraphError(f"Node {node.name!r}: softmax needs an input [1, ..., D] with D <= {MAX_DEPTH}, got "
                             f"{x.shape}.", "TFLM aborts on longer rows.")
        if y.scale != 1 / 256 or y.zero_point != -128:
            raise GraphError(f"Node {node.name!r}: the output of softmax must have scale 1/256 and zero point -128, "
                             f"not {y.scale} and {y.zero_point}.",
                             "TFLite fixes them; quantise the model with these.")
        if self._multiplier(x.scale, node.attrs.beta) <= 1.0:
            raise GraphError(f"Node {node.name!r}: beta * scale = {node.attrs.beta * x.scale} is not above 2^-26, "
                             "which TFLM requires.")
        return [x.shape]

    @staticmethod
    def _multiplier(scale: float, beta: float) -> float:
        """An input difference times this is Q5.26; capped as in TFLite's PreprocessSoftmaxScaling."""
        return min(beta * scale * (1 << (31 - DIFF_INTEGER_BITS)), 2.0**31 - 1.0)

    def in_place(self, graph: IntGraph, node: Node) -> tuple[int, ...]:
        """Both kernels read a row for its maximum, again for its sum, and a last time element by element, just before
        they write that one; no row reads another."""
        return (0,)

    def prepare(self, graph: IntGraph, node: Node) -> Prepared:
        x = graph[node.inputs[0]]
        multiplier, shift = quantize_multiplier(self._multiplier(x.scale, node.attrs.beta))
        radius = math.floor(((1 << DIFF_INTEGER_BITS) - 1) * 2.0 ** (31 - DIFF_INTEGER_BITS - shift))
        params = SoftmaxParams(rows=x.elements // x.shape[-1], depth=x.shape[-1], multiplier=multiplier, shift=shift,
                               diff_min=-radius)
        return Prepared("he_softmax_s8", params)

    def dsp(self, graph: IntGraph, node: Node, goal: Goal) -> DspForm | None:
        return softmax_dsp(self.prepare(graph, node).params, goal)

    def reference(self, params: SoftmaxParams, inputs: Sequence[np.ndarray | None]) -> list[np.ndarray]:
        x = inputs[0]
        assert x is not None
        p = params
        diff = x.astype(np.int64) - x.max(axis=-1, keepdims=True)
        exps = exponentials(p, diff)
        total = rounding_divide_by_pot(exps, SUM_INTEGER_BITS).sum(-1, keepdims=True)
        # total = (1 + x) * 2^(SUM_INTEGER_BITS - zeros) with x in [0, 1) and `zeros` leading zero bits of 32.
        zeros = 32 - np.frexp(total.astype(np.float64))[1].astype(np.int64)
        reciprocal = one_over_one_plus_x((total << zeros) - (1 << 31))
        exponent = SUM_INTEGER_BITS - zeros + 31 - 8
        product = saturating_rounding_doubling_high_mul(reciprocal, exps)
        return [np.clip(rounding_divide_by_pot(product, exponent) - 128, -128, 127).astype(np.int8)]

    @staticmethod
    def case(name: str, shape: tuple[int, ...], scale: float, zero_point: int = -7, beta: float = 1.0) -> Case:
        def build(rng: np.random.Generator) -> IntGraph:
            g = GraphBuilder(f"softmax_{name}")
            g.tensor("input", shape, kind=Kind.INPUT, qparams=QParams((scale,), zero_point))
            g.tensor("output", shape, qparams=QParams((1 / 256,), -128))
            g.node("softmax", ["input"], ["output"], SoftmaxAttrs(beta))
            return g.build(["input"], ["output"])

        return Case(name, build)


Softmax.CASES = (
    Softmax.case("classes", (1, 6), 0.1),
    Softmax.case("attention_map", (1, 9, 9), 0.03),
    Softmax.case("rank_4", (1, 2, 3, 7), 0.2, 127),
    Softmax.case("length_one", (1, 1), 0.1, -128),
    Softmax.case("flat", (1, 3), 1e-4, 0),
    Softmax.case("deepest", (1, MAX_DEPTH), 0.03, 0),
    Softmax.case("steep", (1, 5), 1.5),
    Softmax.case("one_step_is_all", (1, 5), 40.0),
    Softmax.case("power_of_two", (1, 5), 0.0625),
    Softmax.case("beta", (1, 5), 0.07, beta=0.35),
)
