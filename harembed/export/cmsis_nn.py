"""Nodes as calls of CMSIS-NN: which function computes a node, with which numbers, in how much scratch memory.

FORMS maps each operator to what prepares its call; LACKS says why another has none. Values are those of the portable
kernel's params, so that both read the same numbers; `calls_cmsis_nn.j2` places them and turns zero points into
CMSIS-NN's offsets. Scratch sizes follow CMSIS-NN's own *_get_buffer_size functions for cores with DSP instructions
and without vectors (suffix `_dsp` there); those for plain C are never larger.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from harembed.errors import GraphError
from harembed.ir.graph import IntGraph, Kind, Node
from harembed.ir.ops import OPS
from harembed.ir.ops.lego import filters_of
from harembed.ir.ops.lstm import CELL_STATE, GATES, OUTPUT_STATE

LARGEST_UINT16 = 65535  # lengths that CMSIS-NN takes as uint16_t


@dataclass(frozen=True, eq=False)
class CmsisNnForm:
    """A node ready for one call.

    Attributes
    ----------
    function : of CMSIS-NN, and name of the macro in calls_cmsis_nn.j2
    params : of the portable kernel
    tables : constant arrays that the call needs besides the node's own constants
    values : further numbers, ready to be placed
    folded : positions of inputs, constants, that the tables replace
    scratch_bytes : working memory
    """

    function: str
    params: Any
    tables: Mapping[str, np.ndarray] = field(default_factory=dict)
    values: Mapping[str, Any] = field(default_factory=dict)
    folded: tuple[int, ...] = ()
    scratch_bytes: int = 0


@dataclass(frozen=True)
class Refusal:
    """Why a node has no call; the portable kernel serves it."""

    reason: str


def cmsis_nn_form(graph: IntGraph, node: Node) -> CmsisNnForm | Refusal:
    """The call of a node, or why there is none."""
    if node.op in LACKS:
        return Refusal(LACKS[node.op])
    if node.op not in FORMS:
        raise GraphError(f"Node {node.name!r}: nobody has said whether CMSIS-NN has {node.op}.",
                         "Add it to FORMS or to LACKS in harembed/export/cmsis_nn.py.")
    return FORMS[node.op](graph, node, OPS[node.op].prepare(graph, node).params)


def scratch_bytes(graph: IntGraph) -> dict[str, int]:
    """{node name: bytes} of all nodes, for the memory plan: of the call, or of the portable kernel."""
    sizes = {}
    for node in graph.nodes:
        if not OPS[node.op].view:
            form = cmsis_nn_form(graph, node)
            sizes[node.name] = (form.scratch_bytes if isinstance(form, CmsisNnForm)
                                else OPS[node.op].prepare(graph, node).scratch_bytes)
    return sizes


def _channels(p: Any) -> dict[str, np.ndarray]:
    return {"multiplier": p.multiplier, "shift": p.shift}


def _conv(graph: IntGraph, node: Node, p: Any) -> CmsisNnForm | Refusal:
    pointwise = p.filter_h == p.filter_w == p.dilation_h == p.dilation_w == 1 and p.pad_top == p.pad_left == 0
    # Two columns of the patch matrix as int16, each rounded up to whole words of bytes; gcc needs none for 1x1.
    columns = p.filter_h * p.filter_w * p.input_c
    return CmsisNnForm("arm_convolve_wrapper_s8", p, _channels(p),
                       scratch_bytes=0 if pointwise else 2 * 2 * -(-columns // 4) * 4)


def _lego(graph: IntGraph, node: Node, p: Any) -> CmsisNnForm | Refusal:
    """The convolution by whole filters, which CMSIS-NN has."""
    form = _conv(graph, node, p.conv)
    bricks, indices = (graph[t].data for t in node.inputs[1:3])
    assert isinstance(form, CmsisNnForm) and bricks is not None and indices is not None
    return replace(form, tables={**form.tables, "filters": filters_of(bricks, indices)}, folded=(1, 2))


def _depthwise(graph: IntGraph, node: Node, p: Any) -> CmsisNnForm | Refusal:
    dense = p.input_c == p.output_c and p.dilation_h == p.dilation_w == 1
    square = p.filter_h == p.filter_w == 3 and p.pad_top <= 1 and p.pad_left <= 1
    size = 2 * p.input_c * p.filter_h * p.filter_w if dense and not square else 0
    return CmsisNnForm("arm_depthwise_conv_wrapper_s8", p, _channels(p), scratch_bytes=size)


def _fully_connected(graph: IntGraph, node: Node, p: Any) -> CmsisNnForm | Refusal:
    qparams = graph[node.inputs[1]].qparams
    assert qparams is not None
    if p.rows > 1:  # a pointwise convolution multiplies two rows at a time
        return CmsisNnForm("arm_convolve_1x1_s8_fast", p, _channels(p))
    if len(qparams.scale) > 1:
        return CmsisNnForm("arm_fully_connected_per_channel_s8", p, _channels(p))
    return CmsisNnForm("arm_fully_connected_s8", p, values={"multiplier": p.multiplier[0], "shift": p.shift[0]})


def _average_pool(graph: IntGraph, node: Node, p: Any) -> CmsisNnForm | Refusal:
    return CmsisNnForm("arm_avgpool_s8", p, scratch_bytes=4 * p.channels)


def _max_pool(graph: IntGraph, node: Node, p: Any) -> CmsisNnForm | Refusal:
    return CmsisNnForm("arm_max_pool_s8", p)


def _softmax(graph: IntGraph, node: Node, p: Any) -> CmsisNnForm | Refusal:
    return CmsisNnForm("arm_softmax_s8", p)


def _elementwise(function: str) -> "Prepare":
    def prepare(graph: IntGraph, node: Node, p: Any) -> CmsisNnForm | Refusal:
        first, second = (graph[name] for name in node.inputs)
        if first.elements != second.elements:
            return Refusal(f"{function} does not broadcast")
        return CmsisNnForm(function, p, values={"elements": first.elements})

    return prepare


def _transpose(graph: IntGraph, node: Node, p: Any) -> CmsisNnForm | Refusal:
    shape, perm = graph[node.inputs[0]].shape, node.attrs.perm
    if len(shape) > 4:
        return Refusal("arm_transpose_s8 has at most four axes")
    missing = 4 - len(shape)
    dims = (1,) * missing + shape
    order = (*range(missing), *(axis + missing for axis in perm))
    return CmsisNnForm("arm_transpose_s8", p, values={
        "input_dims": dims, "output_dims": tuple(dims[axis] for axis in order), "order": order})


def _pad(graph: IntGraph, node: Node, p: Any) -> CmsisNnForm | Refusal:
    return CmsisNnForm("arm_pad_s8", p)


def _concatenation(graph: IntGraph, node: Node, p: Any) -> CmsisNnForm | Refusal:
    widths = [int(w) for w in p.width]
    if max(sum(widths), p.outer) > LARGEST_UINT16:
        return Refusal(f"arm_concatenation_s8_x has lengths up to {LARGEST_UINT16}")
    offsets = [sum(widths[:i]) for i in range(len(widths))]
    return CmsisNnForm("arm_concatenation_s8_x", p, values={
        "pieces": list(zip(widths, offsets, strict=True)), "width": sum(widths)})


def _batch_matmul(graph: IntGraph, node: Node, p: Any) -> CmsisNnForm | Refusal:
    lhs, rhs = (graph[name] for name in node.inputs)
    if lhs.kind is Kind.CONSTANT:
        return Refusal("a constant left operand")
    batch = math.prod(p.batch)
    if lhs.elements != batch * p.rows * p.depth or rhs.elements != batch * p.depth * p.columns:
        return Refusal("arm_batch_matmul_s8 is not used with broadcasting")
    # CMSIS-NN wants rows of both operands along the terms of the sum.
    turned: dict[str, dict[str, Any]] = {}
    tables, scratch = {}, 0
    sides = (("lhs", lhs, node.attrs.adj_x, p.rows), ("rhs", rhs, not node.attrs.adj_y, p.columns))
    for side, t, columnwise, rows in sides:
        if columnwise and t.data is not None:
            tables[side] = np.ascontiguousarray(t.data.swapaxes(-1, -2))
        elif columnwise:
            turned[side] = {"input_dims": (1, batch, p.depth, rows), "output_dims": (1, batch, rows, p.depth),
                            "order": (0, 1, 3, 2), "offset": scratch}
            scratch += -(-batch * rows * p.depth // 4) * 4
    return CmsisNnForm("arm_batch_matmul_s8", p, tables, {"batch": batch, "turned": turned},
                       folded=(1,) if tables else (), scratch_bytes=scratch)


def _lstm(graph: IntGraph, node: Node, p: Any) -> CmsisNnForm | Refusal:
    tensors = [graph[name] for name in node.inputs]
    mantissa, exponent = math.frexp(tensors[CELL_STATE].scale)
    if mantissa != 0.5:
        return Refusal("the cell's scale is no power of two")
    tables = {}
    for i, gate in enumerate(GATES):
        weights, recurrent, bias = (tensors[at + i].data for at in (1, 5, 9))
        assert weights is not None and recurrent is not None and bias is not None
        # What arm_vector_sum_s8 computes: zero points folded into the bias.
        tables[f"{gate}_bias"] = _int32(bias - p.input_zero_point * weights.sum(1, dtype=np.int64))
        tables[f"{gate}_recurrent_bias"] = _int32(-p.output_state_zero_point * recurrent.sum(1, dtype=np.int64))
    return CmsisNnForm("arm_lstm_unidirectional_s8", p, tables, {
        "gates": GATES, "cell_scale_power": exponent - 1, "cell_clip": min(p.cell_clip, 32767),
        "output_state": OUTPUT_STATE, "cell_state": CELL_STATE, "first_weights": 1, "first_recurrent": 5,
        "second_buffer": 2 * p.units + 2 * p.units % 4}, folded=(9, 10, 11, 12),
        scratch_bytes=4 * p.units + 2 * p.units % 4)


def _int32(values: np.ndarray) -> np.ndarray:
    return ((values + 2**31) % 2**32 - 2**31).astype(np.int32)


Prepare = Callable[[IntGraph, Node, Any], CmsisNnForm | Refusal]
FORMS: dict[str, Prepare] = {
    "conv_2d": _conv,
    "lego_conv": _lego,
    "depthwise_conv_2d": _depthwise,
    "fully_connected": _fully_connected,
    "average_pool_2d": _average_pool,
    "max_pool_2d": _max_pool,
    "softmax": _softmax,
    "add": _elementwise("arm_elementwise_add_s8"),
    "mul": _elementwise("arm_elementwise_mul_s8"),
    "transpose": _transpose,
    "pad": _pad,
    "pad_v2": _pad,
    "concatenation": _concatenation,
    "batch_matmul": _batch_matmul,
    "lstm": _lstm,
}
LACKS: dict[str, str] = {
    "mean": "CMSIS-NN has no mean; its average pooling rounds another way",
    "sum": "CMSIS-NN has no sum over axes",
    "sub": "CMSIS-NN adds, but does not subtract",
    "quantize": "CMSIS-NN has no requantisation of a tensor",
    "relu": "CMSIS-NN's arm_relu_q7 does not rescale",
    "relu6": "CMSIS-NN's arm_relu6_s8 does not rescale",
    "leaky_relu": "CMSIS-NN has none",
    "prelu": "CMSIS-NN has none",
    "hard_swish": "CMSIS-NN has none",
    "tanh": "CMSIS-NN computes it on int16 only",
    "logistic": "CMSIS-NN computes it on int16 only",
    "strided_slice": "CMSIS-NN has none",
    "gru": "CMSIS-NN has none",
    "xnor_conv": "CMSIS-NN has no binary convolution",
}
