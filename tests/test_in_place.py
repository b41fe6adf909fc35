"""Outputs computed over inputs: the planner shares exactly where nothing is lost, and as well as trying all shows."""

import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harembed.cost.lifetimes import lifetimes, live_sets, most_shared, scratch_sizes
from harembed.cost.memory import _align, _extent, _greedy, plan_memory
from harembed.export.csource import memory_plan
from harembed.export.tflite_import import read_tflite
from harembed.ir.graph import GraphBuilder, IntGraph, Kind, QParams
from harembed.ir.ops import OPS
from harembed.ir.ops.concatenation import ConcatenationAttrs
from harembed.ir.ops.elementwise import ElementwiseAttrs
from harembed.ir.ops.rearrange import ReshapeAttrs
from harembed.ir.ops.slice import StridedSliceAttrs

CASES = [(op, case) for op in OPS.values() for case in op.CASES]
KERAS = sorted((Path(__file__).parent / "files" / "keras").glob("*.tflite"))


def replay(graph: IntGraph, offsets: dict[str, int], scratch: dict[str, int]) -> str | None:
    """What a run of the graph would find destroyed, or None; every byte holds the name of what was written last."""
    sizes = {name: t.nbytes for name, t in graph.tensors.items()} | {f"{n}#scratch": b for n, b in scratch.items()}
    content = {name: name for name in sizes}  # of a view: what it views
    held: dict[int, tuple[str, int]] = {}

    def write(name: str) -> None:
        held.update({offsets[name] + k: (content[name], k) for k in range(sizes[name])})

    def lost(name: str) -> bool:
        return any(held.get(offsets[name] + k) != (content[name], k) for k in range(sizes[name]))

    states = [t.name for t in graph.of_kind(Kind.STATE)]
    for name in (*graph.inputs, *states):
        write(name)
    for node in graph.nodes:
        read = [name for name in node.inputs if name and graph[name].kind is not Kind.CONSTANT]
        output = node.outputs[0]
        if OPS[node.op].view:
            content[output] = content[node.inputs[0]]
            if lost(output):
                return f"{node.name}: {output}"
            continue
        # The kernel reads such an input before it destroys it; another is whole when all is written.
        over = {node.inputs[at] for at in OPS[node.op].in_place(graph, node)
                if offsets.get(node.inputs[at]) == offsets[output]}
        early = [name for name in over if lost(name)]
        write(output)
        if scratch.get(node.name):
            write(f"{node.name}#scratch")
        late = [name for name in (*(n for n in read if n not in over), output) if lost(name)]
        if early or late:
            return f"{node.name}: {early + late}"
    gone = [name for name in (*graph.outputs, *states) if lost(name)]
    return f"at the end: {gone}" if gone else None


def brute_force(graph: IntGraph, scratch: dict[str, int]) -> int:
    """The smallest plan of all that lay outputs over inputs, wherever an operator allows it, and lose nothing; in
    every order, each buffer as low as it can lie."""
    allowed = {node.outputs[0]: (None, *(node.inputs[at] for at in OPS[node.op].in_place(graph, node)))
               for node in graph.nodes}
    best = 10**9
    for hosts in itertools.product(*allowed.values()):
        over = {output: host for output, host in zip(allowed, hosts, strict=True) if host is not None}
        buffers = lifetimes(graph, scratch, over)
        for order in itertools.permutations(range(len(buffers))):
            placed = _greedy(buffers, list(order))
            if _extent(buffers, placed) < best:
                offsets = dict(zip((b.name for b in buffers), placed, strict=True))
                for node in graph.nodes:  # views, and what is computed in place
                    source = node.inputs[0] if OPS[node.op].view else over.get(node.outputs[0])
                    if source is not None:
                        offsets[node.outputs[0]] = offsets[source]
                if replay(graph, offsets, scratch) is None:
                    best = _extent(buffers, placed)
    return best


def vectors(inputs: list[int], nodes: list[tuple[str, tuple[str, ...], int]], kept: list[str]) -> IntGraph:
    """A graph over vectors of so many bytes: x0, x1 ... are inputs, t0, t1 ... what nodes (op, inputs, bytes) make of
    them; `kept` are outputs besides the last."""
    g, quantised = GraphBuilder("vectors"), QParams((2.0**-7,), 0)
    for i, length in enumerate(inputs):
        g.tensor(f"x{i}", (1, length), kind=Kind.INPUT, qparams=quantised)
    for i, (op, read, length) in enumerate(nodes):
        attrs = {"add": ElementwiseAttrs(), "reshape": ReshapeAttrs((1, length)),
                 "concatenation": ConcatenationAttrs(1),
                 "strided_slice": StridedSliceAttrs((0, 0), (1, length), (1, 1))}.get(op)
        g.tensor(f"t{i}", (1, length), qparams=quantised)
        g.node(op, read, [f"t{i}"], attrs)
    return g.build([f"x{i}" for i in range(len(inputs))], dict.fromkeys([*kept, f"t{len(nodes) - 1}"]))


