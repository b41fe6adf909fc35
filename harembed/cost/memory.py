"""Where every tensor lies in the arena: lifetimes, a lower bound, and an exact plan.

All buffers of a graph share one static arena. A buffer is live from the node that writes it to the last one
that reads it; inputs from before the first node, outputs until after the last, states always, a kernel's
scratch during its node. Two buffers that are live together must not overlap. The largest sum of live bytes
at any node is a lower bound of every plan, which some greedy placement mostly reaches; where none does, branch
and bound finds the best plan and proves it for graphs of the size that fit a microcontroller.
"""

import random
from collections.abc import Mapping
from dataclasses import dataclass

from harembed.ir.graph import IntGraph, Kind
from harembed.ir.ops import OPS

ALIGNMENT = 4  # bytes; word loads of int8 data stay aligned at the start of each tensor

_IN_ARENA = (Kind.INPUT, Kind.OUTPUT, Kind.ACTIVATION, Kind.STATE)


@dataclass(frozen=True)
class Buffer:
    """A piece of the arena. `first` and `last` are node indices, both included; -1 is before the first node."""

    name: str  # of the tensor; "<node>#scratch" for scratch
    nbytes: int
    first: int
    last: int

    def overlaps(self, other: "Buffer") -> bool:
        return self.first <= other.last and other.first <= self.last


@dataclass(frozen=True)
class MemoryPlan:
    """Offsets of all buffers, in bytes from the start of the arena.

    Attributes
    ----------
    offsets : tensor or scratch name -> byte; a view has the offset of what it views
    buffers : what was placed, in order of first use
    arena_bytes : size of the arena, inputs and outputs included
    lower_bound_bytes : the largest live set; no plan can be smaller
    proven : whether arena_bytes is known to be minimal under the alignment
    """

    offsets: dict[str, int]
    buffers: tuple[Buffer, ...]
    arena_bytes: int
    lower_bound_bytes: int
    proven: bool

    @property
    def gap_bytes(self) -> int:
        return self.arena_bytes - self.lower_bound_bytes


def views(graph: IntGraph) -> dict[str, str]:
    """Tensors that share the storage of another (outputs of reshape and its kin): name -> root tensor."""
    root: dict[str, str] = {}
    for node in graph.nodes:
        if OPS[node.op].view and graph[node.inputs[0]].kind is not Kind.CONSTANT:
            source = node.inputs[0]
            root[node.outputs[0]] = root.get(source, source)
    return root


def lifetimes(graph: IntGraph, scratch_bytes: Mapping[str, int] | None = None) -> tuple[Buffer, ...]:
    """All buffers of a graph with their lifetimes, in order of first use; scratch_bytes as for plan_memory."""
    root = views(graph)
    end = len(graph.nodes)
    first: dict[str, int] = {}
    last: dict[str, int] = {}
    for name in (*graph.inputs, *(t.name for t in graph.of_kind(Kind.STATE))):
        first[name] = last[name] = -1
    scratch: list[Buffer] = []
    for i, node in enumerate(graph.nodes):
        for name in node.inputs:
            if name and graph[name].kind in _IN_ARENA:
                last[root.get(name, name)] = i
        for name in node.outputs:
            owner = root.get(name, name)
            first.setdefault(owner, i)
            last[owner] = i
        op = OPS[node.op]
        if scratch_bytes is None:
            nbytes = max(op.prepare(graph, node).scratch_bytes, op.dsp_scratch_bytes(graph, node))
        else:
            nbytes = scratch_bytes.get(node.name, 0)
        if nbytes:
            scratch.append(Buffer(f"{node.name}#scratch", nbytes, i, i))
    for name in graph.outputs:
        last[root.get(name, name)] = end
    for spec in graph.of_kind(Kind.STATE):
        last[spec.name] = end
    tensors = [Buffer(name, graph[name].nbytes, first[name], last[name]) for name in first]
    return tuple(sorted([*tensors, *scratch], key=lambda b: (b.first, b.last, b.name)))


def live_sets(graph: IntGraph) -> list[int]:
    """Bytes that are live while each node runs: eq. 12 of Zhou et al. (input + output + extra), and whatever
    else must survive the node."""
    return _live_sets(graph, lifetimes(graph))


def _live_sets(graph: IntGraph, buffers: tuple[Buffer, ...]) -> list[int]:
    return [sum(b.nbytes for b in buffers if b.first <= i <= b.last) for i in range(len(graph.nodes))]


