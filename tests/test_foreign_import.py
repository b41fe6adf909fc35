"""Models as other converters write them: what is read computes what TFLM makes of the file itself."""

import shutil
from collections.abc import Sequence

import numpy as np
import pytest
from foreign_file import O, T, shape_data, tflite
from host_model import HostModel

from harembed.errors import GraphError
from harembed.export.oracles import run_litert, run_tflm
from harembed.export.tflite import write_tflite
from harembed.export.tflite_import import read_tflite
from harembed.export.tflite_outside import RESCALES, run_inside
from harembed.ir.graph import DType
from harembed.ir.interpreter import Interpreter

COARSE = (0.08, 11)
Model = tuple[dict[str, T], Sequence[O], Sequence[str], Sequence[str]]


def one(builtin: str, x: T, y: T, options: dict | None = None, *constants: T, front: tuple[T, ...] = ()) -> Model:
    """A model of one operator; `front` are constants that stand before the input."""
    names = [f"before{i}" for i in range(len(front))] + ["x"] + [f"constant{i}" for i in range(len(constants))]
    tensors = dict(zip(names, (*front, x, *constants), strict=True)) | {"y": y}
    return tensors, [O(builtin, names, ["y"], options)], ["x"], ["y"]


def parts(builtin: str, x: T, shapes: Sequence[tuple[int, ...]], options: dict | None = None, front: Sequence[T] = (),
          behind: Sequence[T] = ()) -> Model:
    """A model of one operator with several outputs."""
    constants = {f"before{i}": t for i, t in enumerate(front)}
    after = {f"behind{i}": t for i, t in enumerate(behind)}
    outputs = {f"y{i}": T(shape, x.qparams) for i, shape in enumerate(shapes)}
    operator = O(builtin, [*constants, "x", *after], list(outputs), options)
    return {**constants, "x": x, **after, **outputs}, [operator], ["x"], list(outputs)


def packed(shapes: Sequence[tuple[int, ...]], axis: int, output: tuple[int, ...], builtin: str = "PACK") -> Model:
    inputs = {f"x{i}": T(shape) for i, shape in enumerate(shapes)}
    options = {"axis": axis, "valuesCount": len(shapes)} if builtin == "PACK" else {"axis": axis}
    return {**inputs, "y": T(output)}, [O(builtin, list(inputs), ["y"], options)], list(inputs), ["y"]


def dense(x: tuple[int, ...], weights: tuple[int, int], y: tuple[int, ...], keep: bool = False) -> Model:
    rng = np.random.default_rng(3)
    w = T(weights, (0.01, 0), data=rng.integers(-127, 128, weights).astype(np.int8))
    bias = T((weights[0],), (0.0005, 0), "INT32", rng.integers(-900, 900, weights[0]).astype(np.int32))
    tensors = {"x": T(x), "w": w, "b": bias, "y": T(y, COARSE)}
    return tensors, [O("FULLY_CONNECTED", ["x", "w", "b"], ["y"], {"keepNumDims": keep})], ["x"], ["y"]


def unrolled_recurrence() -> Model:
    """Time in front, one step after the other, all states packed: how Keras unrolls."""
    rng = np.random.default_rng(5)
    steps, units, unit = 4, 3, (2**-7, 0)
    tensors = {
        "x": T((1, steps, 2)), "h0": T((1, units), unit), "swap": shape_data(1, 0, 2), "front": T((steps, 1, 2)),
        "w": T((units, 2), (0.01, 0), data=rng.integers(-127, 128, (units, 2)).astype(np.int8)),
        "r": T((units, units), (0.01, 0), data=rng.integers(-127, 128, (units, units)).astype(np.int8)),
        "all": T((steps, 1, units), unit), "y": T((1, steps, units), unit),
    }
    operators = [O("TRANSPOSE", ["x", "swap"], ["front"]),
                 O("UNPACK", ["front"], [f"x{t}" for t in range(steps)], {"num": steps, "axis": 0})]
    for t in range(steps):
        tensors |= {f"x{t}": T((1, 2)), f"wx{t}": T((1, units)), f"rh{t}": T((1, units)), f"sum{t}": T((1, units)),
                    f"h{t + 1}": T((1, units), unit)}
        operators += [O("FULLY_CONNECTED", [f"x{t}", "w", ""], [f"wx{t}"]),
                      O("FULLY_CONNECTED", [f"h{t}", "r", ""], [f"rh{t}"]),
                      O("ADD", [f"wx{t}", f"rh{t}"], [f"sum{t}"]), O("TANH", [f"sum{t}"], [f"h{t + 1}"])]
    operators += [O("PACK", [f"h{t + 1}" for t in range(steps)], ["all"], {"axis": 0, "valuesCount": steps}),
                  O("TRANSPOSE", ["all", "swap"], ["y"])]
    return tensors, operators, ["x", "h0"], ["y"]


