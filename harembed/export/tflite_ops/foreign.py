"""Operators of a file that the graph says in other words, and those whose operands need another shape before.

SQUEEZE and EXPAND_DIMS become reshapes, SLICE, SPLIT, UNPACK and REVERSE_V2 strided slices, PACK a concatenation,
REDUCE_MAX a pool: the same integers at the same places.
"""

import math
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

from harembed.errors import GraphError
from harembed.export.tflite_ops import TFLITE_OPS
from harembed.export.tflite_ops.base import FileOperator, Step, TfliteOp, batched
from harembed.export.tflite_ops.convolution import FULLY_CONNECTED
from harembed.export.tflite_ops.pointwise import ADD, MUL, SUB
from harembed.export.tflite_ops.rearrangement import CONCATENATION, PAD, PADV2, TRANSPOSE
from harembed.export.tflite_ops.reduction import MEAN, SUM
from harembed.export.tflite_ops.sequence import STRIDED_SLICE
from harembed.export.tflite_ops.steps import Steps, one_number, positive
from harembed.ir.graph import TensorSpec
from harembed.ir.ops.concatenation import ConcatenationAttrs
from harembed.ir.ops.mean import MeanAttrs
from harembed.ir.ops.pool import Pool2DAttrs
from harembed.ir.ops.rearrange import TransposeAttrs
from harembed.ir.ops.slice import StridedSliceAttrs


def _reshaped(op: FileOperator) -> list[Step]:
    """SQUEEZE, EXPAND_DIMS: the declared output shape says all."""
    steps = Steps(op)
    steps.reshape(steps.input(0), op.outputs[0])
    return steps.steps


def _axes_seen(name: str, codec: TfliteOp) -> Callable[[FileOperator], list[Step]]:
    """An operator of the graph that may touch axis 0."""

    def expand(op: FileOperator) -> list[Step]:
        steps = Steps(op)
        names, attrs = codec.read(op)
        if isinstance(attrs, ConcatenationAttrs):
            positive(attrs.axis, len(op.outputs[0].shape), op.where)
        steps.add(name, [steps.input(i) for i in range(len(names))], op.outputs[0], attrs)
        return steps.steps

    return expand


def _transpose(op: FileOperator) -> list[Step]:
    """TRANSPOSE; one that puts time in front of the batch moves no byte, and is a reshape."""
    x, perm = Steps(op).input(0), TRANSPOSE.read(op)[1].perm
    moved = [axis for axis in perm if 0 <= axis < len(x.shape) and x.shape[axis] > 1]
    if perm[:1] != (0,) and sorted(perm) == list(range(len(x.shape))) and moved == sorted(moved):
        return _reshaped(op)
    return _axes_seen("transpose", TRANSPOSE)(op)


def _reduction(name: str, codec: TfliteOp) -> Callable[[FileOperator], list[Step]]:
    """MEAN, SUM over any axes."""

    def expand(op: FileOperator) -> list[Step]:
        steps = Steps(op)
        given, attrs = steps.input(0), codec.read(op)[1]
        x, axes = _neighbours(steps, given, attrs.axes)
        keep = attrs.keep_dims and x is given
        shape = tuple(1 if a in axes else n for a, n in enumerate(x.shape) if keep or a not in axes)
        target = steps.shaped(op.outputs[0], shape)
        steps.add(name, [x], target, MeanAttrs(axes, keep))
        steps.finish(target, op.outputs[0])
        return steps.steps

    return expand


def _reduce_max(op: FileOperator) -> list[Step]:
    """A pool whose window is all that is reduced."""
    steps = Steps(op)
    x, axes = _neighbours(steps, steps.input(0), MEAN.read(op)[1].axes)
    outer, reduced, inner = (math.prod(x.shape[a:b]) for a, b in pairwise((0, axes[0], axes[-1] + 1, len(x.shape))))
    target = steps.shaped(op.outputs[0], (1, outer, 1, inner))
    steps.add("max_pool_2d", [steps.view(x, (1, outer, reduced, inner))], target,
              Pool2DAttrs((1, reduced), (1, reduced), "valid"))
    steps.finish(target, op.outputs[0])
    return steps.steps