def plan_memory(graph: IntGraph, max_steps: int = 200_000,
                scratch_bytes: Mapping[str, int] | None = None) -> MemoryPlan:
    """Place all buffers in the smallest arena.

    Parameters
    ----------
    max_steps : int    placements that branch and bound may try before the best plan found is returned unproven
    scratch_bytes : {node name: bytes}    working memory of other kernels than this project's; None asks the operators
    """
    buffers = lifetimes(graph, scratch_bytes)
    bound = max(_live_sets(graph, buffers), default=0)
    least = _aligned_bound(buffers)
    best, proven = _branch_and_bound(buffers, _reorder(buffers, least), least, max_steps)
    offsets = dict(zip((b.name for b in buffers), best, strict=True))
    for view, source in views(graph).items():
        offsets[view] = offsets[source]
    return MemoryPlan(offsets, buffers, _extent(buffers, best), bound, proven)


def _aligned_bound(buffers: tuple[Buffer, ...]) -> int:
    """What no plan with aligned offsets can go below: of the buffers that are live together, all but the topmost
    are followed by their padding."""
    bound = 0
    for now in {b.first for b in buffers}:  # a live set is largest when something was just added
        live = [b.nbytes for b in buffers if b.first <= now <= b.last]
        bound = max(bound, sum(map(_align, live)) - max(_align(n) - n for n in live))
    return bound


def _align(offset: int) -> int:
    return -(-offset // ALIGNMENT) * ALIGNMENT


def _extent(buffers: tuple[Buffer, ...], offsets: list[int]) -> int:
    return max((o + b.nbytes for b, o in zip(buffers, offsets, strict=True)), default=0)


def _largest_first(buffers: tuple[Buffer, ...]) -> list[int]:
    return sorted(range(len(buffers)), key=lambda i: (-buffers[i].nbytes, i))


def _greedy(buffers: tuple[Buffer, ...], order: list[int]) -> list[int]:
    """One after the other, each at the lowest offset that is free during its life."""
    offsets = [-1] * len(buffers)
    for i in order:
        taken = sorted((offsets[j], offsets[j] + buffers[j].nbytes) for j in range(len(buffers))
                       if offsets[j] >= 0 and buffers[i].overlaps(buffers[j]))
        offset = 0
        for low, high in taken:
            if offset + buffers[i].nbytes <= low:
                break
            offset = max(offset, _align(high))
        offsets[i] = offset
    return offsets


def _reorder(buffers: tuple[Buffer, ...], bound: int, tries: int = 2000) -> list[int]:
    """Place greedily, and let whoever ends on top come earlier next time: long networks, whose orders are too many to
    try, mostly reach the bound so, which proves them."""
    rng = random.Random(0)
    order = _largest_first(buffers)
    best = offsets = _greedy(buffers, order)
    for _ in range(tries):
        if _extent(buffers, best) <= bound:
            break
        top = max(range(len(buffers)), key=lambda i: offsets[i] + buffers[i].nbytes)
        at = order.index(top)
        order.insert(rng.randrange(at) if at else rng.randrange(len(order)), order.pop(at))
        offsets = _greedy(buffers, order)
        if _extent(buffers, offsets) < _extent(buffers, best):
            best = offsets
    return best


def _branch_and_bound(buffers: tuple[Buffer, ...], best: list[int], bound: int,
                      max_steps: int) -> tuple[list[int], bool]:
    """Improve on `best`, or prove that it cannot be improved.

    Buffers are placed in order of increasing offset. Then a buffer must lie above every placed one that it
    overlaps in time, so its offset is decided by the order alone, and some order yields an optimum (any plan
    can be pushed down until each buffer rests on another or on the floor).
    """
    n = len(buffers)
    overlaps = [[j for j in range(n) if j != i and buffers[i].overlaps(buffers[j])] for i in range(n)]
    peak = _extent(buffers, best)
    steps = 0
    offsets = [-1] * n

    def descend(placed: int, floor: int, extent: int) -> bool:
        """Returns False when the step budget is spent."""
        nonlocal best, peak, steps
        if placed == n:
            best, peak = offsets.copy(), extent
            return True
        candidates = []
        for i in range(n):
            if offsets[i] < 0:
                offset = _align(max((offsets[j] + buffers[j].nbytes for j in overlaps[i] if offsets[j] >= 0),
                                    default=0))
                # An unplaced buffer can only rise: if the lowest place of one already fails, so does this branch.
                if max(offset, floor) + buffers[i].nbytes >= peak:
                    return True
                # Below the floor it would have been placed earlier: another branch has that plan.
                if offset >= floor:
                    candidates.append((offset, -buffers[i].nbytes, i))
        for offset, _, i in sorted(candidates):
            if peak <= bound:
                return True
            steps += 1
            if steps > max_steps:
                return False
            offsets[i] = offset
            go_on = descend(placed + 1, offset, max(extent, offset + buffers[i].nbytes))
            offsets[i] = -1
            if not go_on:
                return False
        return True

    finished = peak <= bound or descend(0, 0, 0)
    return best, finished
