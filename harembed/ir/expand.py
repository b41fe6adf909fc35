"""Operators of our own replaced by the operators of TFLite that define them: for formats and oracles without ours."""

from dataclasses import replace

from harembed.ir.graph import IntGraph, check
from harembed.ir.ops import OPS


def expanded(graph: IntGraph) -> IntGraph:
    """The same function, bit for bit, by operators that TFLite has. A graph of such operators comes back as it is."""
    tensors, nodes = dict(graph.tensors), []
    for node in graph.nodes:
        expansion = OPS[node.op].expand(graph, node)
        if expansion is None:
            nodes.append(node)
            continue
        tensors.update({t.name: t for t in expansion.tensors})
        nodes.extend(expansion.nodes)
    if len(tensors) == len(graph.tensors):
        return graph
    result = replace(graph, tensors=tensors, nodes=tuple(nodes))
    check(result)
    return result
