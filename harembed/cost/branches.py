"""Bytes that are live while each operator of a feature graph runs: a chain's formula (live_sets.py) is not enough,
since what several layers read, or the tail, outlives the operators in between.

Integers only: these networks are proposed whole, no gradient leads to their sizes.
"""

from dataclasses import dataclass, field

from harembed.feature_graph import GraphConv, GraphPool, LayerShape, follow, side_by_side
from harembed.ir.ops.conv_dsp import conv_scratch_bytes
from harembed.space import GraphArchitecture


@dataclass(frozen=True)
class _Tensor:
    number: int  # in order of making; 0 is the input
    shape: LayerShape


@dataclass(frozen=True)
class _Operator:
    reads: tuple[_Tensor, ...]
    scratch_bytes: int  # it makes the tensor whose number is its own position plus 1


@dataclass
class _Stage:
    """The operators that export/lower.py emits, in its order."""

    operators: list[_Operator] = field(default_factory=list)

    def conv(self, number: int, layer: GraphConv, x: _Tensor) -> _Tensor:
        return self._emit([x], LayerShape(x.shape.samples, layer.filters),
                          conv_scratch_bytes(layer.kernel, x.shape.filters))

    def pool(self, number: int, layer: GraphPool, x: _Tensor) -> _Tensor:
        return self._emit([x], LayerShape(x.shape.samples // layer.width, x.shape.filters))

    def concat(self, number: int, parts: list[_Tensor]) -> _Tensor:
        shape = side_by_side([part.shape for part in parts])
        padded = [part if part.shape.samples == shape.samples
                  else self._emit([part], LayerShape(shape.samples, part.shape.filters)) for part in parts]
        return self._emit(padded, shape)

    def _emit(self, reads: list[_Tensor], shape: LayerShape, scratch_bytes: int = 0) -> _Tensor:
        self.operators.append(_Operator(tuple(reads), scratch_bytes))
        return _Tensor(len(self.operators), shape)


def branch_live_sets(arch: GraphArchitecture) -> list[int]:
    """Live bytes of every operator of the feature graph, in order of execution; states of the tail not counted."""
    stage = _Stage()
    given = _Tensor(0, arch.shapes()[0])
    result = follow(arch.features, given, stage.conv, stage.pool, stage.concat)
    last = {result: len(stage.operators)}  # the tail reads it
    for i, operator in enumerate(stage.operators):
        for tensor in operator.reads:
            last[tensor] = max(last.get(tensor, 0), i)
    return [operator.scratch_bytes + sum(arch.rows * t.shape.samples * t.shape.filters for t in last
                                         if t.number <= i + 1 and last[t] >= i)
            for i, operator in enumerate(stage.operators)]
