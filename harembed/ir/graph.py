"""The integer graph: the waist of the hourglass.

Everything above lowers into it, everything below is generated from it. It knows neither PyTorch nor C.
A graph is a list of nodes in execution order over named tensors. Layout is plain NHWC; axis 0 is the batch
and is 1. Integers mean real = scale * (q - zero_point), with TFLite's sign of zero_point.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from typing import Any

import numpy as np

from harembed.errors import GraphError
from harembed.ir.input_spec import InputSpec


class DType(StrEnum):
    INT8 = "int8"
    INT16 = "int16"
    INT32 = "int32"
    BIT = "bit"  # packed 32 per word, LSB first

    @property
    def numpy(self) -> np.dtype:
        """The dtype of an array that holds such a tensor (packed bits: uint32 words)."""
        return np.dtype("uint32") if self is DType.BIT else np.dtype(self.value)


class Kind(StrEnum):
    INPUT = "input"
    OUTPUT = "output"
    ACTIVATION = "activation"
    STATE = "state"  # survives an invocation; reset sets it to its zero_point
    CONSTANT = "constant"
    SCRATCH = "scratch"  # a kernel's working memory, live during its node only


@dataclass(frozen=True)
class QParams:
    """Affine quantisation. One scale: per tensor. Several: per channel along `axis`, zero_point 0."""

    scale: tuple[float, ...]  # each exactly a float32, as stored in a .tflite
    zero_point: int = 0
    axis: int | None = None

    def __post_init__(self) -> None:
        if any(not (s > 0.0 and np.isfinite(s)) for s in self.scale):
            raise GraphError(f"Quantisation scales must be positive and finite, got {self.scale}.")
        object.__setattr__(self, "scale", tuple(float(np.float32(s)) for s in self.scale))


@dataclass(frozen=True, eq=False)
class TensorSpec:
    name: str
    shape: tuple[int, ...]
    dtype: DType
    kind: Kind
    qparams: QParams | None = None
    data: np.ndarray | None = None  # constants only, of `shape`

    @property
    def elements(self) -> int:
        return int(np.prod(self.shape, dtype=np.int64)) if self.shape else 1

    @property
    def nbytes(self) -> int:
        if self.dtype is DType.BIT:
            return (self.elements + 31) // 32 * 4
        return self.elements * self.dtype.numpy.itemsize

    @property
    def scale(self) -> float:
        """The per-tensor scale."""
        if self.qparams is None or len(self.qparams.scale) != 1:
            raise GraphError(f"Tensor {self.name!r} has no per-tensor scale.")
        return self.qparams.scale[0]

    @property
    def zero_point(self) -> int:
        return 0 if self.qparams is None else self.qparams.zero_point


@dataclass(frozen=True)
class Node:
    """One operation. `inputs` holds constants too, in the order of the op's documentation; "" = absent."""

    name: str
    op: str  # a key of harembed.ir.ops.OPS
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attrs: Any = None  # the op's own frozen dataclass


