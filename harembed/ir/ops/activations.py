"""tanh and logistic: TFLite's TANH and LOGISTIC on int8.

inputs: input, any shape, int8, any quantisation that TFLM takes
output: the same shape, int8; its quantisation is fixed by the format: tanh 1/128 and 0, logistic 1/256 and -128

TFLM's arithmetic (gemmlowp, Q4.27 in, Q0.31 out) is computed once for each int8 value; the kernel looks up.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from harembed.errors import GraphError
from harembed.ir.fixedpoint import (
    logistic,
    multiply_by_quantized_multiplier,
    quantize_multiplier,
    rounding_divide_by_pot,
    tanh,
)
from harembed.ir.graph import GraphBuilder, IntGraph, Kind, Node, QParams
from harembed.ir.ops.base import Case
from harembed.ir.ops.lookup import Lookup, centred_values

INTEGER_BITS = 4  # of the argument of gemmlowp's functions
FUNCTIONS: dict[str, Callable[[Any, int], Any]] = {"tanh": tanh, "logistic": logistic}


def activation_table(function: Callable[[Any, int], Any], scale: float, zero_point: int, output_bits: int,
                     output_zero_point: int) -> np.ndarray:
    """What TFLM yields for each int8 input.

    Parameters
    ----------
    function : fixedpoint.tanh or fixedpoint.logistic
    scale, zero_point : of the input
    output_bits : fractional bits of the output
    """
    multiplier, shift = quantize_multiplier(scale * (1 << (31 - INTEGER_BITS)))
    radius = _radius(shift)
    centred = centred_values(zero_point)
    argument = multiply_by_quantized_multiplier(np.where(np.abs(centred) < radius, centred, 0), multiplier, shift)
    value = rounding_divide_by_pot(function(argument, INTEGER_BITS), 31 - output_bits) + output_zero_point
    value = np.where(centred >= radius, 127, np.where(centred <= -radius, -128, np.clip(value, -128, 127)))
    return value.astype(np.int8)


def _radius(shift: int) -> int:
    """The distance from zero at which an argument would leave Q4.27; TFLM saturates from there on."""
    return math.floor(((1 << INTEGER_BITS) - 1) * 2.0 ** (31 - INTEGER_BITS - shift))


class _Saturating(Lookup):
    """Base of the two; a subclass says which output quantisation."""

    output_bits: int
    output_zero_point: int

    def output_shapes(self, graph: IntGraph, node: Node) -> list[tuple[int, ...]]:
        shapes = super().output_shapes(graph, node)
        x, y = graph[node.inputs[0]], graph[node.outputs[0]]
        scale = 2.0**-self.output_bits
        if y.scale != scale or y.zero_point != self.output_zero_point:
            raise GraphError(f"Node {node.name!r}: the output of {self.name} must have scale {scale} and zero point "
                             f"{self.output_zero_point}, not {y.scale} and {y.zero_point}.",
                             "TFLite fixes them; quantise the model with these.")
        if not 2.0**-28 <= x.scale < 8.0:
            raise GraphError(f"Node {node.name!r}: the input scale of {self.name} must lie in [2^-28, 8), not "
                             f"{x.scale}.", "Outside, TFLM shifts by negative bits or saturates even zero.")
        return shapes

    def table(self, graph: IntGraph, node: Node) -> np.ndarray:
        x = graph[node.inputs[0]]
        return activation_table(FUNCTIONS[self.name], x.scale, x.zero_point, self.output_bits,
                                self.output_zero_point)

    @classmethod
    def case(cls, name: str, shape: tuple[int, ...], scale: float, zero_point: int = 3) -> Case:
        def build(rng: np.random.Generator) -> IntGraph:
            g = GraphBuilder(f"{cls.name}_{name}")
            g.tensor("input", shape, kind=Kind.INPUT, qparams=QParams((scale,), zero_point))
            g.tensor("output", shape, qparams=QParams((2.0**-cls.output_bits,), cls.output_zero_point))
            g.node(cls.name, ["input"], ["output"])
            return g.build(["input"], ["output"])

        return Case(name, build)

    @classmethod
    def cases(cls) -> tuple[Case, ...]:
        return (
            cls.case("typical", (1, 6, 7, 5), 0.05),
            cls.case("length_one", (1, 1), 0.03),
            cls.case("steep", (1, 300), 0.9, -20),
            cls.case("flat", (1, 300), 2e-3, 0),
            cls.case("every_step_saturates", (1, 300), 7.9, 1),
            cls.case("power_of_two", (1, 300), 0.125, -128),
            cls.case("zero_point_top", (1, 300), 0.0371, 127),
        )


class Tanh(_Saturating):
    name = "tanh"
    output_bits = 7
    output_zero_point = 0


class Logistic(_Saturating):
    name = "logistic"
    output_bits = 8
    output_zero_point = -128


Tanh.CASES = Tanh.cases()
Logistic.CASES = Logistic.cases()
