"""What the .tflite format knows of one operator, in both directions."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from harembed.errors import GraphError
from harembed.ir.graph import IntGraph, Kind, Node, TensorSpec


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

    def option(self, name: str) -> Any:
        """A field of the options table.

        Raises
        ------
        GraphError    if the file has no options for this operator, or options of another one
        """
        if not hasattr(self.options, name):
            raise GraphError(f"{self.where}: the file holds no option {name!r} for it.",
                             "The file is damaged, or written by a tool that skips the options.")
        return getattr(self.options, name)

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