@st.composite
def graphs(draw, most_nodes: int) -> IntGraph:
    """Operators that compute in place (tanh, add), that share (reshape), that do neither (strided_slice,
    concatenation); any tensor may be read again or be an output."""
    inputs = draw(st.lists(st.integers(1, 13), min_size=1, max_size=2))
    sizes = {f"x{i}": length for i, length in enumerate(inputs)}
    nodes: list[tuple[str, tuple[str, ...], int]] = []
    for i in range(draw(st.integers(1, most_nodes))):
        op = draw(st.sampled_from(["tanh", "add", "add", "reshape", "strided_slice", "concatenation"]))
        x = draw(st.sampled_from(list(sizes)))
        n = sizes[x]
        y = draw(st.sampled_from([name for name, size in sizes.items() if op == "concatenation" or size in (n, 1)]))
        length = {"strided_slice": draw(st.integers(1, n)), "concatenation": n + sizes[y]}.get(op, n)
        nodes.append((op, (x, y) if op in ("add", "concatenation") else (x,), length))
        sizes[f"t{i}"] = length
    return vectors(inputs, nodes, draw(st.lists(st.sampled_from(list(sizes)[len(inputs):]), max_size=2)))


@settings(max_examples=120, deadline=None, derandomize=True)
@given(graphs(most_nodes=4))
def test_small_graphs_are_planned_as_well_as_trying_all_shows(graph):
    plan = plan_memory(graph)
    assert replay(graph, plan.offsets, {}) is None
    assert plan.proven
    assert plan.lower_bound_bytes <= plan.arena_bytes == brute_force(graph, {})


@settings(max_examples=60, deadline=None, derandomize=True)
@given(graphs(most_nodes=25), st.integers(0, 30))
def test_long_graphs_lose_nothing_and_gain_where_they_can(graph, scratch_bytes):
    scratch = {node.name: scratch_bytes for node in graph.nodes if node.op == "concatenation"}
    plan, apart = (plan_memory(graph, 2000, scratch, in_place) for in_place in (True, False))
    for p in (plan, apart):
        assert replay(graph, p.offsets, scratch) is None
        assert p.lower_bound_bytes <= p.arena_bytes
        assert p.arena_bytes <= _align(p.lower_bound_bytes) + 4 * len(p.buffers) or not p.proven
    assert plan.arena_bytes <= apart.arena_bytes
    assert plan.lower_bound_bytes <= apart.lower_bound_bytes
    assert not any(b.in_place for b in apart.buffers)


@pytest.mark.parametrize("inputs, nodes, arena_bytes, in_place", [
    ([5, 4], [("tanh", ("x1",), 4), ("strided_slice", ("t0",), 3), ("concatenation", ("t1", "t1"), 6)], 10, {}),
    ([2, 4], [("add", ("x0", "x0"), 2), ("add", ("t0", "x0"), 2), ("concatenation", ("t1", "t1"), 4)], 6,
     {"t1": "x0"}),
])
def test_what_is_shared_is_what_packs_best(inputs, nodes, arena_bytes, in_place):
    """Here padding makes it better not to share, and to lie over the second input."""
    graph = vectors(inputs, nodes, [])
    plan = plan_memory(graph)
    assert most_shared(graph) != in_place
    assert {name: b.name for b in plan.buffers for name in b.in_place} == in_place
    assert (plan.arena_bytes, plan.proven) == (arena_bytes, True)
    assert brute_force(graph, {}) == arena_bytes


@pytest.mark.parametrize("op,case", CASES, ids=lambda x: x.name)
def test_no_operator_loses_anything(op, case):
    graph = case.build(np.random.default_rng(1))
    plan = plan_memory(graph)
    assert replay(graph, plan.offsets, scratch_sizes(graph)) is None
    assert [b.in_place for b in plan.buffers if b.in_place] == [(output,) for output in most_shared(graph)]


@pytest.mark.parametrize("path", KERAS, ids=lambda path: path.stem)
def test_converted_models_are_planned_at_their_bound(path):
    graph = read_tflite(path.read_bytes())
    plan = plan_memory(graph)
    assert plan.proven
    assert replay(graph, plan.offsets, scratch_sizes(graph)) is None
    assert plan.lower_bound_bytes == max(live_sets(graph))
    assert plan.arena_bytes <= plan_memory(graph, in_place=False).arena_bytes


def test_a_residual_sum_needs_no_third_tensor():
    """Where the sum is the widest place of a network."""
    graph = read_tflite(next(p for p in KERAS if p.stem == "residual").read_bytes())
    assert plan_memory(graph).arena_bytes < 0.8 * plan_memory(graph, in_place=False).arena_bytes


def test_only_our_own_kernels_compute_in_place():
    graph = OPS["add"].CASES[0].build(np.random.default_rng(0))
    assert any(b.in_place for b in memory_plan(graph).buffers)
    assert not any(b.in_place for b in memory_plan(graph, "cmsis_nn").buffers)
