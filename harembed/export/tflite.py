"""Writes an integer graph as a .tflite file: the same integers, nothing recomputed.

The bytes depend on the graph alone, so equal graphs give equal files. A node of the graph becomes one operator;
what the format wants beside the graph's tensors (shapes, permutations) becomes int32 constants.
"""

from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

from harembed.errors import GraphError
from harembed.export.tflite_ops import TFLITE_OPS
from harembed.ir.expand import expanded
from harembed.ir.graph import DType, IntGraph, Kind, Node, QParams, TensorSpec

SCHEMA_VERSION = 3
FILE_IDENTIFIER = b"TFL3"
TENSOR_TYPES = {
    DType.INT8: schema.TensorType.INT8,
    DType.INT16: schema.TensorType.INT16,
    DType.INT32: schema.TensorType.INT32,
}
# Operator codes above this one live in a wider field; the old field then holds this placeholder.
_PLACEHOLDER_CODE = schema.BuiltinOperator.PLACEHOLDER_FOR_GREATER_OP_CODES


class _AlignedBuilder(flatbuffers.Builder):
    """Aligns vectors of bytes to 16, as the schema's force_align asks; the Python generator leaves that out.

    A microcontroller reads the weights in place, so int32 biases must not lie at odd addresses.
    """

    def StartVector(self, elemSize: int, numElems: int, alignment: int) -> Any:
        return super().StartVector(elemSize, numElems, 16 if elemSize == 1 else alignment)


def write_tflite(graph: IntGraph) -> bytes:
    """Serialise a graph.

    Parameters
    ----------
    graph : IntGraph    checked; an operator of ours is written as those of TFLite that it stands for

    Returns
    -------
    bytes    a flatbuffer with the identifier TFL3

    Raises
    ------
    GraphError    names the node whose operator or dtype the format does not have
    """
    graph = expanded(graph)
    model = _Model()
    for spec in graph.tensors.values():
        model.tensor(spec)
    operators = [model.operator(graph, node) for node in graph.nodes]

    subgraph = schema.SubGraphT()
    subgraph.name = graph.name
    subgraph.tensors = model.tensors
    subgraph.inputs = _int32(model.index[name] for name in graph.inputs)
    subgraph.outputs = _int32(model.index[name] for name in graph.outputs)
    subgraph.operators = operators

    root = schema.ModelT()
    root.version = SCHEMA_VERSION
    root.description = "harembed"
    root.operatorCodes = model.codes
    root.subgraphs = [subgraph]
    root.buffers = model.buffers

    builder = _AlignedBuilder(4096)
    builder.Finish(root.Pack(builder), file_identifier=FILE_IDENTIFIER)
    return bytes(builder.Output())


class _Model:
    """Collects tensors, buffers and operator codes in the order in which they are met."""

    def __init__(self) -> None:
        self.tensors: list[Any] = []
        self.buffers: list[Any] = [schema.BufferT()]  # buffer 0 is empty by convention
        self.codes: list[Any] = []
        self.index: dict[str, int] = {"": -1}
        self._code_index: dict[str, int] = {}

    def tensor(self, spec: TensorSpec) -> int:
        if spec.dtype not in TENSOR_TYPES:
            raise GraphError(f"Tensor {spec.name!r} is {spec.dtype.value}, which a .tflite cannot hold.",
                             "Expand the operator that uses it into TFLite's builtins first.")
        tensor = schema.TensorT()
        tensor.name = spec.name
        tensor.shape = _int32(spec.shape)
        tensor.type = TENSOR_TYPES[spec.dtype]
        tensor.buffer = 0 if spec.data is None else self._buffer(spec.data)
        tensor.isVariable = spec.kind is Kind.STATE
        tensor.quantization = None if spec.qparams is None else _quantization(spec.qparams)
        self.tensors.append(tensor)
        self.index[spec.name] = len(self.tensors) - 1
        return self.index[spec.name]

    def operator(self, graph: IntGraph, node: Node) -> Any:
        if node.op not in TFLITE_OPS:
            raise GraphError(f"Node {node.name!r}: TFLite has no operator for {node.op!r}.",
                             "Expand it into TFLite's builtins, or export C.")
        codec = TFLITE_OPS[node.op]
        written = codec.write(graph, node)
        operator = schema.OperatorT()
        operator.opcodeIndex = self._code(codec.builtin, codec.version)
        operator.inputs = _int32(self._input(node, i, value) for i, value in enumerate(written.inputs))
        operator.outputs = _int32(self.index[name] for name in node.outputs)
        if written.intermediates:
            operator.intermediates = _int32(self.tensor(spec) for spec in written.intermediates)
        if written.options is not None:
            operator.builtinOptions = written.options
            table = type(written.options).__name__.removesuffix("T")
            operator.builtinOptionsType = getattr(schema.BuiltinOptions, table)
        return operator

    def _input(self, node: Node, position: int, value: str | np.ndarray | TensorSpec) -> int:
        if isinstance(value, str):
            return self.index[value]
        if isinstance(value, TensorSpec):
            return self.tensor(value)
        data = np.ascontiguousarray(value, np.int32)
        name = f"{node.name}/operand_{position}"
        return self.tensor(TensorSpec(name, data.shape, DType.INT32, Kind.CONSTANT, None, data))

    def _buffer(self, data: np.ndarray) -> int:
        buffer = schema.BufferT()
        little_endian = np.ascontiguousarray(data, data.dtype.newbyteorder("<"))
        buffer.data = np.frombuffer(little_endian.tobytes(), np.uint8)
        self.buffers.append(buffer)
        return len(self.buffers) - 1

    def _code(self, builtin: str, version: int) -> int:
        if builtin not in self._code_index:
            number = getattr(schema.BuiltinOperator, builtin)
            code = schema.OperatorCodeT()
            code.builtinCode = number
            code.deprecatedBuiltinCode = min(number, _PLACEHOLDER_CODE)
            code.version = version
            self.codes.append(code)
            self._code_index[builtin] = len(self.codes) - 1
        return self._code_index[builtin]


def _quantization(qparams: QParams) -> Any:
    table = schema.QuantizationParametersT()
    table.scale = np.array(qparams.scale, np.float32)
    table.zeroPoint = np.full(len(qparams.scale), qparams.zero_point, np.int64)
    table.quantizedDimension = qparams.axis or 0
    return table


def _int32(values: Any) -> np.ndarray:
    return np.fromiter(values, np.int32)
