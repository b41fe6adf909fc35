"""conv_2d in a .tflite."""

from ai_edge_litert import schema_py_generated as schema

from harembed.export.tflite_ops.base import FileOperator, TfliteOp, Written, without_absent_tail
from harembed.ir.graph import IntGraph, Node
from harembed.ir.ops.conv import Conv2DAttrs

PADDING = {"same": schema.Padding.SAME, "valid": schema.Padding.VALID}
ACTIVATION = {
    "none": schema.ActivationFunctionType.NONE,
    "relu": schema.ActivationFunctionType.RELU,
    "relu6": schema.ActivationFunctionType.RELU6,
}


def _write_conv(graph: IntGraph, node: Node) -> Written:
    a = node.attrs
    options = schema.Conv2DOptionsT()
    options.padding = PADDING[a.padding]
    options.strideH, options.strideW = a.stride
    options.dilationHFactor, options.dilationWFactor = a.dilation
    options.fusedActivationFunction = ACTIVATION[a.activation]
    return Written(without_absent_tail(node.inputs), options)


def read_conv_attrs(op: FileOperator) -> Conv2DAttrs:
    """The options that conv_2d and depthwise_conv_2d share."""
    return Conv2DAttrs(
        stride=(op.option("strideH"), op.option("strideW")),
        dilation=(op.option("dilationHFactor"), op.option("dilationWFactor")),
        padding=op.choice("padding", PADDING),
        activation=op.choice("fusedActivationFunction", ACTIVATION),
    )


def _read_conv(op: FileOperator) -> tuple[tuple[str, ...], Conv2DAttrs]:
    return (op.name(0), op.name(1), op.name(2)), read_conv_attrs(op)


CONV_2D = TfliteOp("CONV_2D", 3, _write_conv, _read_conv)