def _neighbours(steps: Steps, x: TensorSpec, axes: tuple[int, ...]) -> tuple[TensorSpec, tuple[int, ...]]:
    """A tensor whose given axes lie side by side: itself, or a transpose that puts them behind the others."""
    rank = len(x.shape)
    for axis in axes:
        positive(axis, rank, steps.op.where)
    if x.shape[:1] == (1,) and len(axes) > 1:
        axes = tuple(a for a in axes if a > 0)  # the batch, of length 1, changes nothing
    if not axes:
        raise GraphError(f"{steps.op.where}: it reduces no axis.")
    if axes == tuple(range(axes[0], axes[0] + len(axes))):
        return x, axes
    perm = (*(a for a in range(rank) if a not in axes), *axes)
    together = steps.temporary(replace(x, shape=tuple(x.shape[a] for a in perm)))
    steps.add("transpose", [x], together, TransposeAttrs(perm))
    return together, tuple(range(rank - len(axes), rank))


def _elementwise(name: str, codec: TfliteOp) -> Callable[[FileOperator], list[Step]]:
    """ADD, SUB, MUL: an operand of lower rank than the output gets axes of length 1 in front."""

    def expand(op: FileOperator) -> list[Step]:
        steps = Steps(op)
        attrs = codec.read(op)[1]
        rank = len(batched(op.outputs[0]).shape)
        operands = []
        for x in (steps.input(0), steps.input(1)):
            shape = batched(x).shape
            operands.append(x if x.data is not None else steps.view(x, (1,) * (rank - len(shape)) + shape))
        steps.add(name, operands, op.outputs[0], attrs)
        return steps.steps

    return expand


def _dense(op: FileOperator) -> list[Step]:
    """FULLY_CONNECTED on several rows whose shape is not that of the declared output."""
    steps = Steps(op)
    x, weights, y = steps.input(0), steps.input(1), batched(op.outputs[0])
    columns = weights.shape[-1] if weights.shape else 0
    rows = (*y.shape[:-1], columns)
    if len(y.shape) > 2 and batched(x).shape != rows and math.prod(rows) == x.elements:
        x = steps.view(x, rows)
    found = replace(op, inputs=(batched(x), *op.inputs[1:]), outputs=(y,))
    attrs = FULLY_CONNECTED.read(found)[1]
    bias = op.inputs[2] if len(op.inputs) > 2 else None
    steps.add("fully_connected", [x, weights, bias], op.outputs[0], attrs)
    return steps.steps


def _slice(op: FileOperator) -> list[Step]:
    steps = Steps(op)
    x = steps.input(0)
    begin, size = (tuple(op.constant(i).ravel().tolist()) for i in (1, 2))
    if not len(begin) == len(size) == len(x.shape):
        raise GraphError(f"{op.where}: begin {begin} and size {size} do not fit its input {x.shape}.")
    # A size of -1 takes all that is left.
    taken = tuple(n - b if s == -1 else s for n, b, s in zip(x.shape, begin, size, strict=True))
    steps.add("strided_slice", [x], op.outputs[0], StridedSliceAttrs(begin, taken, (1,) * len(begin)))
    return steps.steps


def _reverse(op: FileOperator) -> list[Step]:
    """REVERSE_V2: a slice that runs backwards."""
    steps = Steps(op)
    x = steps.input(0)
    axes = {positive(int(a), len(x.shape), op.where) for a in op.constant(1).ravel()}
    begin = tuple(n - 1 if a in axes else 0 for a, n in enumerate(x.shape))
    stride = tuple(-1 if a in axes else 1 for a in range(len(x.shape)))
    steps.add("strided_slice", [x], op.outputs[0], StridedSliceAttrs(begin, x.shape, stride))
    return steps.steps


def _split(op: FileOperator) -> list[Step]:
    return _split_along(op, 1, one_number(op.constant(0), op.where))


def _split_v(op: FileOperator) -> list[Step]:
    return _split_along(op, 0, one_number(op.constant(2), op.where))


def _split_along(op: FileOperator, source: int, axis: int) -> list[Step]:
    """Pieces of the lengths that the outputs declare."""
    steps = Steps(op)
    x = steps.input(source)
    axis = positive(axis, len(x.shape), op.where)
    begin = 0
    for output in op.outputs:
        if len(output.shape) != len(x.shape):
            raise GraphError(f"{op.where}: a piece of {x.shape} cannot have shape {output.shape}.")
        steps.add("strided_slice", [x], output, _piece(x, axis, begin, output.shape[axis], ()))
        begin += output.shape[axis]
    if begin != x.shape[axis]:
        raise GraphError(f"{op.where}: the pieces along axis {axis} make {begin} of {x.shape[axis]}.")
    return steps.steps


