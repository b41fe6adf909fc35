"""Where every buffer lies in the arena: a lower bound, and an exact plan.

All buffers of a graph share one static arena; two that are live together must not overlap. The largest sum of live
bytes at any node is a lower bound of every plan, which some greedy placement mostly reaches; where none does, branch
and bound finds the best plan and proves it for graphs of the size that fit a microcontroller.

An output that can be computed in place makes every live set smaller or leaves it as it is, whichever input it lies
over, since those are of one size. So the bound counts all of them in place, and no plan can go below it, whatever is
shared. To share is not always to pack best, though: where sharing all does not reach the bound, other choices of
inputs, and none, are tried, too.
"""

import random
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice, product

from harembed.cost.lifetimes import Buffer, in_place_choices, lifetimes, live_bytes, owners, scratch_sizes
from harembed.ir.graph import IntGraph

ALIGNMENT = 4  # bytes; word loads of int8 data stay aligned at the start of each tensor
TRIES = 2000  # greedy placements of one sharing
MOST_SHARINGS = 64  # that are tried


@dataclass(frozen=True)
class MemoryPlan:
    """Offsets of all buffers, in bytes from the start of the arena.

    Attributes
    ----------
    offsets : tensor or scratch name -> byte; a view has the offset of what it views, an output that is computed in
        place that of the input
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

    def room(self, index: int, scratch: str) -> tuple[int, int]:
        """(offset, bytes) of the largest place in the arena that is free at a node, beside its scratch buffer, if it
        has one: it may use more than it has to, as long as the arena does not grow."""
        taken = sorted((self.offsets[b.name], _align(self.offsets[b.name] + b.nbytes))
                       for b in self.buffers if b.name != scratch and b.first <= index <= b.last)
        best, free_from = (0, 0), 0
        for low, high in (*taken, (self.arena_bytes, 0)):
            if low - free_from > best[1]:
                best = free_from, low - free_from
            free_from = max(free_from, high)
        return best

    @property
    def gap_bytes(self) -> int:
        return self.arena_bytes - self.lower_bound_bytes


def plan_memory(graph: IntGraph, max_steps: int = 200_000, scratch_bytes: Mapping[str, int] | None = None,
                in_place: bool = True) -> MemoryPlan:
    """Place all buffers in the smallest arena.

    Parameters
    ----------
    max_steps : int    placements that branch and bound may try before the best plan found is returned unproven
    scratch_bytes : {node name: bytes}    working memory of other kernels than this project's; None asks the operators
    in_place : bool    whether outputs may lie over inputs; only this project's kernels are known to allow it
    """
    scratch = scratch_sizes(graph) if scratch_bytes is None else scratch_bytes
    choices = in_place_choices(graph) if in_place else {}
    sharings, complete = _sharings(choices)
    variants = [lifetimes(graph, scratch, over) for over in sharings]
    bound = max(live_bytes(len(graph.nodes), variants[0]), default=0)
    chosen, best, proven = _best(variants, _aligned_bound(variants[0]), max_steps, complete)
    offsets = dict(zip((b.name for b in variants[chosen]), best, strict=True))
    for tensor, owner in owners(graph, sharings[chosen]).items():
        offsets[tensor] = offsets[owner]
    return MemoryPlan(offsets, variants[chosen], _extent(variants[chosen], best), bound, proven)


def _sharings(choices: Mapping[str, tuple[str, ...]]) -> tuple[list[dict[str, str]], bool]:
    """Which outputs lie over which input: all, each over its first; then other combinations, at last none.

    Returns
    -------
    ({output: input}, ...), whether these are all combinations
    """
    every = product(*((*hosts, None) for hosts in choices.values()))
    combinations = list(islice(every, MOST_SHARINGS))
    complete = next(every, None) is None
    if not complete:
        combinations.append((None,) * len(choices))
    return [{output: host for output, host in zip(choices, hosts, strict=True) if host is not None}
            for hosts in combinations], complete


def _best(variants: list[tuple[Buffer, ...]], least: int, max_steps: int,
          complete: bool) -> tuple[int, list[int], bool]:
    """(the variant with the smallest plan, its offsets, whether no plan of any variant is smaller).

    Parameters
    ----------
    least : what no variant can go below
    complete : whether there are no more variants
    """
    chosen, best = 0, _reorder(variants[0], least, TRIES)
    for i, buffers in enumerate(variants[1:], 1):
        if _extent(variants[chosen], best) <= least:
            break
        placed = _reorder(buffers, least, TRIES // len(variants))
        if _extent(buffers, placed) < _extent(variants[chosen], best):
            chosen, best = i, placed
    proven = complete
    for i, buffers in enumerate(variants):
        peak = _extent(variants[chosen], best)
        if peak <= least:
            return chosen, best, True
        better, finished = _branch_and_bound(buffers, peak, least, max_steps // len(variants))
        proven = proven and finished
        if better is not None:
            chosen, best = i, better
    return chosen, best, proven or _extent(variants[chosen], best) <= least


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


def _reorder(buffers: tuple[Buffer, ...], bound: int, tries: int) -> list[int]:
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


def _branch_and_bound(buffers: tuple[Buffer, ...], peak: int, bound: int,
                      max_steps: int) -> tuple[list[int] | None, bool]:
    """(the best plan that is smaller than `peak`, or None; whether it, or that there is none, is proven).

    Buffers are placed in order of increasing offset. Then a buffer must lie above every placed one that it
    overlaps in time, so its offset is decided by the order alone, and some order yields an optimum (any plan
    can be pushed down until each buffer rests on another or on the floor).
    """
    n = len(buffers)
    overlaps = [[j for j in range(n) if j != i and buffers[i].overlaps(buffers[j])] for i in range(n)]
    best: list[int] | None = None
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
