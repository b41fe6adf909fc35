"""Activations, add, sub, mul and batch_matmul in a .tflite: the same operands, few options."""

from typing import Any

from ai_edge_litert import schema_py_generated as schema

from harembed.errors import GraphError
from harembed.export.tflite_ops.base import FileOperator, TfliteOp, Written
from harembed.export.tflite_ops.convolution import ACTIVATION
from harembed.ir.graph import IntGraph, Node
from harembed.ir.ops.elementwise import ElementwiseAttrs
from harembed.ir.ops.leaky_relu import LeakyReluAttrs
from harembed.ir.ops.matmul import BatchMatMulAttrs
from harembed.ir.ops.softmax import SoftmaxAttrs


def _write_plain(graph: IntGraph, node: Node) -> Written:
    return Written(node.inputs)


def _read_plain(op: FileOperator) -> tuple[tuple[str, ...], None]:
    return (op.activation(0),), None


def _write_quantize(graph: IntGraph, node: Node) -> Written:
    return Written(node.inputs, schema.QuantizeOptionsT())


def _write_leaky_relu(graph: IntGraph, node: Node) -> Written:
    options = schema.LeakyReluOptionsT()
    options.alpha = node.attrs.alpha
    return Written(node.inputs, options)


def _read_leaky_relu(op: FileOperator) -> tuple[tuple[str, ...], LeakyReluAttrs]:
    return (op.activation(0),), LeakyReluAttrs(float(op.option("alpha")))


def _read_prelu(op: FileOperator) -> tuple[tuple[str, ...], None]:
    return (op.activation(0), op.name(1)), None


def _write_softmax(graph: IntGraph, node: Node) -> Written:
    options = schema.SoftmaxOptionsT()
    options.beta = node.attrs.beta
    return Written(node.inputs, options)


def _read_softmax(op: FileOperator) -> tuple[tuple[str, ...], SoftmaxAttrs]:
    return (op.activation(0),), SoftmaxAttrs(float(op.option("beta")))


def _write_elementwise(node: Node, options: Any) -> Written:
    options.fusedActivationFunction = ACTIVATION[node.attrs.activation]
    return Written(node.inputs, options)


def _write_add(graph: IntGraph, node: Node) -> Written:
    return _write_elementwise(node, schema.AddOptionsT())


def _write_sub(graph: IntGraph, node: Node) -> Written:
    return _write_elementwise(node, schema.SubOptionsT())


def _write_mul(graph: IntGraph, node: Node) -> Written:
    return _write_elementwise(node, schema.MulOptionsT())


def _operands(op: FileOperator) -> tuple[str, str]:
    """Both operands; one of them at least is computed at run time."""
    if all(spec is None or spec.data is not None for spec in op.inputs[:2]):
        raise GraphError(f"{op.where}: both inputs are constants.", "Convert the model again: it folds them.")
    return op.name(0), op.name(1)


def _read_elementwise(op: FileOperator) -> tuple[tuple[str, ...], ElementwiseAttrs]:
    return _operands(op), ElementwiseAttrs(op.choice("fusedActivationFunction", ACTIVATION))


def _write_batch_matmul(graph: IntGraph, node: Node) -> Written:
    options = schema.BatchMatMulOptionsT()
    options.adjX, options.adjY = node.attrs.adj_x, node.attrs.adj_y
    return Written(node.inputs, options)


def _read_batch_matmul(op: FileOperator) -> tuple[tuple[str, ...], BatchMatMulAttrs]:
    return _operands(op), BatchMatMulAttrs(bool(op.option("adjX")), bool(op.option("adjY")))


SOFTMAX = TfliteOp("SOFTMAX", 2, _write_softmax, _read_softmax)
TANH = TfliteOp("TANH", 2, _write_plain, _read_plain)
LOGISTIC = TfliteOp("LOGISTIC", 2, _write_plain, _read_plain)
QUANTIZE = TfliteOp("QUANTIZE", 2, _write_quantize, _read_plain)
RELU = TfliteOp("RELU", 2, _write_plain, _read_plain)
RELU6 = TfliteOp("RELU6", 2, _write_plain, _read_plain)
LEAKY_RELU = TfliteOp("LEAKY_RELU", 2, _write_leaky_relu, _read_leaky_relu)
PRELU = TfliteOp("PRELU", 1, _write_plain, _read_prelu)
HARD_SWISH = TfliteOp("HARD_SWISH", 1, _write_plain, _read_plain)
ADD = TfliteOp("ADD", 2, _write_add, _read_elementwise)
SUB = TfliteOp("SUB", 2, _write_sub, _read_elementwise)
MUL = TfliteOp("MUL", 2, _write_mul, _read_elementwise)
BATCH_MATMUL = TfliteOp("BATCH_MATMUL", 2, _write_batch_matmul, _read_batch_matmul)
