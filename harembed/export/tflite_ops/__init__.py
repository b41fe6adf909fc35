"""All operators of the .tflite format that the integer graph has, by the graph's name."""

from harembed.export.tflite_ops.base import FileOperator, TfliteOp, Written
from harembed.export.tflite_ops.convolution import CONV_2D

TFLITE_OPS: dict[str, TfliteOp] = {
    "conv_2d": CONV_2D,
}

__all__ = ["TFLITE_OPS", "FileOperator", "TfliteOp", "Written"]
