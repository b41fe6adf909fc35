"""The tables of a .tflite file as plain values: the only code that follows the offsets of a foreign file.

A flatbuffer is a web of offsets, and nothing keeps a damaged or hostile one from pointing outside the file, or
from pointing to the same bytes a million times. So each table is read once, whatever leaves the file is an
error, and what the file claims to hold is counted against its length: memory and time stay in proportion to it.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from harembed.errors import GraphError
from harembed.export.tflite import FILE_IDENTIFIER, SCHEMA_VERSION

# What the flatbuffers runtime and NumPy raise when an offset, a length or a type makes no sense.
_DAMAGE = (struct.error, ArithmeticError, AssertionError, AttributeError, LookupError, MemoryError, TypeError,
           ValueError)
# Writers store everything once; some share strings.
_READS_PER_BYTE = 2
_LEAST_TABLE_BYTES = 8  # its offset in a vector, and the offset of its own layout


@dataclass(frozen=True, eq=False)
class FileQuantization:
    scale: np.ndarray  # float32
    zero_point: np.ndarray  # int64
    dimension: int
    blockwise: bool  # or another scheme that is not affine per tensor or per channel


@dataclass(frozen=True, eq=False)
class FileTensor:
    name: str
    shape: tuple[int, ...]
    type: int  # of schema.TensorType
    buffer: int
    is_variable: bool
    sparse: bool
    quantization: FileQuantization | None


@dataclass(frozen=True, eq=False)
class FileNode:
    code: int  # index into TfliteFile.builtins
    inputs: tuple[int, ...]  # tensors; -1: absent
    outputs: tuple[int, ...]
    intermediates: tuple[int, ...]
    options: Any  # an object of the schema (Conv2DOptionsT …), or None


@dataclass(frozen=True, eq=False)
class TfliteFile:
    """One subgraph, with nothing of it checked but that it lies inside the file."""

    name: str
    builtins: tuple[tuple[int, str], ...]  # (number in schema.BuiltinOperator, name if it is a custom operator)
    tensors: tuple[FileTensor, ...]
    buffers: tuple[np.ndarray, ...]  # uint8; empty where there is none
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    nodes: tuple[FileNode, ...]


class Budget:
    """Counts what is read; ends with an error when it is more than the file can hold."""

    def __init__(self, nbytes: int) -> None:
        self._left = _READS_PER_BYTE * nbytes + 4096

    def spend(self, count: int) -> int:
        """Take `count` elements or bytes off; returns the count.

        Raises
        ------
        GraphError    the file lists more than it can hold
        """
        self._left -= count
        if self._left < 0:
            raise GraphError("The .tflite file is damaged: its tables list more than its bytes can hold.",
                             "Copy or convert it again.")
        return count


def parse_tflite(data: bytes, budget: Budget) -> TfliteFile:
    """Read the tables.

    Raises
    ------
    GraphError    not a .tflite, of another version, damaged, or not one plain subgraph
    """
    if len(data) < 8 or data[4:8] != FILE_IDENTIFIER:
        raise GraphError(f"This is not a .tflite file ({len(data)} bytes, no TFL3 mark at byte 4).")
    try:
        return _file(schema.Model.GetRootAsModel(data, 0), budget)
    except _DAMAGE as error:
        raise GraphError(f"The .tflite file of {len(data)} bytes is damaged: {error}.",
                         "Copy or convert it again.") from error


def _file(model: Any, budget: Budget) -> TfliteFile:
    if model.Version() != SCHEMA_VERSION:
        raise GraphError(f"The .tflite file has schema version {model.Version()}, expected {SCHEMA_VERSION}.")
    if model.SubgraphsLength() != 1:
        raise GraphError(f"The .tflite file has {model.SubgraphsLength()} subgraphs, expected 1.",
                         "Control flow (IF, WHILE) is not supported.")
    graph = model.Subgraphs(0)
    return TfliteFile(
        name=_text(graph.Name(), budget),
        builtins=_each(model.OperatorCodesLength(), model.OperatorCodes, _builtin, budget),
        tensors=_each(graph.TensorsLength(), graph.Tensors, _tensor, budget),
        buffers=_each(model.BuffersLength(), model.Buffers, _buffer, budget),
        inputs=_integers(graph.InputsAsNumpy(), budget),
        outputs=_integers(graph.OutputsAsNumpy(), budget),
        nodes=_each(graph.OperatorsLength(), graph.Operators, _node, budget),
    )


def _each(count: int, get: Callable[[int], Any], read: Callable[[Any, Budget], Any],
          budget: Budget) -> tuple[Any, ...]:
    """A vector of tables."""
    budget.spend(_LEAST_TABLE_BYTES * count)
    return tuple(read(get(i), budget) for i in range(count))


def _builtin(code: Any, budget: Budget) -> tuple[int, str]:
    return max(code.BuiltinCode(), code.DeprecatedBuiltinCode()), _text(code.CustomCode(), budget)


def _tensor(tensor: Any, budget: Budget) -> FileTensor:
    return FileTensor(
        name=_text(tensor.Name(), budget), shape=_integers(tensor.ShapeAsNumpy(), budget), type=tensor.Type(),
        buffer=tensor.Buffer(), is_variable=tensor.IsVariable(), sparse=tensor.Sparsity() is not None,
        quantization=_quantization(tensor.Quantization(), budget),
    )


def _quantization(table: Any, budget: Budget) -> FileQuantization | None:
    if table is None:
        return None
    scale = _vector(table.ScaleAsNumpy(), budget)
    if not len(scale):
        return None
    return FileQuantization(scale, _vector(table.ZeroPointAsNumpy(), budget), table.QuantizedDimension(),
                            table.DetailsType() != 0)


def _buffer(buffer: Any, budget: Budget) -> np.ndarray:
    # Buffers of files beyond 2 GB lie behind the flatbuffer; 0 and 1 both mean that this one does not.
    if buffer.Offset() > 1:
        raise GraphError("The .tflite file keeps its constants outside the flatbuffer, which is not supported.",
                         "Convert it without external buffers.")
    return _vector(buffer.DataAsNumpy(), budget)


def _node(operator: Any, budget: Budget) -> FileNode:
    return FileNode(
        code=operator.OpcodeIndex(), inputs=_integers(operator.InputsAsNumpy(), budget),
        outputs=_integers(operator.OutputsAsNumpy(), budget),
        intermediates=_integers(operator.IntermediatesAsNumpy(), budget),
        options=schema.BuiltinOptionsCreator(operator.BuiltinOptionsType(), operator.BuiltinOptions()),
    )


def _vector(vector: Any, budget: Budget) -> np.ndarray:
    """A view into the file; the generated reader gives 0 for an absent vector."""
    if not isinstance(vector, np.ndarray):
        return np.empty(0, np.uint8)
    budget.spend(vector.nbytes)
    return vector


def _integers(vector: Any, budget: Budget) -> tuple[int, ...]:
    return tuple(_vector(vector, budget).tolist())


def _text(raw: bytes | None, budget: Budget) -> str:
    budget.spend(len(raw or b""))
    return (raw or b"").decode("utf-8", "replace")
