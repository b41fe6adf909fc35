"""Operators of random shapes, scales, zero points and attributes, dozens in one model of as many inputs and outputs:
our reference, TFLM and our C, portable and for DSP instructions, compute the same integers.
"""

import shutil
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from host_model import HostModel
from random_cases import KINDS

from harembed.cost.memory import MemoryPlan
from harembed.export.oracles import run_tflm
from harembed.export.tflite import write_tflite
from harembed.export.tflite_import import read_tflite
from harembed.ir.graph import GraphBuilder, IntGraph, Kind
from harembed.ir.interpreter import Interpreter
from harembed.ir.ops import OPS
from harembed.ir.ops.base import Op

PER_KIND = 12
WINDOWS = 4
DSP_KINDS = [kind for kind in KINDS if type(OPS[kind]).dsp is not Op.dsp]
IN_PLACE = [op for op in OPS if type(OPS[op]).in_place is not Op.in_place]


def joined(graphs: list[IntGraph]) -> IntGraph:
    """Graphs side by side; tensors and nodes are numbered."""
    g = GraphBuilder("joined")
    inputs: list[str] = []
    outputs: list[str] = []
    for i, graph in enumerate(graphs):
        for spec in graph.tensors.values():
            kind = Kind.ACTIVATION if spec.kind is Kind.OUTPUT else spec.kind
            g.tensors[f"{spec.name}{i}"] = replace(spec, name=f"{spec.name}{i}", kind=kind)
        for node in graph.nodes:
            g.node(node.op, [name and f"{name}{i}" for name in node.inputs], [f"{n}{i}" for n in node.outputs],
                   node.attrs, f"{node.name}_{i}")
        inputs += [f"{name}{i}" for name in graph.inputs]
        outputs += [f"{name}{i}" for name in graph.outputs]
    return g.build(inputs, outputs)


@cache
def computed(kind: str) -> tuple[IntGraph, list[np.ndarray], list[np.ndarray]]:
    rng = np.random.default_rng([17, *kind.encode()])
    graph = joined([KINDS[kind](rng).build(rng) for _ in range(PER_KIND)])
    inputs = [rng.integers(-128, 128, (WINDOWS, *graph[name].shape[1:])).astype(np.int8) for name in graph.inputs]
    return graph, inputs, Interpreter(graph).run(*inputs)


def first_difference(graph: IntGraph, actual: list[np.ndarray], expected: list[np.ndarray]) -> str | None:
    for node, a, e in zip(graph.nodes, actual, expected, strict=True):
        if not np.array_equal(a.reshape(e.shape), e):
            return f"{node.op} {graph[node.inputs[0]].shape} {node.attrs}"
    return None


@pytest.mark.parametrize("kind", KINDS)
def test_tflm_computes_the_same(kind: str) -> None:
    graph, inputs, expected = computed(kind)
    data = write_tflite(graph)
    assert first_difference(graph, run_tflm(data, inputs), expected) is None
    assert first_difference(graph, Interpreter(read_tflite(data)).run(*inputs), expected) is None


@pytest.mark.skipif(shutil.which("gcc") is None, reason="no gcc on PATH")
@pytest.mark.parametrize("kind, dsp", [(k, dsp) for k in KINDS for dsp in (False, True) if k in DSP_KINDS or not dsp])
def test_generated_c_computes_the_same(kind: str, dsp: bool, tmp_path) -> None:
    graph, inputs, expected = computed(kind)
    assert first_difference(graph, HostModel(graph, tmp_path / "model", tmp_path, dsp).run(*inputs), expected) is None


def laid_out(graph: IntGraph, choice: int) -> MemoryPlan:
    """Memory for everything, but each output lies over an input wherever its operator allows that: over the first of
    such inputs (0) or the last (-1)."""
    offsets: dict[str, int] = {}
    for name in (*graph.inputs, *graph.outputs):
        offsets[name] = sum(-(-graph[other].nbytes // 4) * 4 for other in offsets)
    for node in graph.nodes:
        hosts = [node.inputs[at] for at in OPS[node.op].in_place(graph, node) if node.inputs[at] in offsets]
        if hosts:
            offsets[node.outputs[0]] = offsets[hosts[choice]]
    arena_bytes = max(offset + graph[name].nbytes for name, offset in offsets.items())
    return MemoryPlan(offsets, (), arena_bytes, arena_bytes, False)


@pytest.mark.skipif(shutil.which("gcc") is None, reason="no gcc on PATH")
@pytest.mark.parametrize("op, choice, dsp", [
    (op, choice, dsp) for op in IN_PLACE for choice in ((0, -1) if op in ("add", "sub", "mul") else (0,))
    for dsp in (False, True) if op in DSP_KINDS or not dsp])
def test_generated_c_computes_in_place(op: str, choice: int, dsp: bool, tmp_path) -> None:
    """All cases of an operator that says its kernels can, over its own inputs."""
    rng = np.random.default_rng([23, *op.encode()])
    graphs = [case.build(rng) for case in OPS[op].CASES]
    graph = joined(graphs + [KINDS[op](rng).build(rng) for _ in range(PER_KIND) if op in KINDS])
    plan = laid_out(graph, choice)
    assert len({plan.offsets[name] for name in graph.outputs} & {plan.offsets[name] for name in graph.inputs}) > 6
    inputs = [rng.integers(-128, 128, (WINDOWS, *graph[name].shape[1:])).astype(np.int8) for name in graph.inputs]
    actual = HostModel(graph, tmp_path / "model", tmp_path, dsp, plan).run(*inputs)
    assert first_difference(graph, actual, Interpreter(graph).run(*inputs)) is None
