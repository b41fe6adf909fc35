"""How deep the stack can get below a function: what the compiler says of each frame, summed along the calls.

gcc writes a graph beside each object (`-fcallgraph-info=su`, a .ci file in the VCG format): a node for each
function with the bytes of its frame, an edge for each call. A simulator's high-water mark is what one run used;
this is what no run can exceed.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

CALL_GRAPH_FLAGS = ("-fcallgraph-info=su",)  # of gcc, from version 10 on
_NODE = re.compile(r'node: \{ title: "([^"]+)" label: "[^"]*\\n(\d+) bytes \(([^)]*)\)')
_EDGE = re.compile(r'edge: \{ sourcename: "([^"]+)" targetname: "([^"]+)"')


@dataclass(frozen=True)
class CallGraph:
    """
    Attributes
    ----------
    frames : function -> bytes of its frame; static functions as "file:name"; without those of unknown size
    calls : function -> functions that it calls
    """

    frames: dict[str, int] = field(default_factory=dict)
    calls: dict[str, set[str]] = field(default_factory=dict)


def read_call_graph(files: Iterable[Path]) -> CallGraph:
    """One graph of the .ci files of a whole program."""
    graph = CallGraph()
    for path in files:
        text = path.read_text()
        for name, nbytes, kind in _NODE.findall(text):
            if kind in ("static", "dynamic,bounded"):
                graph.frames[name] = int(nbytes)
        for caller, callee in _EDGE.findall(text):
            graph.calls.setdefault(caller, set()).add(callee)
    return graph


def deepest(graph: CallGraph, function: str) -> int | None:
    """Bytes of stack of a function and of all that it calls, at most; interrupts come on top.

    Returns
    -------
    int, or None where there is no bound: a function of unknown frame, a call through a pointer, a recursion
    """
    depths: dict[str, int | None] = {}

    def depth(name: str) -> int | None:
        if name not in depths:
            depths[name] = None  # while it is being computed: who comes back here is recursive
            below = [depth(callee) for callee in graph.calls.get(name, ())]
            known = [d for d in below if d is not None]
            if name in graph.frames and len(known) == len(below):
                depths[name] = graph.frames[name] + max(known, default=0)
        return depths[name]

    return depth(function)
