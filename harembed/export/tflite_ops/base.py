"""What the .tflite format knows of one operator, in both directions."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from harembed.errors import GraphError
from harembed.ir.graph import DType, IntGraph, Kind, Node, TensorSpec

LARGEST_STEP = 32767  # of strides, dilations and windows: no index of a kernel can leave int32
# Operators whose table of options has another name than the operator.
OPTIONS = {**dict.fromkeys(("AVERAGE_POOL_2D", "MAX_POOL_2D"), "Pool2DOptionsT"),
           **dict.fromkeys(("MEAN", "SUM", "REDUCE_MAX"), "ReducerOptionsT")}


@dataclass(frozen=True, eq=False)
class Written:
    """A node in TFLite's terms.

    Attributes
    ----------
    inputs : in TFLite's order: the name of a tensor of the graph, "" where absent, or an int32 array that the
        file needs and the graph does not have as a tensor (a shape, a permutation); a whole tensor where such a
        constant is quantised
    options : an object of the schema (Conv2DOptionsT …), or None
    intermediates : tensors without data that only carry quantisation (LSTM)
    """

    inputs: tuple[str | np.ndarray | TensorSpec, ...]
    options: Any = None
    intermediates: tuple[TensorSpec, ...] = ()


@dataclass(frozen=True, eq=False)
class FileOperator:
    """One operator as found in a file, with its tensors resolved, in the file's shapes."""

    where: str  # "operator 3 (CONV_2D)", for messages
    builtin: str  # name in the schema's BuiltinOperator
    inputs: tuple[TensorSpec | None, ...]
    outputs: tuple[TensorSpec, ...]
    options: Any
    intermediates: tuple[TensorSpec, ...] = ()
    fresh: Callable[[str], str] = str  # a tensor name that nothing has yet, like the one given

    def name(self, index: int) -> str:
        """The name of an input, "" if it is absent."""
        spec = self.inputs[index] if index < len(self.inputs) else None
        return "" if spec is None else spec.name

    def constant(self, index: int) -> np.ndarray:
        """An input that must be known now, such as a shape.

        Raises
        ------
        GraphError    if it is absent or computed at run time
        """
        spec = self.inputs[index] if index < len(self.inputs) else None
        if spec is None or spec.data is None:
            raise GraphError(f"{self.where}: input {index} must be a constant.",
                             "Convert the model with fixed shapes.")
        return spec.data

    def activation(self, index: int, dtype: DType = DType.INT8) -> str:
        """The name of an input that is computed at run time.

        Raises
        ------
        GraphError    if it is absent, a constant, or of another dtype
        """
        spec = self.inputs[index] if index < len(self.inputs) else None
        if spec is None or spec.data is not None or spec.dtype is not dtype:
            found = "absent" if spec is None else f"a constant {spec.name!r}" if spec.data is not None else \
                f"{spec.name!r} of {spec.dtype.value}"
            raise GraphError(f"{self.where}: input {index} must be {dtype.value} and computed at run time, it is "
                             f"{found}.", "Convert the model with full int8 quantisation, which folds constants.")
        return spec.name

    def parameter(self, index: int, dtype: DType = DType.INT8, axis: int = 0) -> str:
        """The name of a constant input with zero point 0: weights or a bias; "" if it is absent.

        Parameters
        ----------
        axis : the only one along which it may have several scales

        Raises
        ------
        GraphError    if it is none of these
        """
        spec = self.inputs[index] if index < len(self.inputs) else None
        if spec is None:
            return ""
        if spec.data is None or spec.dtype is not dtype:
            raise GraphError(f"{self.where}: {spec.name!r} must be a constant {dtype.value}, it is "
                             f"{spec.kind.value} {spec.dtype.value}.", "Convert the model with fixed int8 weights.")
        if dtype is DType.INT8 and spec.qparams is None:
            raise GraphError(f"{self.where}: the weights {spec.name!r} have no scale: damaged file.")
        if spec.qparams is not None and (spec.zero_point != 0 or spec.qparams.axis not in (None, axis)):
            raise GraphError(f"{self.where}: {spec.name!r} has zero point {spec.zero_point} and scales along axis "
                             f"{spec.qparams.axis}; only 0 and {axis} are supported.",
                             "Quantise weights symmetrically, per tensor or per output channel.")
        return spec.name

    def int8_output(self) -> None:
        """Refuse another dtype of the output: kernels of other widths do not exist here."""
        for spec in self.outputs:
            if spec.dtype is not DType.INT8:
                raise GraphError(f"{self.where}: its output {spec.name!r} is {spec.dtype.value}, expected int8.")

    def fits_int32(self, weights: int, bias: int, channel_axis: int = 0) -> None:
        """See that no sum of products can leave int32, whatever comes in.

        The bound holds for sums of the products alone, with and without the input's zero point, and with the bias.

        Parameters
        ----------
        weights, bias : inputs, as `parameter` takes them
        channel_axis : of the weights; one sum each

        Raises
        ------
        GraphError    names the channel
        """
        w, b = self.constant(weights), self.inputs[bias] if bias < len(self.inputs) else None
        largest = 256 * np.abs(np.moveaxis(w, channel_axis, 0).reshape(w.shape[channel_axis], -1).astype(np.int64)
                               ).sum(axis=1)
        if b is not None and b.data is not None:
            if b.data.size != len(largest):
                raise GraphError(f"{self.where}: {b.data.size} biases for {len(largest)} output channels.")
            largest = largest + np.abs(b.data.ravel().astype(np.int64))
        if largest.max() >= 2**31:
            raise GraphError(f"{self.where}: the sum of output channel {int(largest.argmax())} may leave int32.",
                             "Its weights or biases are damaged.")

    def option(self, name: str) -> Any:
        """A field of the options table.

        Raises
        ------
        GraphError    if the file has no options for this operator, options of another one, or no finite number
        """
        table = OPTIONS.get(self.builtin, f"{self.builtin.replace('_', '')}OptionsT")
        if type(self.options).__name__.lower() != table.lower() or not hasattr(self.options, name):
            raise GraphError(f"{self.where}: the file holds no option {name!r} for it.",
                             "The file is damaged, or written by a tool that skips the options.")
        value = getattr(self.options, name)
        if isinstance(value, float) and not math.isfinite(value):
            raise GraphError(f"{self.where}: {name} is {value}: damaged file.")
        return value

    def steps(self, height: str, width: str) -> tuple[int, int]:
        """Two fields that count elements: a stride, a dilation, a window.

        Raises
        ------
        GraphError    if one is not positive, or absurdly large
        """
        pair = (int(self.option(height)), int(self.option(width)))
        for name, value in zip((height, width), pair, strict=True):
            if not 1 <= value <= LARGEST_STEP:
                raise GraphError(f"{self.where}: {name} is {value}, expected 1 to {LARGEST_STEP:,}.")
        return pair

    def choice(self, name: str, table: dict[str, int]) -> str:
        """A field of the options table that is an enumeration; `table` maps our word to TFLite's number."""
        value = self.option(name)
        for word, number in table.items():
            if number == value:
                return word
        raise GraphError(f"{self.where}: {name} {value} is not supported.", f"Supported: {', '.join(table)}.")