def shape_arithmetic() -> Model:
    """RESHAPE to a shape that is computed, as models of variable batch have it."""
    tensors = {"x": T((1, 4, 3)), "shape": T((3,), None, "INT32"), "from": shape_data(0), "to": shape_data(1),
               "by": shape_data(1), "batch": T((), None, "INT32"),
               "twelve": T((), None, "INT32", np.array(12, np.int32)), "wanted": T((2,), None, "INT32"),
               "y": T((1, 12))}
    operators = [O("SHAPE", ["x"], ["shape"], {"outType": 2}),
                 O("STRIDED_SLICE", ["shape", "from", "to", "by"], ["batch"], {"shrinkAxisMask": 1}),
                 O("PACK", ["batch", "twelve"], ["wanted"], {"axis": 0, "valuesCount": 2}),
                 O("RESHAPE", ["x", "wanted"], ["y"])]
    return tensors, operators, ["x"], ["y"]


def branches() -> Model:
    """Two inputs; three outputs, not in the order of their computation, one of them used further on."""
    tensors = {"a": T((1, 5)), "b": T((1, 5), COARSE), "sum": T((1, 5), COARSE), "difference": T((1, 5)),
               "bent": T((1, 5), COARSE)}
    operators = [O("ADD", ["a", "b"], ["sum"]), O("SUB", ["sum", "a"], ["difference"]), O("RELU", ["sum"], ["bent"])]
    return tensors, operators, ["b", "a"], ["bent", "sum", "difference"]


