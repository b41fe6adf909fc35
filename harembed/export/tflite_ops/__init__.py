"""All operators of the .tflite format that the integer graph has, by the graph's name."""

from harembed.export.tflite_ops.base import FileOperator, Step, TfliteOp, Written, batched
from harembed.export.tflite_ops.convolution import CONV_2D, DEPTHWISE_CONV_2D, FULLY_CONNECTED
from harembed.export.tflite_ops.pointwise import (
    ADD,
    BATCH_MATMUL,
    HARD_SWISH,
    LEAKY_RELU,
    LOGISTIC,
    MUL,
    PRELU,
    QUANTIZE,
    RELU,
    RELU6,
    SOFTMAX,
    SUB,
    TANH,
)
from harembed.export.tflite_ops.rearrangement import CONCATENATION, PAD, PADV2, RESHAPE, TRANSPOSE
from harembed.export.tflite_ops.reduction import AVERAGE_POOL_2D, MAX_POOL_2D, MEAN, SUM
from harembed.export.tflite_ops.sequence import LSTM, STRIDED_SLICE

TFLITE_OPS: dict[str, TfliteOp] = {
    "conv_2d": CONV_2D,
    "depthwise_conv_2d": DEPTHWISE_CONV_2D,
    "fully_connected": FULLY_CONNECTED,
    "average_pool_2d": AVERAGE_POOL_2D,
    "max_pool_2d": MAX_POOL_2D,
    "mean": MEAN,
    "sum": SUM,
    "reshape": RESHAPE,
    "transpose": TRANSPOSE,
    "pad": PAD,
    "pad_v2": PADV2,
    "concatenation": CONCATENATION,
    "quantize": QUANTIZE,
    "relu": RELU,
    "relu6": RELU6,
    "leaky_relu": LEAKY_RELU,
    "prelu": PRELU,
    "hard_swish": HARD_SWISH,
    "softmax": SOFTMAX,
    "tanh": TANH,
    "logistic": LOGISTIC,
    "add": ADD,
    "sub": SUB,
    "mul": MUL,
    "batch_matmul": BATCH_MATMUL,
    "strided_slice": STRIDED_SLICE,
    "lstm": LSTM,
}

__all__ = ["TFLITE_OPS", "FileOperator", "Step", "TfliteOp", "Written", "batched"]
