"""Writes .tflite files that our own exporter would not write: any operators, options and shapes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

from harembed.export.tflite import FILE_IDENTIFIER

QUANTISED = (0.05, -3)


@dataclass(frozen=True, eq=False)
class T:
    """A tensor: of `shape`, int8 with one scale and zero point unless said otherwise; a constant if it has data."""

    shape: tuple[int, ...] = ()
    qparams: tuple[float, int] | None = QUANTISED
    type: str = "INT8"
    data: np.ndarray | None = None


def shape_data(*numbers: int, wide: bool = False) -> T:
    """A constant vector of int32, or int64."""
    data = np.array(numbers, np.int64 if wide else np.int32)
    return T(data.shape, None, "INT64" if wide else "INT32", data)


@dataclass(frozen=True)
class O:  # noqa: E742
    """An operator; options are fields of its table in the schema."""

    builtin: str
    inputs: Sequence[str]
    outputs: Sequence[str]
    options: dict[str, Any] | None = None


# The options table of each builtin that a test gives options, or whose kernel wants one.
TABLES = {
    "CONCATENATION": "ConcatenationOptions", "PACK": "PackOptions", "UNPACK": "UnpackOptions",
    "SPLIT": "SplitOptions", "SPLIT_V": "SplitVOptions", "SLICE": "SliceOptions", "SQUEEZE": "SqueezeOptions",
    "STRIDED_SLICE": "StridedSliceOptions", "EXPAND_DIMS": "ExpandDimsOptions", "RESHAPE": "ReshapeOptions",
    "TRANSPOSE": "TransposeOptions", "SHAPE": "ShapeOptions", "PAD": "PadOptions", "MEAN": "ReducerOptions",
    "REDUCE_MAX": "ReducerOptions", "REVERSE_V2": "ReverseV2Options", "ADD": "AddOptions", "SUB": "SubOptions",
    "FULLY_CONNECTED": "FullyConnectedOptions",
    "SOFTMAX": "SoftmaxOptions", "QUANTIZE": "QuantizeOptions", "DEQUANTIZE": "DequantizeOptions",
}
FIRST_VERSIONS = ("SQUEEZE", "EXPAND_DIMS", "RESHAPE", "SHAPE", "REVERSE_V2")  # there is no second one in LiteRT


def tflite(tensors: dict[str, T], operators: Sequence[O], inputs: Sequence[str], outputs: Sequence[str]) -> bytes:
    """A model with one subgraph."""
    index = {name: i for i, name in enumerate(tensors)}
    codes = sorted({o.builtin for o in operators})
    root, subgraph = schema.ModelT(), schema.SubGraphT()
    root.version, root.subgraphs, root.buffers = 3, [subgraph], [schema.BufferT()]
    root.operatorCodes = [_code(builtin) for builtin in codes]
    subgraph.tensors = [_tensor(root, name, t) for name, t in tensors.items()]
    subgraph.inputs, subgraph.outputs = ([index[n] for n in names] for names in (inputs, outputs))
    subgraph.operators = [_operator(o, codes, index) for o in operators]
    builder = flatbuffers.Builder(4096)
    builder.Finish(root.Pack(builder), file_identifier=FILE_IDENTIFIER)
    return bytes(builder.Output())


def _code(builtin: str) -> Any:
    code = schema.OperatorCodeT()
    code.builtinCode = getattr(schema.BuiltinOperator, builtin)
    code.deprecatedBuiltinCode = min(code.builtinCode, schema.BuiltinOperator.PLACEHOLDER_FOR_GREATER_OP_CODES)
    code.version = 1 if builtin in FIRST_VERSIONS else 2
    return code


def _tensor(root: Any, name: str, t: T) -> Any:
    tensor = schema.TensorT()
    tensor.name, tensor.type = name, getattr(schema.TensorType, t.type)
    tensor.shape = np.array(t.shape, np.int32)
    if t.data is not None:
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(np.ascontiguousarray(t.data).tobytes(), np.uint8)
        root.buffers.append(buffer)
        tensor.buffer = len(root.buffers) - 1
    if t.qparams is not None:
        tensor.quantization = schema.QuantizationParametersT()
        tensor.quantization.scale = np.array(t.qparams[:1], np.float32)
        tensor.quantization.zeroPoint = np.array(t.qparams[1:], np.int64)
    return tensor


def _operator(o: O, codes: list[str], index: dict[str, int]) -> Any:
    operator = schema.OperatorT()
    operator.opcodeIndex = codes.index(o.builtin)
    operator.inputs = np.array([index[n] if n else -1 for n in o.inputs], np.int32)
    operator.outputs = np.array([index[n] for n in o.outputs], np.int32)
    if o.builtin in TABLES:
        options = getattr(schema, f"{TABLES[o.builtin]}T")()
        for field, value in (o.options or {}).items():
            assert hasattr(options, field), (o.builtin, field)
            setattr(options, field, value)
        operator.builtinOptions = options
        operator.builtinOptionsType = getattr(schema.BuiltinOptions, TABLES[o.builtin])
    return operator