MODELS: dict[str, Model] = {
    "squeeze": one("SQUEEZE", T((1, 5, 1, 3)), T((1, 5, 3)), {"squeezeDims": [2]}),
    "squeeze_batch": one("SQUEEZE", T((1, 5, 1, 3)), T((5, 3)), {"squeezeDims": []}),
    "expand_dims": one("EXPAND_DIMS", T((1, 5, 3)), T((1, 5, 1, 3)), None, shape_data(-2)),
    "expand_batch": one("EXPAND_DIMS", T((5, 3)), T((1, 5, 3)), None, shape_data(0)),
    "slice": one("SLICE", T((1, 9, 7)), T((1, 7, 3)), None, shape_data(0, 2, 1), shape_data(1, -1, 3)),
    "slice_by_int64": one("SLICE", T((1, 9, 7)), T((1, 2, 7)), None, shape_data(0, 4, 0, wide=True),
                          shape_data(-1, 2, -1, wide=True)),
    "slice_of_time_in_front": one("SLICE", T((6, 1, 3)), T((1, 1, 2)), None, shape_data(4, 0, 1),
                                  shape_data(1, -1, -1)),
    "last_of_time_in_front": one("STRIDED_SLICE", T((6, 1, 3)), T((1, 3)),
                                 {"beginMask": 6, "endMask": 6, "shrinkAxisMask": 1}, shape_data(-1, 0, 0),
                                 shape_data(0, 0, 0), shape_data(1, 1, 1)),
    "split": parts("SPLIT", T((1, 4, 9)), [(1, 4, 3)] * 3, {"numSplits": 3}, front=[shape_data(2)]),
    "split_rows": parts("SPLIT", T((1, 4, 3)), [(1, 2, 3)] * 2, {"numSplits": 2}, front=[shape_data(-2)]),
    "split_time_in_front": parts("SPLIT", T((4, 1, 3)), [(2, 1, 3)] * 2, {"numSplits": 2}, front=[shape_data(0)]),
    "split_v": parts("SPLIT_V", T((1, 4, 7)), [(1, 4, 1), (1, 4, 4), (1, 4, 2)], {"numSplits": 3},
                     behind=[shape_data(1, 4, 2), shape_data(-1)]),
    "unpack": parts("UNPACK", T((1, 3, 4)), [(1, 4)] * 3, {"num": 3, "axis": 1}),
    "unpack_channels": parts("UNPACK", T((1, 3, 4)), [(1, 3)] * 4, {"num": 4, "axis": -1}),
    "unpack_time_in_front": parts("UNPACK", T((3, 1, 4)), [(1, 4)] * 3, {"num": 3, "axis": 0}),
    "unpack_rows_in_front": parts("UNPACK", T((3, 2, 4)), [(2, 4)] * 3, {"num": 3, "axis": 0}),
    "pack": packed([(1, 4)] * 3, 1, (1, 3, 4)),
    "pack_behind": packed([(1, 3, 4)] * 2, -1, (1, 3, 4, 2)),
    "pack_in_front": packed([(1, 4)] * 5, 0, (5, 1, 4)),
    "pack_many": packed([(1, 2)] * 12, 1, (1, 12, 2)),
    "concatenate_in_front": packed([(1, 4), (2, 4), (1, 4)], 0, (4, 4), "CONCATENATION"),
    "concatenate_rows_in_front": packed([(3, 4), (3, 2)], -1, (3, 6), "CONCATENATION"),
    "transpose_to_front": one("TRANSPOSE", T((1, 5, 3)), T((5, 1, 3)), None, shape_data(1, 0, 2)),
    "transpose_mixed": one("TRANSPOSE", T((1, 5, 3)), T((3, 1, 5)), None, shape_data(2, 0, 1)),
    "pad_in_front": one("PAD", T((3, 4)), T((6, 5)), None,
                        T((2, 2), None, "INT32", np.array([[1, 2], [0, 1]], np.int32))),
    "mean_of_far_axes": one("MEAN", T((1, 4, 5, 3)), T((1, 5), COARSE), None, shape_data(1, 3)),
    "mean_keeping_far_axes": one("MEAN", T((1, 4, 5, 3)), T((1, 1, 5, 1), COARSE), {"keepDims": True},
                                 shape_data(-1, 1)),
    "mean_of_all": one("MEAN", T((1, 4, 5)), T((), COARSE), None, shape_data(0, 1, 2)),
    "mean_with_batch": one("MEAN", T((1, 4, 5, 3)), T((3,), COARSE), None, shape_data(0, 1, 2)),
    "mean_of_time_in_front": one("MEAN", T((6, 1, 3)), T((1, 3), COARSE), None, shape_data(0)),
    "mean_of_batch": one("MEAN", T((1, 4)), T((4,), COARSE), None, shape_data(0)),
    "max_of_plane": one("REDUCE_MAX", T((1, 4, 5, 3)), T((1, 3)), None, shape_data(1, 2)),
    "max_keeping_far_axes": one("REDUCE_MAX", T((1, 4, 5, 3)), T((1, 1, 5, 1)), {"keepDims": True}, shape_data(1, 3)),
    "max_of_time_in_front": one("REDUCE_MAX", T((6, 1, 3)), T((1, 3)), None, shape_data(0)),
    "max_of_rows": one("REDUCE_MAX", T((1, 4, 5, 3)), T((1, 4, 5)), None, shape_data(-1)),
    "reverse": one("REVERSE_V2", T((1, 4, 5)), T((1, 4, 5)), None, shape_data(1)),
    "reverse_two": one("REVERSE_V2", T((1, 4, 5)), T((1, 4, 5)), None, shape_data(-1, 1)),
    "reverse_time_in_front": one("REVERSE_V2", T((4, 1, 5)), T((4, 1, 5)), None, shape_data(0)),
    "add_of_lower_rank": ({"x": T((1, 4, 3)), "row": T((3,)), "y": T((1, 4, 3), COARSE)},
                          [O("ADD", ["row", "x"], ["y"])], ["x", "row"], ["y"]),
    "sub_of_rows_in_front": ({"x": T((4, 3)), "row": T((1, 3)), "y": T((4, 3), COARSE)},
                             [O("SUB", ["x", "row"], ["y"])], ["x", "row"], ["y"]),
    "dense_on_rows": dense((1, 4, 3), (5, 3), (1, 4, 5), keep=True),
    "dense_on_rows_in_front": dense((6, 3), (5, 3), (6, 5)),
    "dense_makes_rows": dense((1, 2, 3, 4), (5, 4), (6, 5)),
    "dense_flattens": dense((1, 2, 6), (5, 12), (1, 5)),
    "softmax_of_rows_in_front": one("SOFTMAX", T((4, 3)), T((4, 3), (1 / 256, -128)), {"beta": 1.0}),
    "unrolled_recurrence": unrolled_recurrence(),
    "shape_arithmetic": shape_arithmetic(),
    "branches": branches(),
}
TFLM_JOINS_AT_MOST_TEN = ("pack_many",)  # by CONCATENATION, which is what we write for PACK
WINDOWS = 6


