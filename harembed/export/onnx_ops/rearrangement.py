"""What moves integers, in ONNX: reshape, transpose, pads, strided_slice and concatenation. Nothing is dequantised."""

import numpy as np

from harembed.export.onnx_ops.writer import OnnxWriter
from harembed.ir.graph import Node


def write_reshape(w: OnnxWriter, node: Node) -> None:
    shape = w.constant(np.array([-1, *node.attrs.shape[1:]], np.int64), "shape")
    w.op("Reshape", node.inputs[0], shape, output=node.outputs[0])


def write_transpose(w: OnnxWriter, node: Node) -> None:
    w.op("Transpose", node.inputs[0], perm=node.attrs.perm, output=node.outputs[0])


def write_pad(w: OnnxWriter, node: Node) -> None:
    _write_pad(w, node, w.input(node, 0).zero_point)


def write_pad_v2(w: OnnxWriter, node: Node) -> None:
    _write_pad(w, node, node.attrs.value)


def _write_pad(w: OnnxWriter, node: Node, padding: int) -> None:
    pads = w.constant(np.array([*node.attrs.before, *node.attrs.after], np.int64), "pads")
    value = w.constant(np.array(padding, np.int8), "pad_value")
    w.op("Pad", node.inputs[0], pads, value, output=node.outputs[0])


def write_concatenation(w: OnnxWriter, node: Node) -> None:
    like = next(name for name in node.inputs if w.graph[name].data is None)
    parts = [name if w.graph[name].data is None else _in_every_window(w, name, like) for name in node.inputs]
    w.op("Concat", *parts, axis=node.attrs.axis, output=node.outputs[0])


def _in_every_window(w: OnnxWriter, constant: str, like: str) -> str:
    """A constant [1, ...] repeated for each window of a tensor."""
    spec = w.graph[constant]
    assert spec.data is not None
    windows = w.op("Shape", like, start=0, end=1)
    shape = w.op("Concat", windows, w.constant(np.array(spec.shape[1:], np.int64), "shape"), axis=0)
    return w.op("Expand", w.constant(spec.data, spec.name), shape)


def write_strided_slice(w: OnnxWriter, node: Node) -> None:
    a = node.attrs
    # Axis 0 is the batch, which is free here.
    axes = range(1, len(a.begin))
    # A slice that runs backwards to the first element ends before it; ONNX says that by any number far below.
    ends = [e if (e := a.begin[i] + a.size[i] * a.stride[i]) >= 0 else -(2**31) for i in axes]
    vectors = [[a.begin[i] for i in axes], ends, list(axes), [a.stride[i] for i in axes]]
    names = [w.constant(np.array(v, np.int64), "slice") for v in vectors]
    if not a.squeeze:
        w.op("Slice", node.inputs[0], *names, output=node.outputs[0])
        return
    taken = w.op("Slice", node.inputs[0], *names)
    w.op("Squeeze", taken, w.constant(np.array(a.squeeze, np.int64), "axes"), output=node.outputs[0])
