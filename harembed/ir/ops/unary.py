"""Test cases for operators that read one activation and nothing else."""

from typing import Any

import numpy as np

from harembed.ir.graph import GraphBuilder, IntGraph, Kind, QParams
from harembed.ir.ops.base import Case, Op


def unary_case(op: Op, name: str, shape: tuple[int, ...], attrs: Any, scales: tuple[float, float] = (0.05, 0.05),
               zero_points: tuple[int, int] = (-7, -7)) -> Case:
    """A one-node graph over an int8 input of `shape`; scales and zero_points are those of input and output."""

    def build(rng: np.random.Generator) -> IntGraph:
        g = GraphBuilder(f"{op.name}_{name}")
        g.tensor("input", shape, kind=Kind.INPUT, qparams=QParams((scales[0],), zero_points[0]))
        output = QParams((scales[1],), zero_points[1])
        probe = GraphBuilder(g.name)
        probe.tensors.update(g.tensors)
        probe.tensor("output", shape, qparams=output)  # of no shape yet; operators look at its type alone
        node = probe.node(op.name, ["input"], ["output"], attrs)
        out = op.output_shapes(IntGraph(g.name, probe.tensors, (), ("input",), ()), node)[0]
        g.tensor("output", out, qparams=output)
        g.node(op.name, ["input"], ["output"], attrs)
        return g.build(["input"], ["output"])

    return Case(name, build)
