"""conv_2d, depthwise_conv_2d and fully_connected in a .tflite."""

from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from harembed.errors import GraphError
from harembed.export.tflite_ops.base import FileOperator, TfliteOp, Written, without_absent_tail
from harembed.ir.graph import DType, IntGraph, Node
from harembed.ir.ops.conv import Conv2DAttrs
from harembed.ir.ops.dense import FullyConnectedAttrs

PADDING = {"same": schema.Padding.SAME, "valid": schema.Padding.VALID}
ACTIVATION = {
    "none": schema.ActivationFunctionType.NONE,
    "relu": schema.ActivationFunctionType.RELU,
    "relu6": schema.ActivationFunctionType.RELU6,
    "relu_n1_to_1": schema.ActivationFunctionType.RELU_N1_TO_1,
}


def _sliding(options: Any, attrs: Conv2DAttrs) -> Any:
    """Fill in the options that both convolutions share."""
    options.padding = PADDING[attrs.padding]
    options.strideH, options.strideW = attrs.stride
    options.dilationHFactor, options.dilationWFactor = attrs.dilation
    options.fusedActivationFunction = ACTIVATION[attrs.activation]
    return options


def _write_conv(graph: IntGraph, node: Node) -> Written:
    return Written(_with_bias(graph, node), _sliding(schema.Conv2DOptionsT(), node.attrs))


def _write_depthwise(graph: IntGraph, node: Node) -> Written:
    options = _sliding(schema.DepthwiseConv2DOptionsT(), node.attrs)
    options.depthMultiplier = graph[node.inputs[1]].shape[3] // graph[node.inputs[0]].shape[3]
    return Written(_with_bias(graph, node), options)


def _with_bias(graph: IntGraph, node: Node) -> tuple[str | np.ndarray, ...]:
    """Inputs of a convolution, a bias of zeros where there is none: LiteRT refuses a convolution without."""
    x, w, bias = node.inputs
    return x, w, bias or np.zeros(graph[node.outputs[0]].shape[-1], np.int32)


def _read_conv(op: FileOperator) -> tuple[tuple[str, ...], Conv2DAttrs]:
    return _read_sliding(op, 0)


def _read_depthwise(op: FileOperator) -> tuple[tuple[str, ...], Conv2DAttrs]:
    names, attrs = _read_sliding(op, 3)
    x, channels = op.inputs[0], op.constant(1).shape[3]
    if x is None or op.option("depthMultiplier") * x.shape[-1] != channels:
        raise GraphError(f"{op.where}: a depth multiplier of {op.option('depthMultiplier')} does not lead from "
                         f"{x.shape[-1] if x else 0} channels to {channels}: damaged file.")
    return names, attrs


def _read_sliding(op: FileOperator, channel_axis: int) -> tuple[tuple[str, ...], Conv2DAttrs]:
    attrs = Conv2DAttrs(
        stride=op.steps("strideH", "strideW"), dilation=op.steps("dilationHFactor", "dilationWFactor"),
        padding=op.choice("padding", PADDING), activation=op.choice("fusedActivationFunction", ACTIVATION),
    )
    return _weighted(op, channel_axis, 4), attrs


def _weighted(op: FileOperator, channel_axis: int, rank: int) -> tuple[str, str, str]:
    """Names of activation, weights and bias, once they are known to be what the kernels take."""
    names = op.activation(0), op.parameter(1, axis=channel_axis), op.parameter(2, DType.INT32)
    shape = op.constant(1).shape
    if len(shape) != rank:
        raise GraphError(f"{op.where}: the weights have shape {shape}, expected rank {rank}.")
    op.fits_int32(1, 2, channel_axis)
    op.int8_output()
    return names


def _write_dense(graph: IntGraph, node: Node) -> Written:
    options = schema.FullyConnectedOptionsT()
    options.fusedActivationFunction = ACTIVATION[node.attrs.activation]
    options.keepNumDims = node.attrs.keep_num_dims
    return Written(without_absent_tail(node.inputs), options)


def _read_dense(op: FileOperator) -> tuple[tuple[str, ...], FullyConnectedAttrs]:
    if op.option("weightsFormat") != schema.FullyConnectedOptionsWeightsFormat.DEFAULT:
        raise GraphError(f"{op.where}: shuffled weights are not supported.")
    # TFLM looks at the declared output alone, and converters leave keepNumDims unset when nothing changes.
    x, y = op.inputs[0], op.outputs[0]
    keeps = bool(op.option("keepNumDims")) or (x is not None and len(x.shape) > 2 and y.shape[:-1] == x.shape[:-1])
    attrs = FullyConnectedAttrs(op.choice("fusedActivationFunction", ACTIVATION), keeps)
    return _weighted(op, 0, 2), attrs


CONV_2D = TfliteOp("CONV_2D", 3, _write_conv, _read_conv)
DEPTHWISE_CONV_2D = TfliteOp("DEPTHWISE_CONV_2D", 3, _write_depthwise, _read_depthwise)
FULLY_CONNECTED = TfliteOp("FULLY_CONNECTED", 4, _write_dense, _read_dense)
