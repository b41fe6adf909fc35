"""reshape, transpose, pad and strided_slice in ONNX: they move integers, so nothing is dequantised."""

import numpy as np

from harembed.export.onnx_ops.writer import OnnxWriter
from harembed.ir.graph import Node


def write_reshape(w: OnnxWriter, node: Node) -> None:
    shape = w.constant(np.array([-1, *node.attrs.shape[1:]], np.int64), "shape")
    w.op("Reshape", node.inputs[0], shape, output=node.outputs[0])


def write_transpose(w: OnnxWriter, node: Node) -> None:
    w.op("Transpose", node.inputs[0], perm=node.attrs.perm, output=node.outputs[0])


def write_pad(w: OnnxWriter, node: Node) -> None:
    pads = w.constant(np.array([*node.attrs.before, *node.attrs.after], np.int64), "pads")
    value = w.constant(np.array(w.input(node, 0).zero_point, np.int8), "pad_value")
    w.op("Pad", node.inputs[0], pads, value, output=node.outputs[0])


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
