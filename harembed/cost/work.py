"""What a node has to do, counted: the terms that the latency model (latency.py) multiplies with fitted coefficients.

A counter says for one operator which loops its kernel runs how often. It reads the integers that the kernel gets, so
it knows nothing that the kernel does not. Which form of a kernel a node takes (tiles of four positions, rows,
portable) and how its weights are kept decide its `kind`; nodes of one kind share coefficients.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from harembed.cost.work_conv import conv_work, dense_work, depthwise_3x3_work, depthwise_work
from harembed.cost.work_lego import lego_work
from harembed.cost.work_recurrent import gru_portable_work, gru_work, lstm_portable_work, lstm_work
from harembed.cost.work_xnor import xnor_portable_work, xnor_work
from harembed.errors import GraphError, unknown_name
from harembed.ir.graph import IntGraph, Node
from harembed.ir.ops import OPS
from harembed.ir.ops.base import DspForm, Goal


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
Counter = Callable[[IntGraph, Node, Goal | None], Work]


def work_of(graph: IntGraph, node: Node, goal: Goal | None) -> Work | None:
    """The work of one node for a core with DSP instructions; None if it emits no code.

    Parameters
    ----------
    goal : of the generated code; None: the portable kernel, whatever the core has

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


def _conv(graph: IntGraph, node: Node, goal: Goal | None) -> Work:
    form = _form(graph, node, goal)
    if form is None and node.op != "depthwise_conv_2d":
        raise GraphError(f"Node {node.name!r}: nobody counted the portable {node.op}; every core with DSP "
                         "instructions has a quicker one.")
    if form is None:
        return _depthwise_portable(graph, node)
    counter = {"he_conv_2d_s8_dsp": conv_work, "he_fully_connected_s8_dsp": dense_work,
               "he_depthwise_conv_2d_s8_dsp": depthwise_work,
               "he_depthwise_3x3_s8_dsp": depthwise_3x3_work}[form.kernel]
    return Work(*counter(form.params))


def _lego(graph: IntGraph, node: Node, goal: Goal | None) -> Work:
    form = _form(graph, node, goal)
    if form is None:
        raise GraphError(f"Node {node.name!r}: nobody counted the portable lego_conv.",
                         "With fewer bricks or taps there is a quicker one.")
    return Work(*lego_work(form.params))


def _xnor(graph: IntGraph, node: Node, goal: Goal | None) -> Work:
    form = _form(graph, node, goal)
    if form is None:
        return Work(*xnor_portable_work(OPS[node.op].prepare(graph, node).params))
    return Work(*xnor_work(form.params))


# What a layer may borrow of the arena only a plan tells, which takes too long for a search. Layers that are large
# enough to gain from it come late in a network, where tensors are small.
_ROOM = 1 << 16


def _form(graph: IntGraph, node: Node, goal: Goal | None) -> DspForm | None:
    return None if goal is None else OPS[node.op].dsp_within(graph, node, goal, _ROOM)


def _depthwise_portable(graph: IntGraph, node: Node) -> Work:
    """Several outputs of each of several input channels."""
    outputs = graph[node.outputs[0]].elements
    size = graph[node.inputs[1]].shape[1] * graph[node.inputs[1]].shape[2]
    return Work("depthwise_conv_2d, portable", {"calls": 1, "outputs": outputs, "taps": outputs * size})


def _lstm(graph: IntGraph, node: Node, goal: Goal | None) -> Work:
    p = OPS[node.op].prepare(graph, node).params
    counter = lstm_portable_work if _form(graph, node, goal) is None else lstm_work
    return Work(*counter(p.time_steps, p.input_size, p.units))


def _gru(graph: IntGraph, node: Node, goal: Goal | None) -> Work:
    form = _form(graph, node, goal)
    if form is not None:
        return Work(*gru_work(form.params))
    steps, inputs = graph[node.inputs[0]].shape[1:]
    return Work(*gru_portable_work(steps, inputs, graph[node.outputs[0]].shape[2]))


