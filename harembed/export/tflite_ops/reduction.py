"""Pooling, mean and sum in a .tflite."""

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from harembed.errors import GraphError
from harembed.export.tflite_ops.base import FileOperator, TfliteOp, Written
from harembed.export.tflite_ops.convolution import ACTIVATION, PADDING
from harembed.ir.graph import IntGraph, Node
from harembed.ir.ops.mean import MeanAttrs
from harembed.ir.ops.pool import Pool2DAttrs

LARGEST_WINDOW = 65536  # of a pool: its sum of int8 stays far from the ends of int32


def _write_pool(graph: IntGraph, node: Node) -> Written:
    a = node.attrs
    options = schema.Pool2DOptionsT()
    options.padding = PADDING[a.padding]
    options.filterHeight, options.filterWidth = a.window
    options.strideH, options.strideW = a.stride
    options.fusedActivationFunction = ACTIVATION[a.activation]
    return Written(node.inputs, options)


def _read_pool(op: FileOperator) -> tuple[tuple[str, ...], Pool2DAttrs]:
    window = op.steps("filterHeight", "filterWidth")
    if window[0] * window[1] > LARGEST_WINDOW:
        raise GraphError(f"{op.where}: a window of {window[0]}x{window[1]} is more than {LARGEST_WINDOW:,} elements.")
    op.int8_output()
    return (op.activation(0),), Pool2DAttrs(
        window=window,
        stride=op.steps("strideH", "strideW"),
        padding=op.choice("padding", PADDING),
        activation=op.choice("fusedActivationFunction", ACTIVATION),
    )


def _write_reduction(graph: IntGraph, node: Node) -> Written:
    options = schema.ReducerOptionsT()
    options.keepDims = node.attrs.keep_dims
    return Written((*node.inputs, np.array(node.attrs.axes, np.int32)), options)


def _read_reduction(op: FileOperator) -> tuple[tuple[str, ...], MeanAttrs]:
    rank = 0 if op.inputs[0] is None else len(op.inputs[0].shape)
    axes = {int(a) + (rank if a < 0 else 0) for a in op.constant(1).ravel()}
    op.int8_output()
    return (op.activation(0),), MeanAttrs(tuple(sorted(axes)), bool(op.option("keepDims")))


AVERAGE_POOL_2D = TfliteOp("AVERAGE_POOL_2D", 2, _write_pool, _read_pool)
MAX_POOL_2D = TfliteOp("MAX_POOL_2D", 2, _write_pool, _read_pool)
MEAN = TfliteOp("MEAN", 2, _write_reduction, _read_reduction)
SUM = TfliteOp("SUM", 2, _write_reduction, _read_reduction)
