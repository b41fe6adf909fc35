"""add, sub and mul: TFLite's ADD, SUB and MUL on int8, with broadcasting.

inputs: input1, input2, int8; shapes broadcast as NumPy's do, up to rank 5; either may be a constant
output: int8

An operand that is not a constant has the rank of the output, so that axis 0 stays the batch.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from harembed.errors import GraphError
from harembed.ir.fixedpoint import multiply_by_quantized_multiplier, quantize_multiplier, requantize
from harembed.ir.graph import DType, GraphBuilder, IntGraph, Kind, Node, QParams
from harembed.ir.ops.base import Case, DspForm, Goal, Op, Prepared
from harembed.ir.ops.conv import activation_range
from harembed.ir.ops.elementwise_dsp import add_dsp, mul_dsp

RANK = 5  # of the loops in C; shorter shapes get ones in front
ADD_LEFT_SHIFT = 20  # headroom that TFLite gives both inputs of a sum or difference before it scales them


@dataclass(frozen=True)
class ElementwiseAttrs:
    activation: str = "none"  # "none", "relu", "relu6"


@dataclass(frozen=True, eq=False)
class AddParams:  # and of sub
    shape: tuple[int, ...]  # [5] of the output
    stride1: tuple[int, ...]  # [5] elements between neighbours of input1 along each axis; 0 repeats it
    stride2: tuple[int, ...]
    input1_zero_point: int
    input2_zero_point: int
    output_zero_point: int
    input2_sign: int  # 1 or -1
    left_shift: int
    input1_multiplier: int  # Q0.31
    input1_shift: int
    input2_multiplier: int
    input2_shift: int
    output_multiplier: int
    output_shift: int
    act_min: int
    act_max: int


@dataclass(frozen=True, eq=False)
class MulParams:
    shape: tuple[int, ...]
    stride1: tuple[int, ...]
    stride2: tuple[int, ...]
    input1_zero_point: int
    input2_zero_point: int
    output_zero_point: int
    output_multiplier: int  # Q0.31
    output_shift: int
    act_min: int
    act_max: int


def broadcast_strides(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Elements to step along each of RANK axes of a dense tensor; 0 where its length is 1."""
    padded = (1,) * (RANK - len(shape)) + shape
    strides = [int(np.prod(padded[i + 1 :], dtype=np.int64)) for i in range(RANK)]
    return tuple(0 if n == 1 else s for n, s in zip(padded, strides, strict=True))


class _Elementwise(Op):
    """What all three share: shapes and the batch."""

    Attrs = ElementwiseAttrs

    def output_shapes(self, graph: IntGraph, node: Node) -> list[tuple[int, ...]]:
        operands = [graph[name] for name in node.inputs]
        for t in (*operands, graph[node.outputs[0]]):
            if t.dtype is not DType.INT8:
                raise GraphError(f"Node {node.name!r}: {self.name} needs int8, {t.name!r} is {t.dtype.value}.")
        try:
            shape = np.broadcast_shapes(*(t.shape for t in operands))
        except ValueError:
            raise GraphError(f"Node {node.name!r}: shapes {operands[0].shape} and {operands[1].shape} do not "
                             "broadcast.") from None
        if len(shape) > RANK or shape[0] != 1:
            raise GraphError(f"Node {node.name!r}: the output of {self.name} would be {shape}; it must have batch 1 "
                             f"and at most rank {RANK}.")
        for t in operands:
            if t.kind is not Kind.CONSTANT and len(t.shape) != len(shape):
                raise GraphError(f"Node {node.name!r}: {t.name!r} has rank {len(t.shape)}, the output rank "
                                 f"{len(shape)}; only a constant may be broadcast to more axes.",
                                 "Reshape it before.")
        return [shape]

    def in_place(self, graph: IntGraph, node: Node) -> tuple[int, ...]:
        """All kernels read both operands' element, then write *output++; an operand that is not repeated is stepped
        through as the output is."""
        elements = graph[node.outputs[0]].elements
        return tuple(at for at, name in enumerate(node.inputs) if graph[name].elements == elements)

    def _shared(self, graph: IntGraph, node: Node) -> dict[str, Any]:
        x1, x2 = (graph[name] for name in node.inputs)
        y = graph[node.outputs[0]]
        act_min, act_max = activation_range(node.attrs.activation, y.scale, y.zero_point)
        return {"shape": (1,) * (RANK - len(y.shape)) + y.shape, "stride1": broadcast_strides(x1.shape),
                "stride2": broadcast_strides(x2.shape), "input1_zero_point": x1.zero_point,
                "input2_zero_point": x2.zero_point, "output_zero_point": y.zero_point, "act_min": act_min,
                "act_max": act_max}

    def weights(self, node: Node) -> tuple[str, ...]:
        return node.inputs

    @classmethod
    def case(cls, name: str, shape1: tuple[int, ...], shape2: tuple[int, ...],
             scales: tuple[float, float, float] = (0.05, 0.03, 0.06), zero_points: tuple[int, int, int] = (-3, 5, 7),
             activation: str = "none", constant: bool = False) -> Case:
        """A one-node graph; scales and zero_points are those of input1, input2 and output."""

        def build(rng: np.random.Generator) -> IntGraph:
            g = GraphBuilder(f"{cls.name}_{name}")
            qparams = [QParams((s,), z) for s, z in zip(scales, zero_points, strict=True)]
            inputs = [g.tensor("input1", shape1, kind=Kind.INPUT, qparams=qparams[0])]
            if constant:
                g.constant("input2", rng.integers(-128, 128, shape2).astype(np.int8), qparams[1])
            else:
                inputs.append(g.tensor("input2", shape2, kind=Kind.INPUT, qparams=qparams[1]))
            g.tensor("output", np.broadcast_shapes(shape1, shape2), qparams=qparams[2])
            g.node(cls.name, ["input1", "input2"], ["output"], ElementwiseAttrs(activation))
            return g.build(inputs, ["output"])

        return Case(name, build)

    @classmethod
    def cases(cls) -> tuple[Case, ...]:
        return (
            cls.case("same_shape", (1, 3, 5, 7), (1, 3, 5, 7)),
            cls.case("relu", (1, 40), (1, 40), activation="relu"),
            cls.case("relu6", (1, 40), (1, 40), (0.1, 0.07, 0.05), (-3, 5, -100), activation="relu6"),
            cls.case("constant_channels", (1, 4, 6), (6,), constant=True),
            cls.case("constant_scalar", (1, 4, 6), (1,), constant=True),
            cls.case("broadcast_time", (1, 1, 6), (1, 5, 6)),
            cls.case("broadcast_both", (1, 4, 1, 3), (1, 1, 5, 1)),
            cls.case("length_one", (1, 1), (1, 1)),
            cls.case("saturating", (1, 300), (1, 300), (0.5, 0.3, 0.01)),
            cls.case("zero_points_extreme", (1, 300), (1, 300), zero_points=(-128, -128, -128)),
            cls.case("zero_points_extreme_2", (1, 300), (1, 300), zero_points=(127, -128, 127)),
            cls.case("scales_far_apart", (1, 300), (1, 300), (3.0, 1e-4, 2.9)),
        )