def _softmax(graph: IntGraph, node: Node, goal: Goal | None) -> Work:
    p = OPS[node.op].prepare(graph, node).params
    kind = "softmax" if _form(graph, node, goal) else "softmax, portable"
    return Work(kind, {"calls": 1, "rows": p.rows, "elements": p.rows * p.depth})


def _batch_matmul(graph: IntGraph, node: Node, goal: Goal | None) -> Work:
    form = _form(graph, node, goal)
    if form is None:
        p = OPS[node.op].prepare(graph, node).params
        outputs = int(np.prod(p.batch)) * p.rows * p.columns
        return Work("batch_matmul, portable", {"calls": 1, "matrices": int(np.prod(p.batch)), "outputs": outputs,
                                               "products": outputs * p.depth})
    p = form.params
    fours, pairs = -(-p.depth // 4), -(-p.depth // 4) * 2
    matrices = int(np.prod(p.batch))
    tiles = matrices * -(-p.positions.count // 4)
    alone = form.inline and p.channels.count == 1  # otherwise two of the same are computed
    sums = tiles if alone else tiles * -(-p.channels.count // 2)
    of = "single channels" if alone else "channel pairs"
    lie = ["along" if v.depth_stride == 1 else "across" for v in (p.positions, p.channels)]
    return Work("batch_matmul", {
        "calls": 1, "matrices": matrices, "tiles": tiles, of: sums, f"steps of {of}": sums * pairs,
        f"rounds of {of}": sums * ((pairs - 1) // 4), f"fours of positions {lie[0]}": tiles * fours,
        f"fours of {of} {lie[1]}": sums * fours, "rests of positions": tiles * (p.depth % 4 > 0),
        f"rests of {of}": sums * (p.depth % 4 > 0)})


def _elementwise(graph: IntGraph, node: Node, goal: Goal | None) -> Work:
    """Loops over five axes, of which the last is the inner one."""
    form = _form(graph, node, goal)
    if form is None:
        shape = graph[node.outputs[0]].shape
        elements = graph[node.outputs[0]].elements
        return Work(f"{node.op}, portable", {"calls": 1, "rows": elements // shape[-1], "elements": elements})
    p = form.params
    rows = int(np.prod(p.shape[:-1]))
    elements = rows * p.shape[-1]
    scaled = [(p.input1_multiplier, p.input1_right), (p.input2_multiplier, p.input2_right)] \
        if node.op in ("add", "sub") else []
    of = "elements of two" if p.stride1[-1] and p.stride2[-1] else "elements of one"  # the other is the same in a row
    return Work("mul" if node.op == "mul" else "add", {
        "calls": 1, "rows": rows, of: elements,
        "inputs shifted": elements * sum(m != 0 and right > 0 for m, right in scaled),
        "elements clamped": elements * ((p.scale.act_min > -128) + (p.scale.act_max < 127))})


def _prelu(graph: IntGraph, node: Node, goal: Goal | None) -> Work:
    form = _form(graph, node, goal)
    if form is None:
        return _elementwise(graph, node, goal)
    rows = int(np.prod(form.params.shape[:-1]))
    return Work("prelu", {"calls": 1, "rows": rows, "elements": rows * form.params.shape[-1]})


def _mean(graph: IntGraph, node: Node, goal: Goal | None) -> Work:
    p = OPS[node.op].prepare(graph, node).params
    if _form(graph, node, goal) is None:
        return Work("mean, portable", {"calls": 1, "blocks": p.outer, "outputs": p.outer * p.inner,
                                       "summed": p.outer * p.reduced * p.inner})
    if p.inner == 1:
        return Work("mean of runs", {"calls": 1, "outputs": p.outer, "fours summed": p.outer * (p.reduced // 4),
                                     "ones summed": p.outer * (p.reduced % 4)})
    groups = p.outer * -(-p.inner // 4)
    return Work("mean", {"calls": 1, "blocks": p.outer, "groups": groups, "fours summed": groups * p.reduced})


def _lookup(graph: IntGraph, node: Node, goal: Goal | None) -> Work:
    n = graph[node.outputs[0]].elements
    return Work("lookup", {"calls": 1, "fours": n // 4, "ones": n % 4})


def _pool(graph: IntGraph, node: Node, goal: Goal | None) -> Work:
    p = OPS[node.op].prepare(graph, node).params
    rows = _inside(p.output_h, p.stride_h, p.pad_top, p.filter_h, p.input_h)
    columns = _inside(p.output_w, p.stride_w, p.pad_left, p.filter_w, p.input_w)
    form = _form(graph, node, goal)
    positions = p.output_h * p.output_w
    groups = p.channels if form is None else -(-p.channels // 4)
    # Where no window is clipped, its size is a constant.
    kind = ", portable" if form is None else ", clipped" if form.params.clipped else ""
    return Work(f"{node.op}{kind}", {
        "calls": 1, "rows": p.output_h, "positions": positions, "groups": positions * groups,
        "window rows": float(rows.sum() * p.output_w * groups), "taps": float(rows.sum() * columns.sum() * groups)})


def _inside(outputs: int, stride: int, pad: int, window: int, length: int) -> np.ndarray:
    """How many of the window's taps lie inside the input, by output, along one axis."""
    start = np.arange(outputs) * stride - pad
    return np.clip(start + window, 0, length) - np.clip(start, 0, length)


def _pad(graph: IntGraph, node: Node, goal: Goal | None) -> Work:
    p = OPS[node.op].prepare(graph, node).params
    padded = [b + n + a for b, n, a in zip(p.before, p.input_dims, p.after, strict=True)]
    return Work("pad", {"calls": 1, "rows": int(np.prod(padded[:3])), "outputs": int(np.prod(padded)),
                        "copied": int(np.prod(p.input_dims))})


def _transpose(graph: IntGraph, node: Node, goal: Goal | None) -> Work:
    p = OPS[node.op].prepare(graph, node).params
    a, b, c, d = p.output_dims
    words = d // 4 if p.input_strides[3] == 1 else 0
    return Work("transpose", {"calls": 1, "planes": a * b, "rows": a * b * c, "words": a * b * c * words,
                              "bytes": a * b * c * (d - 4 * words)})


def _concatenation(graph: IntGraph, node: Node, goal: Goal | None) -> Work:
    p = OPS[node.op].prepare(graph, node).params
    return Work("concatenation", {"calls": 1, "rows": p.outer, "pieces": p.outer * p.parts,
                                  "bytes": p.outer * int(p.width.sum())})


def _strided_slice(graph: IntGraph, node: Node, goal: Goal | None) -> Work:
    p = OPS[node.op].prepare(graph, node).params
    rows = int(np.prod(p.size[:3]))
    return Work("strided_slice", {"calls": 1, "planes": p.size[0] * p.size[1], "rows": rows,
                                  "bytes": rows * p.size[3]})


COUNTERS: dict[str, Counter] = {
    "conv_2d": _conv, "depthwise_conv_2d": _conv, "fully_connected": _conv, "lego_conv": _lego, "xnor_conv": _xnor,
    "lstm": _lstm, "gru": _gru, "softmax": _softmax, "batch_matmul": _batch_matmul,
    "add": _elementwise, "sub": _elementwise, "mul": _elementwise, "prelu": _prelu, "mean": _mean, "sum": _mean,
    "tanh": _lookup, "logistic": _lookup, "quantize": _lookup, "relu": _lookup, "relu6": _lookup,
    "leaky_relu": _lookup, "hard_swish": _lookup, "average_pool_2d": _pool, "max_pool_2d": _pool,
    "pad": _pad, "pad_v2": _pad, "transpose": _transpose, "concatenation": _concatenation,
    "strided_slice": _strided_slice,
}