def random_inputs(data: bytes) -> list[np.ndarray]:
    graph = read_tflite(data)
    rng = np.random.default_rng(len(data))
    return [rng.integers(-128, 128, (WINDOWS, *graph[name].shape[1:])).astype(np.int8) for name in graph.inputs]


def flat(arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
    return [a.reshape(WINDOWS, -1) for a in arrays]


@pytest.mark.parametrize("name", MODELS)
def test_read_model_computes_the_same(name: str) -> None:
    data = tflite(*MODELS[name])
    inputs = random_inputs(data)
    expected = flat(run_tflm(data, inputs))
    graph = read_tflite(data)
    run = run_litert if name in TFLM_JOINS_AT_MOST_TEN else run_tflm
    for other in (Interpreter(graph).run(*inputs), run_litert(data, inputs), run(write_tflite(graph), inputs)):
        for actual, wanted in zip(flat(other), expected, strict=True):
            assert np.array_equal(actual, wanted)


@pytest.mark.skipif(shutil.which("gcc") is None, reason="no gcc on PATH")
@pytest.mark.parametrize("name", ["unrolled_recurrence", "branches", "mean_keeping_far_axes", "dense_makes_rows",
                                  "pack_many"])
def test_generated_c_computes_the_same(name: str, tmp_path) -> None:
    data = tflite(*MODELS[name])
    inputs = random_inputs(data)
    outputs = HostModel(read_tflite(data), tmp_path / "model", tmp_path).run(*inputs)
    for actual, wanted in zip(flat(outputs), flat(run_tflm(data, inputs)), strict=True):
        assert np.array_equal(actual, wanted)


def test_transposes_of_time_in_front_move_nothing() -> None:
    """[1, T, C] to [T, 1, C] keeps every byte at its place."""
    graph = read_tflite(tflite(*MODELS["transpose_to_front"]))
    assert [n.op for n in graph.nodes] == ["reshape"]


# By the type outside: the input's and the output's quantisation there, what converts back, how far int8 is away.
BORDERS = {
    "FLOAT32": (None, None, "DEQUANTIZE", None),
    "UINT8": ((0.05, 125), (2**-7, 128), "QUANTIZE", 128),
    "INT16": ((0.05, 0), (2**-7, 0), "QUANTIZE", 0),
}


@pytest.mark.parametrize("kind", BORDERS)
def test_borders_are_left_out(kind: str) -> None:
    """Another type outside, the same real values: equal integers inside."""
    before, behind, back, offset = BORDERS[kind]
    tensors = {"x": T((1, 30), before, kind), "q": T((1, 30)), "y": T((1, 30), (2**-7, 0)),
               "z": T((1, 30), behind, kind)}
    operators = [O("QUANTIZE", ["x"], ["q"]), O("TANH", ["q"], ["y"]), O(back, ["y"], ["z"])]
    data = tflite(tensors, operators, ["x"], ["z"])
    graph = read_tflite(data)
    assert [n.op for n in graph.nodes] == ["tanh"]
    spec = graph[graph.inputs[0]]
    assert spec.dtype is graph[graph.outputs[0]].dtype is DType.INT8
    q = random_inputs(data)[0]
    centred = q.astype(np.float64) - spec.zero_point
    outside = centred * spec.scale if before is None else centred + before[1]
    theirs = run_tflm(data, [outside.astype(kind.lower())])[0].astype(np.float64)
    ours = Interpreter(graph).run(q)[0].astype(np.float64)
    assert np.array_equal(theirs, ours * 2**-7 if offset is None else ours + offset)
    assert np.array_equal(run_inside(data, graph, [q], run_tflm)[0], ours)


def test_a_border_that_rescales_cannot_be_undone() -> None:
    tensors = {"x": T((1, 30), (0.1, 125), "UINT8"), "q": T((1, 30)), "y": T((1, 30), (2**-7, 0))}
    data = tflite(tensors, [O("QUANTIZE", ["x"], ["q"]), O("TANH", ["q"], ["y"])], ["x"], ["y"])
    with pytest.raises(GraphError, match=RESCALES):
        run_inside(data, read_tflite(data), random_inputs(data), run_tflm)


REFUSED = {
    "float_inside": (one("TANH", T((1, 4), None, "FLOAT32"), T((1, 4), None, "FLOAT32")), "FLOAT32"),
    "int16_inside": (({"x": T((1, 4)), "y": T((1, 4), (0.01, 0), "INT16"), "z": T((1, 4), (0.01, 0), "INT16")},
                      [O("QUANTIZE", ["x"], ["y"]), O("TANH", ["y"], ["z"])], ["x"], ["z"]), "int16"),
    "unknown": (one("CEIL", T((1, 4)), T((1, 4))), r"operator 0 \(CEIL\)"),
    "dequantized_inside": (({"x": T((1, 4)), "r": T((1, 4), None, "FLOAT32"), "y": T((1, 4))},
                            [O("DEQUANTIZE", ["x"], ["r"]), O("QUANTIZE", ["r"], ["y"])], ["x"], ["y"]),
                           "DEQUANTIZE"),
    "split_rescales": (parts("SPLIT", T((1, 4), COARSE), [(1, 2)] * 2, {"numSplits": 2}, front=[shape_data(3)]),
                       "axis 3"),
    "concatenation_rescales": (({"a": T((1, 4)), "b": T((1, 4), COARSE), "y": T((1, 8))},
                                [O("CONCATENATION", ["a", "b"], ["y"], {"axis": 1})], ["a", "b"], ["y"]),
                               "concatenation"),
    "wrong_pieces": (parts("SPLIT", T((1, 4)), [(1, 2), (1, 1)], {"numSplits": 2}, front=[shape_data(1)]), "3 of 4"),
    "class_number": (one("ARG_MAX", T((1, 4)), T((1,), None, "INT32"), None, shape_data(1)), "ARG_MAX"),
    "computed_shape_of_slice": (({"x": T((1, 9)), "b": T((2,), None, "INT32"), "s": shape_data(1, 3), "y": T((1, 3))},
                                 [O("SLICE", ["x", "b", "s"], ["y"])], ["x", "b"], ["y"]), "constant"),
    "batch_of_two": (one("MAX_POOL_2D", T((2, 4, 4, 3)), T((2, 2, 2, 3))), "MAX_POOL_2D|max_pool_2d"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_by_name(name: str) -> None:
    model, message = REFUSED[name]
    with pytest.raises(GraphError, match=message):
        read_tflite(tflite(*model))
