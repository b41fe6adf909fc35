"""concatenation: tensors laid side by side along one axis (TFLite's CONCATENATION); values move, none is computed.

inputs: one or more, int8, of one shape but for that axis, of one quantisation; any may be a constant
output: int8, the inputs' quantisation
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from harembed.errors import GraphError
from harembed.ir.graph import DType, GraphBuilder, IntGraph, Kind, Node, QParams
from harembed.ir.ops.base import Case, Op, Prepared


@dataclass(frozen=True)
class ConcatenationAttrs:
    axis: int = -1  # from 1, or negative and counted from the back; not the batch


@dataclass(frozen=True, eq=False)
class ConcatenationParams:
    parts: int  # inputs
    outer: int  # rows, each of which takes a piece of every input
    width: np.ndarray  # [parts] int32: elements in such a piece


class Concatenation(Op):
    name = "concatenation"
    Attrs = ConcatenationAttrs
    variadic = True

    def output_shapes(self, graph: IntGraph, node: Node) -> list[tuple[int, ...]]:
        parts, y = [graph[name] for name in node.inputs], graph[node.outputs[0]]
        where = f"Node {node.name!r}: concatenation"
        for t in parts:
            if (t.dtype, t.qparams) != (y.dtype, y.qparams) or t.dtype is not DType.INT8:
                raise GraphError(f"{where} copies int8 integers, but {t.name!r} is {t.dtype.value} {t.qparams}, its "
                                 f"output {y.dtype.value} {y.qparams}.", "Requantise it before.")
        if not parts:
            raise GraphError(f"{where} needs at least one input.")
        shape = parts[0].shape
        axis = node.attrs.axis + (len(shape) if node.attrs.axis < 0 else 0)
        if not 1 <= axis < len(shape) or any(_beside(t.shape, axis) != _beside(shape, axis) for t in parts):
            raise GraphError(f"{where}: shapes {', '.join(str(t.shape) for t in parts)} do not fit along axis "
                             f"{node.attrs.axis}.", "Axis 0, the batch, must stay.")
        return [(*shape[:axis], sum(t.shape[axis] for t in parts), *shape[axis + 1 :])]

    def prepare(self, graph: IntGraph, node: Node) -> Prepared:
        shapes = [graph[name].shape for name in node.inputs]
        axis = node.attrs.axis % len(shapes[0])
        width = np.array([math.prod(shape[axis:]) for shape in shapes], np.int32)
        return Prepared("he_concatenation_s8",
                        ConcatenationParams(len(shapes), math.prod(shapes[0][1:axis]), width))

    def reference(self, params: ConcatenationParams, inputs: Sequence[np.ndarray | None]) -> list[np.ndarray]:
        arrays = [x for x in inputs if x is not None]
        windows = max(len(x) for x in arrays)
        pieces = [np.broadcast_to(x.reshape(len(x), params.outer, width), (windows, params.outer, width))
                  for x, width in zip(arrays, params.width.tolist(), strict=True)]
        return [np.concatenate(pieces, axis=2)]

    @staticmethod
    def case(name: str, shapes: tuple[tuple[int, ...], ...], axis: int, constants: tuple[int, ...] = (),
             zero_point: int = -5) -> Case:
        """A one-node graph; `constants` are the positions of inputs that are constant."""

        def build(rng: np.random.Generator) -> IntGraph:
            g = GraphBuilder(f"concatenation_{name}")
            qparams = QParams((0.04,), zero_point)
            names = [f"input{i}" for i in range(len(shapes))]
            for i, shape in enumerate(shapes):
                if i in constants:
                    g.constant(names[i], rng.integers(-128, 128, shape).astype(np.int8), qparams)
                else:
                    g.tensor(names[i], shape, kind=Kind.INPUT, qparams=qparams)
            output = list(shapes[0])
            output[axis] = sum(shape[axis] for shape in shapes)
            g.tensor("output", output, qparams=qparams)
            g.node("concatenation", names, ["output"], ConcatenationAttrs(axis))
            return g.build([n for i, n in enumerate(names) if i not in constants], ["output"])

        return Case(name, build)


def _beside(shape: tuple[int, ...], axis: int) -> tuple[int, ...]:
    """A shape without one axis."""
    return (*shape[:axis], *shape[axis + 1 :])


Concatenation.CASES = (
    Concatenation.case("channels", ((1, 3, 5, 7), (1, 3, 5, 2)), 3),
    Concatenation.case("rows", ((1, 3, 5, 2), (1, 1, 5, 2), (1, 4, 5, 2)), 1),
    Concatenation.case("middle", ((1, 3, 5, 2), (1, 3, 1, 2)), 2, zero_point=127),
    Concatenation.case("last_of_three", ((1, 4, 3), (1, 4, 1)), -1, zero_point=-128),
    Concatenation.case("one_input", ((1, 4, 3),), 2),
    Concatenation.case("constant_in_front", ((1, 2, 3), (1, 4, 3)), 1, constants=(0,)),
    Concatenation.case("ten_inputs", tuple((1, 4 + 4 * (i % 3)) for i in range(10)), 1),
    Concatenation.case("lengths_one", ((1, 1), (1, 1)), 1),
)
