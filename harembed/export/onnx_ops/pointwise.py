"""Activations, add, sub, mul and batch_matmul in ONNX: dequantise, compute in float, quantise."""

import numpy as np

from harembed.export.onnx_ops.writer import OnnxWriter
from harembed.ir.graph import Node


def write_quantize(w: OnnxWriter, node: Node) -> None:
    w.quantise(w.real(node.inputs[0]), node.outputs[0])


def write_relu(w: OnnxWriter, node: Node) -> None:
    w.quantise(w.activation(w.real(node.inputs[0]), "relu"), node.outputs[0])


def write_relu6(w: OnnxWriter, node: Node) -> None:
    w.quantise(w.activation(w.real(node.inputs[0]), "relu6"), node.outputs[0], like=w.input(node, 0))


def write_leaky_relu(w: OnnxWriter, node: Node) -> None:
    w.quantise(w.op("LeakyRelu", w.real(node.inputs[0]), alpha=float(node.attrs.alpha)), node.outputs[0])


def write_prelu(w: OnnxWriter, node: Node) -> None:
    w.quantise(w.op("PRelu", w.real(node.inputs[0]), w.real(node.inputs[1])), node.outputs[0])


def write_hard_swish(w: OnnxWriter, node: Node) -> None:
    w.quantise(w.op("HardSwish", w.real(node.inputs[0])), node.outputs[0])


def write_softmax(w: OnnxWriter, node: Node) -> None:
    x = w.real(node.inputs[0])
    if node.attrs.beta != 1.0:
        x = w.op("Mul", x, w.constant(np.float32(node.attrs.beta), "beta"))
    w.quantise(w.op("Softmax", x, axis=-1), node.outputs[0])


def write_tanh(w: OnnxWriter, node: Node) -> None:
    w.quantise(w.op("Tanh", w.real(node.inputs[0])), node.outputs[0])


def write_logistic(w: OnnxWriter, node: Node) -> None:
    w.quantise(w.op("Sigmoid", w.real(node.inputs[0])), node.outputs[0])


def _write_elementwise(w: OnnxWriter, node: Node, op_type: str) -> None:
    y = w.op(op_type, w.real(node.inputs[0]), w.real(node.inputs[1]))
    w.quantise(w.activation(y, node.attrs.activation), node.outputs[0])


def write_add(w: OnnxWriter, node: Node) -> None:
    _write_elementwise(w, node, "Add")


def write_sub(w: OnnxWriter, node: Node) -> None:
    _write_elementwise(w, node, "Sub")


def write_mul(w: OnnxWriter, node: Node) -> None:
    _write_elementwise(w, node, "Mul")


def _matrix(w: OnnxWriter, tensor: str, transposed: bool) -> str:
    rank = len(w.graph[tensor].shape)
    swapped = (*range(rank - 2), rank - 1, rank - 2)
    return w.op("Transpose", w.real(tensor), perm=swapped) if transposed else w.real(tensor)


def write_batch_matmul(w: OnnxWriter, node: Node) -> None:
    lhs, rhs = node.inputs
    y = w.op("MatMul", _matrix(w, lhs, node.attrs.adj_x), _matrix(w, rhs, node.attrs.adj_y))
    w.quantise(w.rounded_twice(y, node), node.outputs[0])
