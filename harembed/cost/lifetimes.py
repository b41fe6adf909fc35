"""What lies in the arena, and from when to when: buffers with lifetimes.

A buffer is live from the node that writes it to the last one that reads it; inputs from before the first node,
outputs until after the last, states always, a kernel's scratch during its node. The model's inputs, too, are free
once nothing reads them any more: whoever calls it writes them before each invocation (harembed.h).

Two kinds of tensors have no buffer of their own: a view, which is its input under another shape, and an output that
is computed in place, over an input of its node that nothing reads later. Their buffer lives as long as they all do.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from harembed.ir.graph import IntGraph, Kind
from harembed.ir.ops import OPS

_IN_ARENA = (Kind.INPUT, Kind.OUTPUT, Kind.ACTIVATION, Kind.STATE)


@dataclass(frozen=True)
class Buffer:
    """A piece of the arena. `first` and `last` are node indices, both included; -1 is before the first node."""

    name: str  # of the tensor; "<node>#scratch" for scratch
    nbytes: int
    first: int
    last: int
    in_place: tuple[str, ...] = ()  # tensors that are computed over it, one after the other

    def overlaps(self, other: "Buffer") -> bool:
        return self.first <= other.last and other.first <= self.last


def owners(graph: IntGraph, over: Mapping[str, str] | None = None) -> dict[str, str]:
    """The tensor whose buffer another one lies in: of views, and of outputs that are computed in place.

    Parameters
    ----------
    over : {output: input that it is computed over}    None: none is
    """
    owner: dict[str, str] = {}
    for node in graph.nodes:
        output = node.outputs[0]
        if OPS[node.op].view and graph[node.inputs[0]].kind is not Kind.CONSTANT:
            owner[output] = owner.get(node.inputs[0], node.inputs[0])
        elif over and output in over:
            owner[output] = owner.get(over[output], over[output])
    return owner


def lifetimes(graph: IntGraph, scratch_bytes: Mapping[str, int],
              over: Mapping[str, str] | None = None) -> tuple[Buffer, ...]:
    """All buffers of a graph, in order of first use; scratch_bytes by node, over as for `owners`."""
    owner = owners(graph, over)
    end = len(graph.nodes)
    first: dict[str, int] = {}
    last: dict[str, int] = {}
    for name in (*graph.inputs, *(t.name for t in graph.of_kind(Kind.STATE))):
        first[name] = last[name] = -1
    for i, node in enumerate(graph.nodes):
        for name in node.inputs:
            if name and graph[name].kind in _IN_ARENA:
                last[owner.get(name, name)] = i
        for name in (owner.get(output, output) for output in node.outputs):
            first.setdefault(name, i)
            last[name] = i
    for name in (*graph.outputs, *(t.name for t in graph.of_kind(Kind.STATE))):
        last[owner.get(name, name)] = end
    computed_over: dict[str, list[str]] = {}
    for output in over or {}:
        computed_over.setdefault(owner[output], []).append(output)
    tensors = [Buffer(name, graph[name].nbytes, first[name], last[name], tuple(computed_over.get(name, ())))
               for name in first]
    scratch = [Buffer(f"{node.name}#scratch", scratch_bytes[node.name], i, i) for i, node in enumerate(graph.nodes)
               if scratch_bytes.get(node.name)]
    return tuple(sorted([*tensors, *scratch], key=lambda b: (b.first, b.last, b.name)))


def scratch_sizes(graph: IntGraph) -> dict[str, int]:
    """{node: bytes} of working memory of our own kernels, whichever form of them is compiled."""
    return {node.name: max(OPS[node.op].prepare(graph, node).scratch_bytes,
                           OPS[node.op].dsp_scratch_bytes(graph, node)) for node in graph.nodes}


def in_place_choices(graph: IntGraph) -> dict[str, tuple[str, ...]]:
    """Outputs that can be computed in place, in order of execution, each with the inputs that it can lie over.

    An input qualifies if the operator allows it and if nothing behind the node needs what it held: no later node, no
    view of it, nobody outside. It dies at one node only, so no two outputs compete for one input.
    """
    last = {b.name: b.last for b in lifetimes(graph, {})}
    view_of = owners(graph)
    choices: dict[str, tuple[str, ...]] = {}
    for i, node in enumerate(graph.nodes):
        allowed = (node.inputs[at] for at in OPS[node.op].in_place(graph, node))
        hosts = dict.fromkeys(name for name in allowed if last.get(view_of.get(name, name)) == i)
        if hosts:
            choices[node.outputs[0]] = tuple(hosts)
    return choices


def most_shared(graph: IntGraph) -> dict[str, str]:
    """Every output that can be computed in place, over the first input that it can lie over."""
    return {output: hosts[0] for output, hosts in in_place_choices(graph).items()}


def live_sets(graph: IntGraph) -> list[int]:
    """Bytes that are live while each node runs: eq. 12 of Zhou et al. (input + output + extra), and whatever else
    must survive the node; an output that can be computed in place counts nothing."""
    return live_bytes(len(graph.nodes), lifetimes(graph, scratch_sizes(graph), most_shared(graph)))


def live_bytes(nodes: int, buffers: tuple[Buffer, ...]) -> list[int]:
    return [sum(b.nbytes for b in buffers if b.first <= i <= b.last) for i in range(nodes)]
