"""Reads an int8 .tflite into an integer graph: the door for models that were trained elsewhere.

What the file says is taken as it is: integers, scales, layout. Shapes and permutations that TFLite keeps in
tensors become attributes. What harembed does not compute is refused by name; nothing is approximated.
"""

import struct
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from harembed.errors import GraphError
from harembed.export.tflite import FILE_IDENTIFIER, TENSOR_TYPES
from harembed.export.tflite_ops import TFLITE_OPS, FileOperator
from harembed.ir.graph import DType, GraphBuilder, IntGraph, Kind, QParams, TensorSpec

_DTYPES = {number: dtype for dtype, number in TENSOR_TYPES.items()}
_TYPE_NAMES = {number: name for name, number in vars(schema.TensorType).items() if isinstance(number, int)}
_BUILTIN_NAMES = {n: name for name, n in vars(schema.BuiltinOperator).items() if isinstance(n, int)}
_OUR_NAMES = {codec.builtin: name for name, codec in TFLITE_OPS.items()}


def read_tflite(data: bytes) -> IntGraph:
    """Parse a model.

    Parameters
    ----------
    data : bytes    a .tflite with one subgraph, int8 activations, batch 1

    Returns
    -------
    IntGraph    checked; tensors keep their names, made unique where the file repeats one

    Raises
    ------
    GraphError    not a .tflite, damaged, or it uses something unsupported: the message names the operator
    """
    if len(data) < 8 or data[4:8] != FILE_IDENTIFIER:
        raise GraphError(f"This is not a .tflite file ({len(data)} bytes, no TFL3 mark at byte 4).")
    try:
        root = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(data, 0))
    except (struct.error, IndexError, ValueError, TypeError, MemoryError) as error:
        raise GraphError(f"The .tflite file of {len(data)} bytes is damaged: {error}.",
                         "Copy or convert it again.") from error
    if len(root.subgraphs or []) != 1:
        raise GraphError(f"The .tflite file has {len(root.subgraphs or [])} subgraphs, expected 1.",
                         "Control flow (IF, WHILE) is not supported.")
    return _Reader(root).graph()


