"""All operators of the .tflite format that the integer graph has, by the graph's name."""

from harembed.export.tflite_ops.base import FileOperator, TfliteOp, Written
from harembed.export.tflite_ops.convolution import CONV_2D, DEPTHWISE_CONV_2D, FULLY_CONNECTED
from harembed.export.tflite_ops.pointwise import ADD, BATCH_MATMUL, LOGISTIC, MUL, SOFTMAX, TANH
from harembed.export.tflite_ops.rearrangement import PAD, RESHAPE, TRANSPOSE
from harembed.export.tflite_ops.reduction import AVERAGE_POOL_2D, MAX_POOL_2D, MEAN, RELU
from harembed.export.tflite_ops.sequence import LSTM, STRIDED_SLICE

TFLITE_OPS: dict[str, TfliteOp] = {
    "conv_2d": CONV_2D,
    "depthwise_conv_2d": DEPTHWISE_CONV_2D,
    "fully_connected": FULLY_CONNECTED,
    "average_pool_2d": AVERAGE_POOL_2D,
    "max_pool_2d": MAX_POOL_2D,
    "mean": MEAN,
    "reshape": RESHAPE,
    "transpose": TRANSPOSE,
    "pad": PAD,
    "relu": RELU,
    "softmax": SOFTMAX,
    "tanh": TANH,
    "logistic": LOGISTIC,
    "add": ADD,
    "mul": MUL,
    "batch_matmul": BATCH_MATMUL,
    "strided_slice": STRIDED_SLICE,
    "lstm": LSTM,
}

__all__ = ["TFLITE_OPS", "FileOperator", "TfliteOp", "Written"]
