"""What a node has to do, counted: the terms that the latency model (latency.py) multiplies with fitted coefficients.

A counter says for one operator which loops its kernel runs how often. It reads the integers that the kernel gets, so
it knows nothing that the kernel does not. Which form of a kernel a node takes (tiles of four positions, rows,
portable) and how its weights are kept decide its `kind`; nodes of one kind share coefficients.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from harembed.cost.work_conv import conv_work, dense_work, depthwise_work
from harembed.errors import GraphError, unknown_name
from harembed.ir.graph import IntGraph, Node
from harembed.ir.ops import OPS
from harembed.ir.ops.base import Goal


@dataclass(frozen=True)
class Work:
    """
    Attributes
    ----------
    kind : whose coefficients apply
    terms : {name of a term: how often}
    """

    kind: str
    terms: dict[str, float]


Terms = dict[str, float]
Counter = Callable[[IntGraph, Node, Goal], Work]


def work_of(graph: IntGraph, node: Node, goal: Goal) -> Work | None:
    """The work of one node for a core with DSP instructions; None if it emits no code.

    Raises
    ------
    GraphError    nobody has said what this operator's work is
    """
    if OPS[node.op].view:
        return None
    if node.op not in COUNTERS:
        unknown = unknown_name("operator of the latency model", node.op, list(COUNTERS))
        raise GraphError(f"Node {node.name!r}: {unknown}", "Add a counter in harembed/cost/work.py and fit again.")
    return COUNTERS[node.op](graph, node, goal)


def _conv(graph: IntGraph, node: Node, goal: Goal) -> Work:
    form = OPS[node.op].dsp(graph, node, goal)
    if form is None:
        return _depthwise_portable(graph, node)
    counter = {"he_conv_2d_s8_dsp": conv_work, "he_fully_connected_s8_dsp": dense_work,
               "he_depthwise_conv_2d_s8_dsp": depthwise_work}[form.kernel]
    return Work(*counter(form.params))


def _depthwise_portable(graph: IntGraph, node: Node) -> Work:
    """Several outputs of each of several input channels."""
    outputs = graph[node.outputs[0]].elements
    size = graph[node.inputs[1]].shape[1] * graph[node.inputs[1]].shape[2]
    return Work("depthwise_conv_2d portable", {"calls": 1, "outputs": outputs, "taps": outputs * size})


def _lstm(graph: IntGraph, node: Node, goal: Goal) -> Work:
    p = OPS[node.op].prepare(graph, node).params
    steps, inputs, units = p.time_steps, p.input_size, p.units
    return Work("lstm", {
        "calls": 1, "steps": steps, "unit steps": steps * units, "input steps": steps * inputs,
        "input weights": steps * units * (inputs // 4), "input weights left": steps * units * (inputs % 4),
        "state weights": steps * units * (units // 4), "state weights left": steps * units * (units % 4)})


def _softmax(graph: IntGraph, node: Node, goal: Goal) -> Work:
    p = OPS[node.op].prepare(graph, node).params
    return Work("softmax", {"calls": 1, "rows": p.rows, "elements": p.rows * p.depth})


def _batch_matmul(graph: IntGraph, node: Node, goal: Goal) -> Work:
    p = OPS[node.op].prepare(graph, node).params
    batches = int(np.prod(p.batch))
    outputs = batches * p.rows * p.columns
    rhs = "rows" if p.rhs_depth_stride == 1 else "columns"  # of the stored rhs run along the sum
    return Work("batch_matmul", {
        "calls": 1, "matrices": batches, "matrix rows": batches * p.rows, "outputs": outputs,
        "rhs elements": batches * p.columns * p.depth,
        f"products along {rhs}": outputs * (p.depth // 4), f"products left along {rhs}": outputs * (p.depth % 4)})


def _elementwise(graph: IntGraph, node: Node, goal: Goal) -> Work:
    """add, sub, mul, prelu: loops over five axes, of which the last is the inner one."""
    shape = graph[node.outputs[0]].shape
    outer = int(np.prod(shape[:-1]))
    a, b = (graph[name] for name in node.inputs)
    alike = a.elements == b.elements
    return Work(node.op, {"calls": 1, "rows": outer, "elements": outer * shape[-1],
                          "elements broadcast": 0 if alike else outer * shape[-1]})


def _mean(graph: IntGraph, node: Node, goal: Goal) -> Work:
    p = OPS[node.op].prepare(graph, node).params
    return Work("mean", {
        "calls": 1, "blocks": p.outer, "outputs": p.outer * p.inner,
        "fours summed": p.outer * p.reduced * (p.inner // 4), "ones summed": p.outer * p.reduced * (p.inner % 4)})


def _lookup(graph: IntGraph, node: Node, goal: Goal) -> Work:
    n = graph[node.outputs[0]].elements
    return Work("lookup", {"calls": 1, "fours": n // 4, "ones": n % 4})


def _pool(graph: IntGraph, node: Node, goal: Goal) -> Work:
    p = OPS[node.op].prepare(graph, node).params
    rows = _inside(p.output_h, p.stride_h, p.pad_top, p.filter_h, p.input_h)
    columns = _inside(p.output_w, p.stride_w, p.pad_left, p.filter_w, p.input_w)
    return Work(node.op, {
        "calls": 1, "rows": p.output_h, "positions": p.output_h * p.output_w,
        "outputs": p.output_h * p.output_w * p.channels, "window rows": rows.sum() * p.output_w * p.channels,
        "taps": float(rows.sum() * columns.sum() * p.channels)})


def _inside(outputs: int, stride: int, pad: int, window: int, length: int) -> np.ndarray:
    """How many of the window's taps lie inside the input, by output, along one axis."""
    start = np.arange(outputs) * stride - pad
    return np.clip(start + window, 0, length) - np.clip(start, 0, length)


