"""What a foreign .tflite may say of STRIDED_SLICE and UNIDIRECTIONAL_SEQUENCE_LSTM, and what is refused."""

from collections.abc import Callable
from typing import Any

import flatbuffers
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from harembed.errors import GraphError
from harembed.export.oracles import run_tflm
from harembed.export.tflite import FILE_IDENTIFIER, write_tflite
from harembed.export.tflite_import import read_tflite
from harembed.ir.graph import GraphBuilder, Kind, QParams
from harembed.ir.interpreter import Interpreter
from harembed.ir.ops import OPS
from harembed.ir.ops.slice import StridedSliceAttrs

# begin, end, strides, begin mask, end mask, shrink mask over a [1, 9, 7] input; the output's shape
SLICES = {
    "keras_last_step": ((0, -1, 0), (0, 0, 0), (1, 1, 1), 5, 5, 2, (1, 7)),
    "negative_indices": ((0, -5, -3), (1, -1, -1), (1, 2, 1), 0, 0, 0, (1, 2, 2)),
    "ends_beyond": ((0, 3, 0), (9, 99, 99), (1, 4, 5), 0, 0, 0, (1, 2, 2)),
    "backwards_open": ((0, 0, 6), (1, 0, 2), (1, -3, -2), 2, 2, 0, (1, 3, 2)),
    "shrink_ignores_end": ((0, 2, 1), (1, -9, 7), (1, 1, 3), 0, 0, 2, (1, 2)),
}


def edited(data: bytes, edit: Callable[[Any], None]) -> bytes:
    """A .tflite with its only operator changed."""
    root = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(data, 0))
    edit(root)
    builder = flatbuffers.Builder(1024)
    builder.Finish(root.Pack(builder), file_identifier=FILE_IDENTIFIER)
    return bytes(builder.Output())


def whole(shape: tuple[int, ...]) -> bytes:
    """A slice that takes everything of a [1, 9, 7] input, its output declared with `shape`."""
    g = GraphBuilder("slice")
    qparams = QParams((0.05,), -3)
    g.tensor("x", (1, 9, 7), kind=Kind.INPUT, qparams=qparams)
    g.tensor("y", (1, 9, 7), qparams=qparams)
    g.node("strided_slice", ["x"], ["y"], StridedSliceAttrs((0, 0, 0), (1, 9, 7), (1, 1, 1)))

    def declare(root: Any) -> None:
        root.subgraphs[0].tensors[1].shape = np.array(shape, np.int32)

    return edited(write_tflite(g.build(["x"], ["y"])), declare)


@pytest.mark.parametrize("name", SLICES)
def test_slices_of_other_tools(name: str) -> None:
    *operands, begin_mask, end_mask, shrink_mask, shape = SLICES[name]

    def edit(root: Any) -> None:
        operator = root.subgraphs[0].operators[0]
        for index, operand in zip(operator.inputs[1:], operands, strict=True):
            buffer = root.subgraphs[0].tensors[index].buffer
            root.buffers[buffer].data = np.frombuffer(np.array(operand, "<i4").tobytes(), np.uint8)
        operator.builtinOptions.beginMask = begin_mask
        operator.builtinOptions.endMask = end_mask
        operator.builtinOptions.shrinkAxisMask = shrink_mask

    data = edited(whole(shape), edit)
    x = np.random.default_rng(1).integers(-128, 128, (3, 9, 7)).astype(np.int8)
    ours = Interpreter(read_tflite(data)).run(x)[0]
    assert ours.shape == (3, *shape[1:])
    assert np.array_equal(ours, run_tflm(data, [x])[0].reshape(ours.shape))


def _options(**changes: Any) -> Callable[[Any], None]:
    def edit(root: Any) -> None:
        for key, value in changes.items():
            setattr(root.subgraphs[0].operators[0].builtinOptions, key, value)

    return edit


def _input(position: int, value: int) -> Callable[[Any], None]:
    def edit(root: Any) -> None:
        operator = root.subgraphs[0].operators[0]
        operator.inputs = np.where(np.arange(len(operator.inputs)) == position, value, operator.inputs)

    return edit


@pytest.mark.parametrize("edit, message", [
    (_input(9, 1), "peephole"), (_input(16, 1), "projection"), (_input(20, 9), "layer normalisation"),
    (_input(1, -1), "coupled gates"), (_options(timeMajor=True), "time-major"),
    (_options(fusedActivationFunction=schema.ActivationFunctionType.RELU), "activation"),
])
def test_lstm_variants_are_refused_by_name(edit: Callable[[Any], None], message: str) -> None:
    plain = write_tflite(OPS["lstm"].CASES[0].build(np.random.default_rng(0)))
    with pytest.raises(GraphError, match=message):
        read_tflite(edited(plain, edit))


@pytest.mark.parametrize("option", ["ellipsisMask", "newAxisMask", "offset"])
def test_slice_options_that_tflm_ignores_are_refused(option: str) -> None:
    with pytest.raises(GraphError, match=option):
        read_tflite(edited(whole((1, 9, 7)), _options(**{option: 1})))
