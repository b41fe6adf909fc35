"""The layers that a latency model is fitted to: small, drawn so that each loop of a kernel runs seldom and often.

Every operator brings its own builder of one-node graphs (the `case` of its class); design_*.py have only the sizes.
Real networks are not looked at: convolutions cover one to many rows, channels and filters of every remainder by four,
strides beyond the filter, both paddings and tiles cut by the end of a row or by the border.
"""

import math
from collections.abc import Iterator, Sequence

import numpy as np

from harembed.cost import design_cmsis_nn, design_own
from harembed.cost.design_conv import Draw, Rng
from harembed.ir.graph import DType, GraphBuilder, IntGraph, Kind, Node, QParams
from harembed.ir.ops.base import Case
from harembed.ir.ops.rearrange import ReshapeAttrs
from harembed.ir.ops.slice import StridedSliceAttrs

SEED = 1971
DESIGNS: dict[str, Sequence[tuple[Draw, int]]] = {"own": design_own.DRAWS, "cmsis_nn": design_cmsis_nn.DRAWS}


def designed_layers(backend: str = "own", seed: int = SEED) -> list[IntGraph]:
    """One graph of one node for each layer; the same on every machine."""
    rng = np.random.default_rng(seed)
    cases = [case for draw, count in DESIGNS[backend] for case in _several(draw, count, rng)]
    # Weights of a layer's own generator, so that a new sort of layers at the end changes none before it.
    return [case.build(np.random.default_rng([seed, i])) for i, case in enumerate(cases)]


def _several(draw: Draw, count: int, rng: Rng) -> Iterator[Case]:
    """`count` cases; a draw that is too large, or no layer, is repeated."""
    found = 0
    while found < count:
        case = draw(rng)
        if case is not None:
            found += 1
            yield case


def side_by_side(name: str, graphs: Sequence[IntGraph]) -> tuple[IntGraph, list[str]]:
    """One graph that computes several one-node graphs from the same input, and the names of their nodes in it.

    Every input is a slice of the one input, of the layer's own shape and quantisation. Outputs are not read by
    anything, so their memory is free again at once.
    """
    g = GraphBuilder(name)
    longest = max(graph[t].elements for graph in graphs for t in graph.inputs)
    g.tensor("samples", (1, longest), kind=Kind.INPUT, qparams=QParams((0.05,), 0))
    nodes = []
    for i, graph in enumerate(graphs):
        names = {"": ""}
        for t in graph.tensors.values():
            names[t.name] = f"l{i}_{t.name}"
            if t.kind is Kind.CONSTANT:
                assert t.data is not None
                g.constant(names[t.name], t.data, t.qparams)
            elif t.kind is not Kind.INPUT:
                kind = Kind.STATE if t.kind is Kind.STATE else Kind.ACTIVATION
                g.tensor(names[t.name], t.shape, t.dtype, kind, t.qparams)
        for given in graph.inputs:
            _take(g, names[given], graph[given].shape, graph[given].qparams)
        node = graph.nodes[0]
        nodes.append(f"l{i}_{node.op}")
        _copy(g, node, names, nodes[-1])
    return g.build(["samples"], [g.nodes[-1].outputs[0]]), nodes


def _take(g: GraphBuilder, name: str, shape: tuple[int, ...], qparams: QParams | None) -> None:
    count = math.prod(shape)
    flat = g.tensor(f"{name}_flat", (1, count), DType.INT8, qparams=qparams)
    g.node("strided_slice", ["samples"], [flat], StridedSliceAttrs((0, 0), (1, count), (1, 1)), f"{name}_taken")
    g.tensor(name, shape, DType.INT8, qparams=qparams)
    g.node("reshape", [flat], [name], ReshapeAttrs(shape), f"{name}_shaped")


def _copy(g: GraphBuilder, node: Node, names: dict[str, str], name: str) -> None:
    g.node(node.op, [names[t] for t in node.inputs], [names[t] for t in node.outputs], node.attrs, name)
