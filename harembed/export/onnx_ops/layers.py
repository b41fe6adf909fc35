"""Convolution, dense, pooling, mean and sum in ONNX: dequantise, compute in float, quantise.

ONNX slides windows over NCHW, so convolutions and pools stand between two transposes.
"""

import numpy as np

from harembed.export.onnx_ops.writer import OnnxWriter
from harembed.ir.graph import Node
from harembed.ir.ops.conv import output_length

TO_NCHW = (0, 3, 1, 2)
TO_NHWC = (0, 2, 3, 1)


def _pads(w: OnnxWriter, node: Node, kernel: tuple[int, ...], dilation: tuple[int, int]) -> list[int]:
    """[top, left, bottom, right] of a sliding window, as TFLite places them."""
    before, after = [], []
    a = node.attrs
    for length, k, s, d in zip(w.input(node, 0).shape[1:3], kernel, a.stride, dilation, strict=True):
        out, pad = output_length(length, k, s, d, a.padding)
        before.append(pad)
        after.append(max((out - 1) * s + (k - 1) * d + 1 - length - pad, 0))
    return before + after


def _write_conv(w: OnnxWriter, node: Node, depthwise: bool) -> None:
    x, f = w.input(node, 0), w.input(node, 1)
    assert f.data is not None and f.qparams is not None
    a = node.attrs
    # OHWI to OIHW; depthwise 1HWO to O1HW.
    weights = f.data.transpose((3, 0, 1, 2) if depthwise else (0, 3, 1, 2))
    inputs = [w.op("Transpose", w.real(x.name), perm=TO_NCHW), w.dequantised(weights, f, axis=0)]
    bias = w.graph[node.inputs[2]].data if node.inputs[2] else None
    if bias is not None:
        inputs.append(w.bias(bias, x.scale, f.qparams.scale))
    kernel = f.shape[1:3]
    y = w.op("Conv", *inputs, kernel_shape=kernel, strides=a.stride, dilations=a.dilation,
             pads=_pads(w, node, kernel, a.dilation), group=x.shape[3] if depthwise else 1)
    y = w.activation(w.rounded_twice(y, node, 2), a.activation)
    w.quantise(w.op("Transpose", y, perm=TO_NHWC), node.outputs[0])


def write_conv_2d(w: OnnxWriter, node: Node) -> None:
    _write_conv(w, node, depthwise=False)


def write_depthwise_conv_2d(w: OnnxWriter, node: Node) -> None:
    _write_conv(w, node, depthwise=True)


def write_fully_connected(w: OnnxWriter, node: Node) -> None:
    x, f = w.input(node, 0), w.input(node, 1)
    assert f.data is not None and f.qparams is not None
    rows = x.elements // f.shape[1]
    shape = w.constant(np.array([-1, rows, f.shape[1]], np.int64), "shape")
    y = w.op("MatMul", w.op("Reshape", w.real(x.name), shape), w.dequantised(f.data.T, f, axis=1))
    bias = w.graph[node.inputs[2]].data if node.inputs[2] else None
    if bias is not None:
        y = w.op("Add", y, w.bias(bias, x.scale, f.qparams.scale))
    w.quantise(w.activation(w.rounded_twice(y, node), node.attrs.activation), node.outputs[0])


def _write_pool(w: OnnxWriter, node: Node, op_type: str) -> None:
    a = node.attrs
    x = w.op("Transpose", w.real(node.inputs[0]), perm=TO_NCHW)
    # Neither counts taps outside the input: MaxPool by definition, AveragePool by count_include_pad = 0.
    y = w.op(op_type, x, kernel_shape=a.window, strides=a.stride, pads=_pads(w, node, a.window, (1, 1)))
    w.quantise(w.op("Transpose", w.activation(y, a.activation), perm=TO_NHWC), node.outputs[0])


def write_average_pool_2d(w: OnnxWriter, node: Node) -> None:
    _write_pool(w, node, "AveragePool")


def write_max_pool_2d(w: OnnxWriter, node: Node) -> None:
    _write_pool(w, node, "MaxPool")


def write_mean(w: OnnxWriter, node: Node) -> None:
    y = w.op("ReduceMean", w.real(node.inputs[0]), axes=node.attrs.axes, keepdims=int(node.attrs.keep_dims))
    w.quantise(w.rounded_twice(y, node), node.outputs[0])


def write_sum(w: OnnxWriter, node: Node) -> None:
    axes = w.constant(np.array(node.attrs.axes, np.int64), "axes")
    y = w.op("ReduceSum", w.real(node.inputs[0]), axes, keepdims=int(node.attrs.keep_dims))
    w.quantise(w.rounded_twice(y, node), node.outputs[0])
