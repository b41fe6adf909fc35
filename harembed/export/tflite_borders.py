"""Which operators of a .tflite are left out of the graph: conversions at its borders, and arithmetic with shapes.

The graph's inputs and outputs are int8. Where a model begins with QUANTIZE (of floats, uint8 or int16) or ends with
DEQUANTIZE or QUANTIZE, that operator is left out: the caller quantises by the scale and zero point of the graph's
input, and reads its outputs by theirs. Operators that only compute int32 shapes, as a model of variable batch has
them for RESHAPE, are left out because the file declares every shape.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from ai_edge_litert import schema_py_generated as schema

CONVERSIONS = ("QUANTIZE", "DEQUANTIZE")


@dataclass(frozen=True)
class FileStep:
    """An operator as far as the flow of tensors goes."""

    builtin: str
    inputs: Sequence[int]
    outputs: Sequence[int]


@dataclass(frozen=True)
class Core:
    """A model without its borders; tensors and operators by their number in the file."""

    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    left_out: frozenset[int]  # operators


def core_of(steps: Sequence[FileStep], inputs: Sequence[int], outputs: Sequence[int],
            type_of: Callable[[int], int], is_shape: Callable[[int], bool]) -> Core:
    """Find the int8 model inside a file.

    Parameters
    ----------
    type_of : a tensor's number in schema.TensorType, -1 where there is no such tensor
    is_shape : whether a tensor is int32 without a scale
    """
    left_out = set()
    readers, writers = _positions(step.inputs for step in steps), _positions(step.outputs for step in steps)

    def behind(index: int) -> int:
        """The int8 tensor that is made of an input of the model, by one operator alone."""
        found = readers.get(index, [])
        if type_of(index) == schema.TensorType.INT8 or len(found) != 1:
            return index
        return through(found[0], steps[found[0]].outputs, index)

    def before(index: int) -> int:
        """The int8 tensor that an output of the model is made of."""
        found = writers.get(index, [])
        if type_of(index) == schema.TensorType.INT8 or len(found) != 1:
            return index
        return through(found[0], steps[found[0]].inputs, index)

    def through(position: int, other_side: Sequence[int], index: int) -> int:
        step = steps[position]
        if step.builtin not in CONVERSIONS or not len(step.inputs) == len(step.outputs) == 1 \
                or type_of(other_side[0]) != schema.TensorType.INT8:
            return index
        left_out.add(position)
        return other_side[0]

    core_inputs, core_outputs = tuple(map(behind, inputs)), tuple(map(before, outputs))
    given = set(outputs)
    for position, step in enumerate(steps):
        if step.outputs and all(is_shape(i) and i not in given for i in step.outputs):
            left_out.add(position)
    return Core(core_inputs, core_outputs, frozenset(left_out))


def _positions(tensors: Iterable[Sequence[int]]) -> dict[int, list[int]]:
    """The operators that name a tensor, each once."""
    found: dict[int, list[int]] = {}
    for position, named in enumerate(tensors):
        for index in set(named):
            found.setdefault(index, []).append(position)
    return found
