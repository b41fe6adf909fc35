"""prelu: x where it is positive, alpha * x elsewhere, alpha being a tensor (TFLite's PRELU).

inputs: input int8, alpha int8, which broadcasts to the input's shape as NumPy does; usually one number per channel
output: int8 of the input's shape
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from harembed.errors import GraphError
from harembed.ir.fixedpoint import multiply_by_quantized_multiplier, quantize_multiplier
from harembed.ir.graph import DType, GraphBuilder, IntGraph, Kind, Node, QParams
from harembed.ir.ops.base import Case, DspForm, Goal, Op, Prepared
from harembed.ir.ops.elementwise import RANK, broadcast_strides
from harembed.ir.ops.prelu_dsp import prelu_dsp


@dataclass(frozen=True, eq=False)
class PreluParams:
    shape: tuple[int, ...]  # [5] of input and output
    alpha_stride: tuple[int, ...]  # [5] elements between neighbours of alpha along each axis; 0 repeats it
    input_zero_point: int
    alpha_zero_point: int
    output_zero_point: int
    positive_multiplier: int  # Q0.31
    positive_shift: int
    negative_multiplier: int
    negative_shift: int


class Prelu(Op):
    name = "prelu"

    def output_shapes(self, graph: IntGraph, node: Node) -> list[tuple[int, ...]]:
        x, alpha = (graph[name] for name in node.inputs)
        for t in (x, alpha, graph[node.outputs[0]]):
            if t.dtype is not DType.INT8:
                raise GraphError(f"Node {node.name!r}: prelu needs int8, {t.name!r} is {t.dtype.value}.")
        front = (1,) * (len(x.shape) - len(alpha.shape))
        fits = len(alpha.shape) <= len(x.shape) <= RANK and all(
            a in (1, n) for a, n in zip(front + alpha.shape, x.shape, strict=True))
        if not fits or (alpha.kind is not Kind.CONSTANT and front):
            raise GraphError(f"Node {node.name!r}: prelu cannot broadcast alpha {alpha.shape} to {x.shape}.",
                             f"At most rank {RANK}; an alpha that is computed has the input's rank.")
        return [x.shape]

    def in_place(self, graph: IntGraph, node: Node) -> tuple[int, ...]:
        """Both kernels go through input and output side by side, *output++ = f(*input++, alpha). Not over alpha, some
        of which may be needed again."""
        return (0,)

    def prepare(self, graph: IntGraph, node: Node) -> Prepared:
        x, alpha = (graph[name] for name in node.inputs)
        y = graph[node.outputs[0]]
        positive = quantize_multiplier(x.scale / y.scale)
        negative = quantize_multiplier(x.scale * alpha.scale / y.scale)
        return Prepared("he_prelu_s8", PreluParams(
            shape=(1,) * (RANK - len(x.shape)) + x.shape, alpha_stride=broadcast_strides(alpha.shape),
            input_zero_point=x.zero_point, alpha_zero_point=alpha.zero_point, output_zero_point=y.zero_point,
            positive_multiplier=positive[0], positive_shift=positive[1],
            negative_multiplier=negative[0], negative_shift=negative[1],
        ))

    def dsp(self, graph: IntGraph, node: Node, goal: Goal) -> DspForm | None:
        return prelu_dsp(self.prepare(graph, node).params, goal)

    def reference(self, params: PreluParams, inputs: Sequence[np.ndarray | None]) -> list[np.ndarray]:
        x, alpha = inputs
        assert x is not None and alpha is not None
        p = params
        centred = x.astype(np.int64) - p.input_zero_point
        above = multiply_by_quantized_multiplier(centred, p.positive_multiplier, p.positive_shift)
        below = multiply_by_quantized_multiplier(centred * (alpha.astype(np.int64) - p.alpha_zero_point),
                                                 p.negative_multiplier, p.negative_shift)
        scaled = np.where(centred >= 0, above, below) + p.output_zero_point
        return [np.clip(scaled, -128, 127).astype(np.int8)]

    def weights(self, node: Node) -> tuple[str, ...]:
        return node.inputs[1:]

    @staticmethod
    def case(name: str, shape: tuple[int, ...], alpha_shape: tuple[int, ...],
             scales: tuple[float, float, float] = (0.05, 0.003, 0.04),
             zero_points: tuple[int, int, int] = (-3, 5, 7), constant: bool = True) -> Case:
        """A one-node graph; scales and zero_points are those of input, alpha and output."""

        def build(rng: np.random.Generator) -> IntGraph:
            g = GraphBuilder(f"prelu_{name}")
            qparams = [QParams((s,), z) for s, z in zip(scales, zero_points, strict=True)]
            inputs = [g.tensor("input", shape, kind=Kind.INPUT, qparams=qparams[0])]
            if constant:
                g.constant("alpha", rng.integers(-128, 128, alpha_shape).astype(np.int8), qparams[1])
            else:
                inputs.append(g.tensor("alpha", alpha_shape, kind=Kind.INPUT, qparams=qparams[1]))
            g.tensor("output", shape, qparams=qparams[2])
            g.node("prelu", ["input", "alpha"], ["output"])
            return g.build(inputs, ["output"])

        return Case(name, build)


Prelu.CASES = (
    Prelu.case("per_channel", (1, 3, 5, 7), (1, 1, 7)),
    Prelu.case("per_element", (1, 4, 6), (4, 6)),
    Prelu.case("one_for_all", (1, 4, 6), (1,)),
    Prelu.case("per_row", (1, 4, 6), (1, 4, 1)),
    Prelu.case("computed_alpha", (1, 4, 6), (1, 1, 6), constant=False),
    Prelu.case("steep", (1, 300), (300,), (0.05, 0.1, 0.04)),
    Prelu.case("zero_points_extreme", (1, 300), (300,), zero_points=(-128, 127, 127)),
    Prelu.case("zero_points_extreme_2", (1, 300), (300,), zero_points=(127, -128, -128)),
    Prelu.case("saturating", (1, 300), (300,), (0.5, 0.1, 0.01)),
    Prelu.case("length_one", (1, 1), (1,)),
)