def _pad(graph: IntGraph, node: Node, goal: Goal) -> Work:
    p = OPS[node.op].prepare(graph, node).params
    padded = [b + n + a for b, n, a in zip(p.before, p.input_dims, p.after, strict=True)]
    return Work("pad", {"calls": 1, "rows": int(np.prod(padded[:3])), "outputs": int(np.prod(padded)),
                        "copied": int(np.prod(p.input_dims))})


def _transpose(graph: IntGraph, node: Node, goal: Goal) -> Work:
    p = OPS[node.op].prepare(graph, node).params
    a, b, c, d = p.output_dims
    words = d // 4 if p.input_strides[3] == 1 else 0
    return Work("transpose", {"calls": 1, "planes": a * b, "rows": a * b * c, "words": a * b * c * words,
                              "bytes": a * b * c * (d - 4 * words)})


def _concatenation(graph: IntGraph, node: Node, goal: Goal) -> Work:
    p = OPS[node.op].prepare(graph, node).params
    return Work("concatenation", {"calls": 1, "rows": p.outer, "pieces": p.outer * p.parts,
                                  "bytes": p.outer * int(p.width.sum())})


def _strided_slice(graph: IntGraph, node: Node, goal: Goal) -> Work:
    p = OPS[node.op].prepare(graph, node).params
    rows = int(np.prod(p.size[:3]))
    return Work("strided_slice", {"calls": 1, "planes": p.size[0] * p.size[1], "rows": rows,
                                  "bytes": rows * p.size[3]})


COUNTERS: dict[str, Counter] = {
    "conv_2d": _conv, "depthwise_conv_2d": _conv, "fully_connected": _conv, "lstm": _lstm, "softmax": _softmax,
    "batch_matmul": _batch_matmul, "add": _elementwise, "sub": _elementwise, "mul": _elementwise,
    "prelu": _elementwise, "mean": _mean, "sum": _mean, "tanh": _lookup, "logistic": _lookup, "quantize": _lookup,
    "relu": _lookup, "relu6": _lookup, "leaky_relu": _lookup, "hard_swish": _lookup, "average_pool_2d": _pool,
    "max_pool_2d": _pool, "pad": _pad, "pad_v2": _pad, "transpose": _transpose, "concatenation": _concatenation,
    "strided_slice": _strided_slice,
}