@dataclass(frozen=True, eq=False)
class Step:
    """One node of the graph that an operator of a file becomes."""

    op: str
    inputs: tuple[TensorSpec | None, ...]
    output: TensorSpec
    attrs: Any = None


def batched(spec: TensorSpec) -> TensorSpec:
    """A tensor as the graph holds it: an activation whose first axis is longer than 1 gets an axis of 1, the
    batch, in front. (Converters fold time into the batch, or put it there.)"""
    if spec.kind is Kind.CONSTANT or spec.shape[:1] == (1,):
        return spec
    return replace(spec, shape=(1, *spec.shape))


@dataclass(frozen=True)
class TfliteOp:
    """The two directions of one operator.

    Attributes
    ----------
    builtin : name in the schema's BuiltinOperator
    version : the oldest version of the operator that has what we write
    write : (graph, node) -> Written
    read : FileOperator -> (names of the node's inputs, its attrs); the outputs stay as they are
    """

    builtin: str
    version: int
    write: Callable[[IntGraph, Node], Written]
    read: Callable[[FileOperator], tuple[tuple[str, ...], Any]]


def without_absent_tail(inputs: tuple[str, ...]) -> tuple[str, ...]:
    """Drop absent inputs at the end: LiteRT refuses to count an optional bias that is not there."""
    while inputs and not inputs[-1]:
        inputs = inputs[:-1]
    return inputs
