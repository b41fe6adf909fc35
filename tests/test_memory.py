"""The planner: no two live buffers overlap, and small graphs are planned optimally."""

import itertools

import numpy as np
import pytest

from harembed.cost.lifetimes import Buffer
from harembed.cost.memory import (
    ALIGNMENT,
    TRIES,
    _align,
    _aligned_bound,
    _branch_and_bound,
    _extent,
    _greedy,
    _largest_first,
    _reorder,
    plan_memory,
)
from harembed.ir.ops import OPS

CASES = [(op, case) for op in OPS.values() for case in op.CASES]


def random_buffers(seed: int, n: int) -> tuple[Buffer, ...]:
    rng = np.random.default_rng(seed)
    first = rng.integers(0, 6, n)
    return tuple(Buffer(f"b{i}", int(rng.integers(1, 40)), int(first[i]), int(first[i] + rng.integers(0, 4)))
                 for i in range(n))


def brute_force(buffers: tuple[Buffer, ...]) -> int:
    """Every order, each buffer as low as it can lie: the true optimum."""
    best = 10**9
    for order in itertools.permutations(range(len(buffers))):
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
        best = min(best, _extent(buffers, offsets))
    return best


@pytest.mark.parametrize("seed", range(25))
def test_branch_and_bound_finds_the_optimum(seed):
    buffers = random_buffers(seed, 6)
    best = brute_force(buffers)
    offsets, proven = _branch_and_bound(buffers, best + 1, _aligned_bound(buffers), 200_000)
    assert proven
    assert _extent(buffers, offsets) == best
    assert _branch_and_bound(buffers, best, _aligned_bound(buffers), 200_000) == (None, True)


@pytest.mark.parametrize("sizes, expected", [((1,) * 14, 53), ((5, 4, 3, 6), 21), ((4, 8), 12)])
def test_padding_belongs_to_what_no_plan_can_go_below(sizes, expected):
    """All live at once: without padding in the bound, only trying every order would prove the plan."""
    buffers = tuple(Buffer(f"b{i}", n, 0, 1) for i, n in enumerate(sizes))
    assert _aligned_bound(buffers) == expected
    offsets, proven = _branch_and_bound(buffers, 10 * expected, expected, 1000)
    assert (_extent(buffers, offsets), proven) == (expected, True)


def test_a_long_chain_reaches_its_bound():
    """The widest pair decides; that the first two fit beside it only shows in an order that no size suggests."""
    sizes = [27648, 18432, 18432, 36864, *[4608] * 30]
    buffers = tuple(Buffer(f"b{i}", n, i - 1, i) for i, n in enumerate(sizes))
    assert _extent(buffers, _greedy(buffers, _largest_first(buffers))) > 55296
    assert _extent(buffers, _reorder(buffers, 55296, TRIES)) == 55296


@pytest.mark.parametrize("op,case", CASES, ids=lambda x: x.name)
def test_live_buffers_never_overlap(op, case):
    plan = plan_memory(case.build(np.random.default_rng(1)))
    assert plan.proven
    assert plan.lower_bound_bytes <= plan.arena_bytes < plan.lower_bound_bytes + ALIGNMENT * len(plan.buffers)
    for a, b in itertools.combinations(plan.buffers, 2):
        low, high = sorted([(plan.offsets[a.name], a.nbytes), (plan.offsets[b.name], b.nbytes)])
        assert not a.overlaps(b) or low[0] + low[1] <= high[0], (a, b)
