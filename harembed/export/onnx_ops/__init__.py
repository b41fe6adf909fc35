"""How each operator of the integer graph is written in ONNX, by the graph's name."""

from collections.abc import Callable

from harembed.export.onnx_ops import layers, pointwise, rearrangement, recurrent
from harembed.export.onnx_ops.writer import OnnxWriter
from harembed.ir.graph import Node

ONNX_OPS: dict[str, Callable[[OnnxWriter, Node], None]] = {
    "conv_2d": layers.write_conv_2d,
    "depthwise_conv_2d": layers.write_depthwise_conv_2d,
    "fully_connected": layers.write_fully_connected,
    "average_pool_2d": layers.write_average_pool_2d,
    "max_pool_2d": layers.write_max_pool_2d,
    "mean": layers.write_mean,
    "relu": layers.write_relu,
    "softmax": pointwise.write_softmax,
    "tanh": pointwise.write_tanh,
    "logistic": pointwise.write_logistic,
    "add": pointwise.write_add,
    "mul": pointwise.write_mul,
    "batch_matmul": pointwise.write_batch_matmul,
    "lstm": recurrent.write_lstm,
    "reshape": rearrangement.write_reshape,
    "transpose": rearrangement.write_transpose,
    "pad": rearrangement.write_pad,
    "strided_slice": rearrangement.write_strided_slice,
}

__all__ = ["ONNX_OPS", "OnnxWriter"]