def _unpack(op: FileOperator) -> list[Step]:
    steps = Steps(op)
    x = steps.input(0)
    axis = positive(int(op.option("axis")), len(x.shape), op.where)
    if len(op.outputs) != x.shape[axis]:
        raise GraphError(f"{op.where}: {len(op.outputs)} outputs for {x.shape[axis]} slices along axis {axis}.")
    for i, output in enumerate(op.outputs):
        steps.add("strided_slice", [x], output, _piece(x, axis, i, 1, (axis,)))
    return steps.steps


def _piece(x: TensorSpec, axis: int, begin: int, length: int, squeeze: tuple[int, ...]) -> StridedSliceAttrs:
    here = range(len(x.shape))
    return StridedSliceAttrs(tuple(begin if a == axis else 0 for a in here),
                             tuple(length if a == axis else x.shape[a] for a in here), (1,) * len(x.shape), squeeze)


def _pack(op: FileOperator) -> list[Step]:
    steps = Steps(op)
    output = op.outputs[0]
    axis = positive(int(op.option("axis")), len(output.shape), op.where)
    slice_shape = (*output.shape[:axis], 1, *output.shape[axis + 1 :])
    parts = [steps.input(i) for i in range(len(op.inputs))]
    if any(x.elements != math.prod(slice_shape) for x in parts):
        raise GraphError(f"{op.where}: inputs {', '.join(str(x.shape) for x in parts)} do not make {output.shape}.")
    steps.add("concatenation", [steps.view(x, slice_shape) for x in parts], output, ConcatenationAttrs(axis))
    return steps.steps


FOREIGN: dict[str, Callable[[FileOperator], list[Step]]] = {
    "SQUEEZE": _reshaped,
    "EXPAND_DIMS": _reshaped,
    "SLICE": _slice,
    "REVERSE_V2": _reverse,
    "SPLIT": _split,
    "SPLIT_V": _split_v,
    "PACK": _pack,
    "UNPACK": _unpack,
    "FULLY_CONNECTED": _dense,
    "ADD": _elementwise("add", ADD),
    "SUB": _elementwise("sub", SUB),
    "MUL": _elementwise("mul", MUL),
    "MEAN": _reduction("mean", MEAN),
    "SUM": _reduction("sum", SUM),
    "REDUCE_MAX": _reduce_max,
    "TRANSPOSE": _transpose,
    "PAD": _axes_seen("pad", PAD),
    "PADV2": _axes_seen("pad_v2", PADV2),
    "CONCATENATION": _axes_seen("concatenation", CONCATENATION),
    "STRIDED_SLICE": _axes_seen("strided_slice", STRIDED_SLICE),
}
OUR_NAMES = {codec.builtin: name for name, codec in TFLITE_OPS.items()}
READABLE = sorted({*OUR_NAMES, *FOREIGN})
SEVERAL_OUTPUTS = ("SPLIT", "SPLIT_V", "UNPACK")
_FIXED_BATCH = "Convert the model with a fixed batch of 1: with a variable one it computes shapes at run time."
_UNROLL = "Convert the model with a fixed batch of 1, which makes an LSTM one operator, or unroll the layer."
HINTS = {  # what to do about an operator that is not supported
    "DEQUANTIZE": "It leaves int8 inside of the model, before an operator that the converter cannot quantise.",
    **dict.fromkeys(("SHAPE", "FILL", "GATHER", "SPACE_TO_BATCH_ND", "BATCH_TO_SPACE_ND"), _FIXED_BATCH),
    **dict.fromkeys(("WHILE", "IF", "CALL_ONCE"), _UNROLL),
}


def steps_of(name: str, op: FileOperator) -> list[Step]:
    """The nodes that an operator becomes, in their order.

    Parameters
    ----------
    name : its name in the schema's BuiltinOperator, a key of READABLE

    Raises
    ------
    GraphError    if its options or operands are not supported, or do not fit each other
    """
    if name in FOREIGN:
        return FOREIGN[name](op)
    node = OUR_NAMES[name]
    inputs = tuple(None if x is None else batched(x) for x in op.inputs)
    outputs = tuple(batched(y) for y in op.outputs)
    names, attrs = TFLITE_OPS[node].read(replace(op, inputs=inputs, outputs=outputs))
    specs = {x.name: x for x in inputs if x is not None}
    return [Step(node, tuple(specs.get(n) for n in names), outputs[0], attrs)]