@dataclass(frozen=True, eq=False)
class IntGraph:
    name: str
    tensors: Mapping[str, TensorSpec]
    nodes: tuple[Node, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    input_spec: InputSpec | None = None
    labels: tuple[str, ...] = ()

    def __getitem__(self, tensor: str) -> TensorSpec:
        return self.tensors[tensor]

    def input_tensors(self, node: Node) -> list[TensorSpec | None]:
        """A node's inputs in order, None where an optional one is absent."""
        return [self.tensors[t] if t else None for t in node.inputs]

    def output_tensors(self, node: Node) -> list[TensorSpec]:
        return [self.tensors[t] for t in node.outputs]

    def of_kind(self, *kinds: Kind) -> list[TensorSpec]:
        return [t for t in self.tensors.values() if t.kind in kinds]

    @property
    def parameters(self) -> int:
        """Weights, biases and thresholds: what the constants hold that a node reads as such."""
        from harembed.ir.ops import OPS

        counts: dict[str, int] = {}
        for node in self.nodes:
            # Of a matrix product or a sum, either operand may be a parameter or an activation.
            counts |= {t: OPS[node.op].parameters(self, node, t) for t in OPS[node.op].weights(node)
                       if t and self.tensors[t].kind is Kind.CONSTANT}
        return sum(counts.values())

    def id(self) -> str:
        """16 hex digits that name what the graph computes: same arithmetic, same id, on every machine."""
        digest = hashlib.sha256()
        for text in (*self.inputs, *self.outputs, repr(self.input_spec), repr(self.labels)):
            digest.update(text.encode() + b"\0")
        for t in self.tensors.values():
            digest.update(repr((t.name, t.shape, t.dtype.value, t.kind.value, t.qparams)).encode())
            if t.data is not None:
                digest.update(np.ascontiguousarray(t.data).tobytes())
        for n in self.nodes:
            digest.update(repr((n.name, n.op, n.inputs, n.outputs, n.attrs)).encode())
        return digest.hexdigest()[:16]


class GraphBuilder:
    """Collects tensors and nodes, then freezes them into a checked IntGraph."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.tensors: dict[str, TensorSpec] = {}
        self.nodes: list[Node] = []

    def tensor(self, name: str, shape: Iterable[int], dtype: DType = DType.INT8, kind: Kind = Kind.ACTIVATION,
               qparams: QParams | None = None) -> str:
        return self._add(TensorSpec(name, tuple(int(d) for d in shape), dtype, kind, qparams))

    def constant(self, name: str, data: np.ndarray, qparams: QParams | None = None) -> str:
        data = np.ascontiguousarray(data)
        data.setflags(write=False)
        return self._add(TensorSpec(name, data.shape, DType(data.dtype.name), Kind.CONSTANT, qparams, data))

    def node(self, op: str, inputs: Iterable[str], outputs: Iterable[str], attrs: Any = None,
             name: str | None = None) -> Node:
        node = Node(name or f"{op}_{len(self.nodes)}", op, tuple(inputs), tuple(outputs), attrs)
        self.nodes.append(node)
        return node

    def build(self, inputs: Iterable[str], outputs: Iterable[str], input_spec: InputSpec | None = None,
              labels: Iterable[str] = ()) -> IntGraph:
        graph = IntGraph(self.name, dict(self.tensors), tuple(self.nodes), tuple(inputs), tuple(outputs),
                         input_spec, tuple(labels))
        graph = _mark_outputs(graph)
        check(graph)
        return graph

    def _add(self, spec: TensorSpec) -> str:
        if spec.name in self.tensors:
            raise GraphError(f"Graph {self.name!r} has two tensors named {spec.name!r}.")
        self.tensors[spec.name] = spec
        return spec.name


def _mark_outputs(graph: IntGraph) -> IntGraph:
    """Give graph outputs their kind, whatever the builder called them."""
    tensors = dict(graph.tensors)
    for name in graph.outputs:
        if tensors[name].kind is Kind.ACTIVATION:
            tensors[name] = replace(tensors[name], kind=Kind.OUTPUT)
    return replace(graph, tensors=tensors)


def check(graph: IntGraph) -> None:
    """Refuse a graph that is inconsistent.

    Raises
    ------
    GraphError    names the node and what is wrong: an unknown op, a tensor read before it is written, written
                  twice, a shape or dtype that its op would not produce
    """
    from harembed.ir.ops import OPS

    ready = {t.name for t in graph.of_kind(Kind.INPUT, Kind.CONSTANT, Kind.STATE)}
    for name in (*graph.inputs, *graph.outputs):
        if name not in graph.tensors:
            raise GraphError(f"Graph {graph.name!r} names a tensor {name!r} that does not exist.")
    for node in graph.nodes:
        if node.op not in OPS:
            raise GraphError(f"Node {node.name!r}: operator {node.op!r} is not supported.",
                             f"Supported: {', '.join(sorted(OPS))}.")
        for name in node.inputs:
            if name and name not in ready:
                raise GraphError(f"Node {node.name!r} reads {name!r} before anything wrote it.")
        for name in node.outputs:
            if name in ready:
                raise GraphError(f"Node {node.name!r} writes {name!r}, which exists already.")
            ready.add(name)
        shapes = OPS[node.op].output_shapes(graph, node)
        for name, shape in zip(node.outputs, shapes, strict=True):
            if graph[name].shape != tuple(shape):
                raise GraphError(f"Node {node.name!r} ({node.op}) computes shape {tuple(shape)}, but tensor "
                                 f"{name!r} is declared {graph[name].shape}.")
    for name in graph.outputs:
        if name not in ready:
            raise GraphError(f"Output {name!r} of graph {graph.name!r} is never written.")
    if graph.input_spec is not None:
        graph.input_spec.check(graph[graph.inputs[0]].elements)


def attrs_to_dict(attrs: Any) -> dict[str, Any]:
    """The fields of an attrs dataclass, for reports and files."""
    return {} if attrs is None else {f.name: getattr(attrs, f.name) for f in fields(attrs)}