class _Reader:
    """Walks one subgraph in the file's order of operators, which is an order of execution."""

    def __init__(self, root: Any) -> None:
        self.root = root
        self.subgraph = root.subgraphs[0]
        self.names = _unique_names(self.subgraph.tensors)

    def graph(self) -> IntGraph:
        inputs = [int(i) for i in _numbers(self.subgraph.inputs)]
        outputs = [int(i) for i in _numbers(self.subgraph.outputs)]
        name = _text(self.subgraph.name) or "model"
        builder = GraphBuilder(name)
        for i in inputs:
            self._add(builder, self._tensor(i, "the model's inputs"), Kind.INPUT)
        for position, operator in enumerate(self.subgraph.operators or []):
            op, found = self._operator(position, operator)
            node_inputs, attrs = TFLITE_OPS[op].read(found)
            used = {spec.name: spec for spec in found.inputs if spec is not None}
            for wanted in node_inputs:
                if wanted:
                    self._add(builder, used[wanted])
            for spec in found.outputs:
                self._add(builder, spec)
            builder.node(op, node_inputs, [spec.name for spec in found.outputs], attrs)
        return builder.build([self.names[i] for i in inputs], [self._name(i, "the model's outputs") for i in outputs])

    def _operator(self, position: int, operator: Any) -> tuple[str, FileOperator]:
        builtin = self._builtin(position, operator)
        where = f"operator {position} ({builtin})"
        if builtin not in _OUR_NAMES:
            raise GraphError(f"{where} is not supported.", f"Supported: {', '.join(sorted(_OUR_NAMES))}.")
        return _OUR_NAMES[builtin], FileOperator(
            where=where,
            inputs=tuple(None if i < 0 else self._tensor(int(i), where) for i in _numbers(operator.inputs)),
            outputs=tuple(self._tensor(int(i), where) for i in _numbers(operator.outputs)),
            options=operator.builtinOptions,
            intermediates=tuple(self._tensor(int(i), where, intermediate=True)
                                for i in _numbers(operator.intermediates)),
        )

    def _builtin(self, position: int, operator: Any) -> str:
        codes = self.root.operatorCodes or []
        if not 0 <= operator.opcodeIndex < len(codes):
            raise GraphError(f"operator {position} uses code {operator.opcodeIndex} of {len(codes)}: damaged file.")
        code = codes[operator.opcodeIndex]
        if code.customCode:
            return f"custom {_text(code.customCode)}"
        number = max(code.builtinCode, code.deprecatedBuiltinCode)
        return _BUILTIN_NAMES.get(number, f"builtin {number}")

    def _name(self, index: int, where: str) -> str:
        if not 0 <= index < len(self.names):
            raise GraphError(f"{where}: tensor {index} of {len(self.names)} does not exist: damaged file.")
        return self.names[index]

    def _tensor(self, index: int, where: str, intermediate: bool = False) -> TensorSpec:
        name = self._name(index, where)
        tensor = self.subgraph.tensors[index]
        if tensor.type not in _DTYPES and not intermediate:
            raise GraphError(f"{where}: tensor {name!r} is {_TYPE_NAMES.get(tensor.type, tensor.type)}, "
                             "only INT8, INT16 and INT32 are supported.",
                             "Convert the model with full int8 quantisation, inputs and outputs included.")
        # An intermediate without quantisation keeps the type's default, FLOAT32; only its scale is ever read.
        dtype = _DTYPES.get(tensor.type, DType.INT8)
        shape = tuple(int(d) for d in _numbers(tensor.shape))
        if any(d < 1 for d in shape) and not intermediate:
            raise GraphError(f"{where}: tensor {name!r} has shape {shape}.", "Convert with fixed shapes.")
        qparams = _qparams(tensor.quantization, where, name)
        content = self._content(tensor, where, name, dtype, shape)
        kind = Kind.CONSTANT if content is not None else Kind.STATE if tensor.isVariable else Kind.ACTIVATION
        return TensorSpec(name, shape, dtype, kind, qparams, content)

    def _content(self, tensor: Any, where: str, name: str, dtype: DType, shape: tuple[int, ...]) -> np.ndarray | None:
        buffers = self.root.buffers or []
        if not 0 <= tensor.buffer < len(buffers):
            raise GraphError(f"{where}: tensor {name!r} uses buffer {tensor.buffer} of {len(buffers)}: damaged file.")
        raw = buffers[tensor.buffer].data
        if raw is None or len(raw) == 0:
            return None
        array = np.frombuffer(np.asarray(raw, np.uint8).tobytes(), dtype.numpy.newbyteorder("<")) \
            if len(raw) % dtype.numpy.itemsize == 0 else np.empty(0)
        if array.size != int(np.prod(shape, dtype=np.int64)):
            raise GraphError(f"{where}: constant {name!r} holds {len(raw)} bytes, its shape {shape} of "
                             f"{dtype.value} needs {int(np.prod(shape, dtype=np.int64)) * dtype.numpy.itemsize}.")
        return array.astype(dtype.numpy).reshape(shape)

    @staticmethod
    def _add(builder: GraphBuilder, spec: TensorSpec, kind: Kind | None = None) -> None:
        if spec.name in builder.tensors:
            return
        if spec.data is not None:
            builder.constant(spec.name, spec.data, spec.qparams)
        else:
            builder.tensor(spec.name, spec.shape, spec.dtype, kind or spec.kind, spec.qparams)


def _qparams(table: Any, where: str, name: str) -> QParams | None:
    if table is None or len(_numbers(table.scale)) == 0:
        return None
    scales = tuple(float(s) for s in table.scale)
    zero_points = [int(z) for z in _numbers(table.zeroPoint)] or [0]
    if len(scales) == 1:
        return QParams(scales, zero_points[0])
    if any(zero_points):
        raise GraphError(f"{where}: tensor {name!r} has per-channel zero points other than 0.")
    return QParams(scales, 0, int(table.quantizedDimension))


def _unique_names(tensors: Any) -> list[str]:
    names: list[str] = []
    taken: set[str] = set()
    for i, tensor in enumerate(tensors or []):
        name = _text(tensor.name) or f"tensor_{i}"
        if name in taken:
            name = f"{name}#{i}"
        taken.add(name)
        names.append(name)
    return names


def _text(raw: bytes | str | None) -> str:
    return raw.decode("utf-8", "replace") if isinstance(raw, bytes) else raw or ""


def _numbers(vector: Any) -> Any:
    """A vector of the file; the generated reader gives None or 0 for an empty one."""
    return () if vector is None or isinstance(vector, int) else vector
