"""Reads an int8 .tflite into an integer graph: the door for models that were trained elsewhere.

What the file says is taken as it is: integers, scales, layout. Shapes and permutations that TFLite keeps in
tensors become attributes. What harembed does not compute is refused by name; nothing is approximated.
The graph's inputs and outputs are int8: what stands before and behind is left out (tflite_borders.py).
"""

import itertools
import math
import struct
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from harembed.errors import GraphError
from harembed.export.tflite import FILE_IDENTIFIER, TENSOR_TYPES
from harembed.export.tflite_borders import FileStep, core_of
from harembed.export.tflite_ops import FileOperator, Step, batched
from harembed.export.tflite_ops.foreign import HINTS, READABLE, steps_of
from harembed.ir.graph import DType, GraphBuilder, IntGraph, Kind, QParams, TensorSpec

_DTYPES = {number: dtype for dtype, number in TENSOR_TYPES.items()}
_TYPE_NAMES = {number: name for name, number in vars(schema.TensorType).items() if isinstance(number, int)}
_BUILTIN_NAMES = {n: name for name, n in vars(schema.BuiltinOperator).items() if isinstance(n, int)}


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
        self.taken = set(self.names)
        self.operators = [(self._builtin(i, operator), operator)
                          for i, operator in enumerate(self.subgraph.operators or [])]

    def graph(self) -> IntGraph:
        steps = [FileStep(builtin, [int(i) for i in _numbers(operator.inputs)],
                          [int(i) for i in _numbers(operator.outputs)]) for builtin, operator in self.operators]
        core = core_of(steps, [int(i) for i in _numbers(self.subgraph.inputs)],
                       [int(i) for i in _numbers(self.subgraph.outputs)], self._type, self._is_shape)
        builder = GraphBuilder(_text(self.subgraph.name) or "model")
        for i in core.inputs:
            self._add(builder, batched(self._tensor(i, "the model's inputs")), Kind.INPUT)
        for position in range(len(self.operators)):
            for step in () if position in core.left_out else self._steps(position):
                for spec in step.inputs:
                    if spec is not None:
                        self._add(builder, spec)
                self._add(builder, step.output)
                builder.node(step.op, [spec.name if spec else "" for spec in step.inputs], [step.output.name],
                             step.attrs)
        return builder.build([self.names[i] for i in core.inputs],
                             [self._name(i, "the model's outputs") for i in core.outputs])

    def _steps(self, position: int) -> list[Step]:
        builtin, operator = self.operators[position]
        where = f"operator {position} ({builtin})"
        if builtin not in READABLE:
            raise GraphError(f"{where} is not supported.", HINTS.get(builtin) or f"Supported: {', '.join(READABLE)}.")
        found = FileOperator(
            where=where,
            inputs=tuple(None if i < 0 else self._tensor(int(i), where) for i in _numbers(operator.inputs)),
            outputs=tuple(self._tensor(int(i), where) for i in _numbers(operator.outputs)),
            options=operator.builtinOptions,
            intermediates=tuple(self._tensor(int(i), where, intermediate=True)
                                for i in _numbers(operator.intermediates)),
            fresh=self._fresh,
        )
        if not found.outputs:
            raise GraphError(f"{where} has no output: damaged file.")
        return steps_of(builtin, found)

    def _fresh(self, like: str) -> str:
        name = next(n for k in itertools.count(1) if (n := f"{like}#{k}") not in self.taken)
        self.taken.add(name)
        return name

    def _type(self, index: int) -> int:
        """A tensor's type in the schema's numbers, -1 where there is no such tensor."""
        return self.subgraph.tensors[index].type if 0 <= index < len(self.names) else -1

    def _is_shape(self, index: int) -> bool:
        """Whether a tensor is int32 without a scale."""
        return self._type(index) == schema.TensorType.INT32 and not len(
            _numbers(getattr(self.subgraph.tensors[index].quantization, "scale", None)))

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
        stored = _DTYPES.get(tensor.type)
        if tensor.type == schema.TensorType.INT64 and self._has_data(tensor):
            stored = DType.INT32  # axes and sizes; no number of them is that large
        if stored is None and not intermediate:
            raise GraphError(f"{where}: tensor {name!r} is {_TYPE_NAMES.get(tensor.type, tensor.type)}, "
                             "only INT8, INT16 and INT32 are supported.",
                             "Convert the model with full int8 quantisation, inputs and outputs included.")
        # An intermediate without quantisation keeps the type's default, FLOAT32; only its scale is ever read.
        dtype = stored or DType.INT8
        shape = tuple(int(d) for d in _numbers(tensor.shape))
        if any(d < 1 for d in shape) and not intermediate:
            raise GraphError(f"{where}: tensor {name!r} has shape {shape}.", "Convert with fixed shapes.")
        qparams = _qparams(tensor.quantization, where, name)
        content = self._content(tensor, where, name, dtype, shape)
        kind = Kind.CONSTANT if content is not None else Kind.STATE if tensor.isVariable else Kind.ACTIVATION
        return TensorSpec(name, shape, dtype, kind, qparams, content)

    def _has_data(self, tensor: Any) -> bool:
        buffers = self.root.buffers or []
        return 0 <= tensor.buffer < len(buffers) and len(_numbers(buffers[tensor.buffer].data)) > 0

    def _content(self, tensor: Any, where: str, name: str, dtype: DType, shape: tuple[int, ...]) -> np.ndarray | None:
        buffers = self.root.buffers or []
        if not 0 <= tensor.buffer < len(buffers):
            raise GraphError(f"{where}: tensor {name!r} uses buffer {tensor.buffer} of {len(buffers)}: damaged file.")
        raw = _numbers(buffers[tensor.buffer].data)
        if len(raw) == 0:
            return None
        held = np.dtype("<i8") if tensor.type == schema.TensorType.INT64 else dtype.numpy.newbyteorder("<")
        array = np.frombuffer(np.asarray(raw, np.uint8).tobytes(), held) \
            if len(raw) % held.itemsize == 0 else np.empty(0)
        if array.size != math.prod(shape):
            raise GraphError(f"{where}: constant {name!r} holds {len(raw)} bytes, its shape {shape} of "
                             f"{held.name} needs {math.prod(shape) * held.itemsize}.")
        if held.itemsize == 8 and np.any(array != array.astype(np.int32)):
            raise GraphError(f"{where}: constant {name!r} holds numbers beyond 32 bits.")
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
