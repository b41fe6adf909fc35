"""Runs a .tflite by its graph's int8 inputs and outputs, where the file itself takes and yields other types.

The conversions at a file's borders, which its graph leaves out (tflite_borders.py), are undone: inputs are given such
that they become the wanted integers inside, outputs are turned back into the integers that they were made of.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from harembed.errors import GraphError
from harembed.export.tflite_file import Budget, FileTensor, TfliteFile, parse_tflite
from harembed.ir.graph import IntGraph, TensorSpec

RESCALES = "converts by another scale than its graph"
_OTHER_TYPES: dict[int, Any] = {schema.TensorType.UINT8: np.uint8, schema.TensorType.INT16: np.int16}

Run = Callable[[bytes, Sequence[np.ndarray]], list[np.ndarray]]


def run_inside(tflite: bytes, graph: IntGraph, inputs: Sequence[np.ndarray], run: Run) -> list[np.ndarray]:
    """Run a file in somebody's interpreter.

    Parameters
    ----------
    tflite : bytes
    graph : what was read from it
    inputs : one array [N, ...] per input of the graph, of its dtype
    run : such as oracles.run_tflm; it takes and yields arrays of the file's types

    Returns
    -------
    list of arrays [N, ...], one per output of the graph, of its dtype

    Raises
    ------
    GraphError    says RESCALES if a border does more than to convert, so that not every integer can come in or out
    """
    file = parse_tflite(tflite, Budget(len(tflite)))
    outside = [_outside(array, graph[name], tensor)
               for array, name, tensor in zip(inputs, graph.inputs, _tensors(file, file.inputs), strict=True)]
    return [_inside(array, graph[name], tensor) for array, name, tensor in
            zip(run(tflite, outside), graph.outputs, _tensors(file, file.outputs), strict=True)]


def _tensors(file: TfliteFile, indices: tuple[int, ...]) -> list[FileTensor]:
    return [file.tensors[i] for i in indices]


def _outside(q: np.ndarray, spec: TensorSpec, tensor: FileTensor) -> np.ndarray:
    """What QUANTIZE turns into q."""
    if tensor.type == schema.TensorType.FLOAT32:
        return (q.astype(np.float32) - np.float32(spec.zero_point)) * np.float32(spec.scale)
    if tensor.type not in _OTHER_TYPES:
        return q
    return (q.astype(np.int64) + _distance(spec, tensor)).astype(_OTHER_TYPES[tensor.type])


def _inside(outside: np.ndarray, spec: TensorSpec, tensor: FileTensor) -> np.ndarray:
    """What DEQUANTIZE or QUANTIZE has made `outside` of."""
    if tensor.type == schema.TensorType.FLOAT32:
        return (np.rint(outside / np.float64(spec.scale)) + spec.zero_point).astype(spec.dtype.numpy)
    if tensor.type not in _OTHER_TYPES:
        return outside
    return (outside.astype(np.int64) - _distance(spec, tensor)).astype(spec.dtype.numpy)


def _distance(spec: TensorSpec, tensor: FileTensor) -> int:
    """From an integer inside to the one outside that means the same."""
    if spec.dtype.numpy == _OTHER_TYPES[tensor.type]:
        return 0
    table = tensor.quantization
    limits = np.iinfo(_OTHER_TYPES[tensor.type])
    if table is not None and len(table.scale) == len(table.zero_point) == 1 and float(table.scale[0]) == spec.scale:
        distance = int(table.zero_point[0]) - spec.zero_point
        if limits.min <= distance - 128 and distance + 127 <= limits.max:
            return distance
    raise GraphError(f"The file's tensor {tensor.name!r} {RESCALES}, which cannot be undone.")