class _Sum(_Elementwise):
    """What add and sub share: both inputs are brought to one scale, then the result to the output's."""

    sign: int  # of input2, once both are scaled

    def output_shapes(self, graph: IntGraph, node: Node) -> list[tuple[int, ...]]:
        shapes = super().output_shapes(graph, node)
        if self._output_scale(graph, node) >= 1.0:
            raise GraphError(f"Node {node.name!r}: the output scale {graph[node.outputs[0]].scale} is more than 2^19 "
                             "times finer than its inputs', which TFLM cannot scale.")
        return shapes

    @staticmethod
    def _output_scale(graph: IntGraph, node: Node) -> float:
        larger = max(graph[name].scale for name in node.inputs)
        return 2 * larger / ((1 << ADD_LEFT_SHIFT) * graph[node.outputs[0]].scale)

    def prepare(self, graph: IntGraph, node: Node) -> Prepared:
        scale1, scale2 = (graph[name].scale for name in node.inputs)
        multiplier1, shift1 = quantize_multiplier(scale1 / (2 * max(scale1, scale2)))
        multiplier2, shift2 = quantize_multiplier(scale2 / (2 * max(scale1, scale2)))
        multiplier, shift = quantize_multiplier(self._output_scale(graph, node))
        params = AddParams(
            **self._shared(graph, node), input2_sign=self.sign, left_shift=ADD_LEFT_SHIFT,
            input1_multiplier=multiplier1, input1_shift=shift1, input2_multiplier=multiplier2, input2_shift=shift2,
            output_multiplier=multiplier, output_shift=shift,
        )
        return Prepared("he_add_s8", params)

    def dsp(self, graph: IntGraph, node: Node, goal: Goal) -> DspForm | None:
        return add_dsp(self.prepare(graph, node).params, goal)

    def reference(self, params: AddParams, inputs: Sequence[np.ndarray | None]) -> list[np.ndarray]:
        x1, x2 = inputs
        assert x1 is not None and x2 is not None
        p = params
        scaled1 = multiply_by_quantized_multiplier((x1.astype(np.int64) - p.input1_zero_point) << p.left_shift,
                                                   p.input1_multiplier, p.input1_shift)
        scaled2 = multiply_by_quantized_multiplier((x2.astype(np.int64) - p.input2_zero_point) << p.left_shift,
                                                   p.input2_multiplier, p.input2_shift)
        return [requantize(scaled1 + p.input2_sign * scaled2, p.output_multiplier, p.output_shift,
                           p.output_zero_point, p.act_min, p.act_max)]


class Add(_Sum):
    name = "add"
    sign = 1


class Sub(_Sum):
    """Not add with a negated multiplier: a product's ties go up, whatever its sign."""

    name = "sub"
    sign = -1


class Mul(_Elementwise):
    name = "mul"

    def prepare(self, graph: IntGraph, node: Node) -> Prepared:
        x1, x2 = (graph[name] for name in node.inputs)
        multiplier, shift = quantize_multiplier(x1.scale * x2.scale / graph[node.outputs[0]].scale)
        params = MulParams(**self._shared(graph, node), output_multiplier=multiplier, output_shift=shift)
        return Prepared("he_mul_s8", params)

    def dsp(self, graph: IntGraph, node: Node, goal: Goal) -> DspForm | None:
        return mul_dsp(self.prepare(graph, node).params, goal)

    def reference(self, params: MulParams, inputs: Sequence[np.ndarray | None]) -> list[np.ndarray]:
        x1, x2 = inputs
        assert x1 is not None and x2 is not None
        p = params
        product = (x1.astype(np.int64) - p.input1_zero_point) * (x2.astype(np.int64) - p.input2_zero_point)
        return [requantize(product, p.output_multiplier, p.output_shift, p.output_zero_point, p.act_min, p.act_max)]


Add.CASES = Add.cases()
Sub.CASES = Sub.cases()
Mul.CASES = Mul.cases()
