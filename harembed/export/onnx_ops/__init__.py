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
    "sum": layers.write_sum,
    "quantize": pointwise.write_quantize,
    "relu": pointwise.write_relu,
    "relu6": pointwise.write_relu6,
    "leaky_relu": pointwise.write_leaky_relu,
    "prelu": pointwise.write_prelu,
    "hard_swish": pointwise.write_hard_swish,
    "softmax": pointwise.write_softmax,
    "tanh": pointwise.write_tanh,
    "logistic": pointwise.write_logistic,
    "add": pointwise.write_add,
    "sub": pointwise.write_sub,
    "mul": pointwise.write_mul,
    "batch_matmul": pointwise.write_batch_matmul,
    "lstm": recurrent.write_lstm,
    "reshape": rearrangement.write_reshape,
    "transpose": rearrangement.write_transpose,
    "pad": rearrangement.write_pad,
    "pad_v2": rearrangement.write_pad_v2,
    "concatenation": rearrangement.write_concatenation,
    "strided_slice": rearrangement.write_strided_slice,
}

__all__ = ["ONNX_OPS", "OnnxWriter"]
