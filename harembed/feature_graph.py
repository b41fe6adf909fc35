"""Feature extractors with branches: the search space of Pellatt and Roggen (Frontiers in Computer Science 2022).

A graph is a list of layers; each reads the input (layer 0) or layers made before it (section 3.1.1, table 3). What
the paper leaves open, the counts of operations in its table 6 decide. With the rules below, two LSTM layers of 128
behind, sensor channels as the filters of the input, and counted as the ptflops tool counts (multiply-accumulates,
biases, activations), DeepConvLSTM has 5.32 M (the paper: 5.3 M), MaxFF 44.40 M (44.4 M), MaxWide 38.58 M (38.6 M).

- Convolutions pad with zeros and keep the length: MaxFF, eight convolutions of 5 in a row, does not fit into the
  paper's window of 16 samples otherwise.
- What no layer reads (a leaf) goes to the tail, all leaves side by side, as in BlockQNN (Zhong et al., CVPR 2018),
  which the paper follows: so eight parallel convolutions are MaxWide.
- Of sequences side by side, the shorter ones are padded with zeros at their end.
- Max pooling has a stride of its width and drops an incomplete last group.

One departure: the authors pad kernel // 2 zeros at both ends, so an even kernel makes a sequence one sample longer
(their best network is 47.20 M so counted, the paper says 47.2 M); here every convolution keeps the length, as TFLite
pads (44.59 M).

How many networks there are: at step i the paper's controller chooses among 20 convolutions and 3 poolings of i
sources, the i (i - 1) ordered pairs of different layers to concatenate, and the end. At the eighth step these are
241, the text's number of options (table 3, with layer 8 as a source, counts more); their product over eight steps is
1.06e16, and 23^7 * 24 is 8.17e10, the two sizes that the paper states.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, TypeVar

from harembed.errors import SearchError, unknown_name

T = TypeVar("T")
Vector = tuple[int, int, int, int, int, int]  # index, type, kernel, first source, second source, filters


class LayerShape(NamedTuple):
    """What one layer makes, for each row of sensors."""

    samples: int
    filters: int


@dataclass(frozen=True)
class GraphConv:
    """Convolution over time with zero padding and stride 1, batch norm, ReLU.

    The paper has no batch norm. Here it stands behind every convolution, as in all networks of this project: it
    trains faster, and folded into the convolution it costs nothing.
    """

    kernel: int  # samples; the paper: 1, 2, 3, 5, 8
    source: int
    filters: int  # the paper: 32, 64, 128, 256
    kind: Literal["conv"] = "conv"

    @property
    def sources(self) -> tuple[int, ...]:
        return (self.source,)

    def describe(self) -> str:
        return f"C{self.kernel}x{self.filters}({self.source})"


@dataclass(frozen=True)
class GraphPool:
    """Max pooling over time; stride is the width, an incomplete last group is dropped."""

    width: int  # samples; the paper: 2, 3, 5
    source: int
    kind: Literal["pool"] = "pool"

    @property
    def sources(self) -> tuple[int, ...]:
        return (self.source,)

    def describe(self) -> str:
        return f"P{self.width}({self.source})"


@dataclass(frozen=True)
class GraphConcat:
    """The filters of two layers side by side; the shorter sequence is padded with zeros at its end."""

    first: int
    second: int
    kind: Literal["concat"] = "concat"

    @property
    def sources(self) -> tuple[int, ...]:
        return (self.first, self.second)

    def describe(self) -> str:
        return f"{self.first}+{self.second}"


GraphLayer = GraphConv | GraphPool | GraphConcat
GRAPH_LAYERS: dict[str, type[GraphLayer]] = {"conv": GraphConv, "pool": GraphPool, "concat": GraphConcat}


@dataclass(frozen=True)
class FeatureGraph:
    layers: tuple[GraphLayer, ...]  # layers[i] is layer number i + 1; 0 is the input

    @staticmethod
    def from_dict(d: dict[str, Any]) -> "FeatureGraph":
        """Rebuild from dataclasses.asdict's result."""
        for layer in d["layers"]:
            if layer["kind"] not in GRAPH_LAYERS:
                raise SearchError(unknown_name("layer of a graph", layer["kind"], list(GRAPH_LAYERS)))
        return FeatureGraph(tuple(GRAPH_LAYERS[layer["kind"]](**layer) for layer in d["layers"]))

    def describe(self) -> str:
        """'C5x64(0) P2(1) C1x32(0) 2+3': each layer with its sources in brackets, in order of their numbers."""
        return " ".join(layer.describe() for layer in self.layers)


def next_shape(layer: GraphLayer, made: Sequence[LayerShape]) -> LayerShape | str:
    """What a layer makes if it comes behind others, or in words why it cannot be made.

    Parameters
    ----------
    made : of the input and of all layers so far
    """
    for source in layer.sources:
        if not 0 <= source < len(made):
            return f"layer {source} is not made yet; there are the input and {len(made) - 1} layers"
    inputs = [made[source] for source in layer.sources]
    if isinstance(layer, GraphConv):
        return LayerShape(inputs[0].samples, layer.filters)
    if isinstance(layer, GraphPool):
        samples, filters = inputs[0]
        if layer.width > samples:
            return f"a pooling of {layer.width} samples does not fit into the {samples} of layer {layer.source}"
        return LayerShape(samples // layer.width, filters)
    if layer.first == layer.second:
        return f"layer {layer.first} cannot be concatenated with itself"
    return side_by_side(inputs)


def side_by_side(inputs: Sequence[LayerShape]) -> LayerShape:
    """Of sequences that are concatenated."""
    return LayerShape(max(i.samples for i in inputs), sum(i.filters for i in inputs))


def shapes(graph: FeatureGraph, window: int, filters: int = 1) -> tuple[LayerShape, ...] | str:
    """What the input and every layer make, by their numbers; or in words why a layer cannot be made.

    Parameters
    ----------
    window : samples of the input
    filters : of the input; see GraphArchitecture.filters_in
    """
    made = [LayerShape(window, filters)]
    for number, layer in enumerate(graph.layers, start=1):
        shape = next_shape(layer, made)
        if isinstance(shape, str):
            return f"layer {number}: {shape}"
        made.append(shape)
    return tuple(made)


def leaves(graph: FeatureGraph) -> tuple[int, ...]:
    """The numbers of the layers that no layer reads, ascending; the input of a graph without layers."""
    read = {source for layer in graph.layers for source in layer.sources}
    return tuple(i for i in range(len(graph.layers) + 1) if i not in read)


def follow(graph: FeatureGraph, x: T, conv: Callable[[int, GraphConv, T], T],
           pool: Callable[[int, GraphPool, T], T], concat: Callable[[int, list[T]], T]) -> T:
    """Go through a graph as it is computed, layer by layer; at last, where several leaves are left, concatenate them.

    Everything that computes, quantises, lowers or counts a graph goes this way, each with its own T.

    Parameters
    ----------
    x : the input
    conv, pool, concat : get a layer's number and what its sources made; the leaves are concatenated under the
        number behind the last layer's
    """
    made = [x]
    for number, layer in enumerate(graph.layers, start=1):
        inputs = [made[source] for source in layer.sources]
        if isinstance(layer, GraphConv):
            made.append(conv(number, layer, inputs[0]))
        elif isinstance(layer, GraphPool):
            made.append(pool(number, layer, inputs[0]))
        else:
            made.append(concat(number, inputs))
    ends = [made[i] for i in leaves(graph)]
    return ends[0] if len(ends) == 1 else concat(len(made), ends)


_INPUT, _CONV, _POOL, _CONCAT, _END = range(5)  # types in the paper's vectors


def vectors(graph: FeatureGraph) -> tuple[Vector, ...]:
    """The paper's encoding (tables 4 and 7), from the input to the terminal layer."""
    rows: list[Vector] = [(0, _INPUT, 0, 0, 0, 0)]
    for i, layer in enumerate(graph.layers, start=1):
        if isinstance(layer, GraphConv):
            rows.append((i, _CONV, layer.kernel, layer.source, 0, layer.filters))
        elif isinstance(layer, GraphPool):
            rows.append((i, _POOL, layer.width, layer.source, 0, 0))
        else:
            rows.append((i, _CONCAT, 0, layer.first, layer.second, 0))
    return (*rows, (len(rows), _END, 0, 0, 0, 0))


def from_vectors(rows: Sequence[Sequence[int]]) -> FeatureGraph:
    """The graph of a paper's table. What a row says beyond its layer (table 7 has 256 kernels for a concatenation)
    counts nothing.

    Raises
    ------
    SearchError    a row is out of order, of no known type, or the first or last is missing
    """
    layers: list[GraphLayer] = []
    for i, row in enumerate(rows):
        index, kind, kernel, first, second, filters = row
        if index != i or (kind == _INPUT) != (i == 0) or (kind == _END) != (i == len(rows) - 1):
            raise SearchError(f"Row {i} of a graph's vectors is {tuple(row)}.",
                              "Rows count from 0; the first is the input (type 0), the last the end (type 4).")
        if kind == _CONV:
            layers.append(GraphConv(kernel, first, filters))
        elif kind == _POOL:
            layers.append(GraphPool(kernel, first))
        elif kind == _CONCAT:
            layers.append(GraphConcat(first, second))
        elif kind not in (_INPUT, _END):
            raise SearchError(f"Row {i} of a graph's vectors is of type {kind}.", "Known: 0 to 4.")
    return FeatureGraph(tuple(layers))


def _in_a_row(kernel: int, filters: int, count: int) -> FeatureGraph:
    return FeatureGraph(tuple(GraphConv(kernel, i, filters) for i in range(count)))


DEEP_CONV_LSTM = _in_a_row(5, 64, 4)  # table 4
MAX_FF = _in_a_row(5, 256, 8)  # section 4.2: the deepest
MAX_WIDE = FeatureGraph((GraphConv(5, 0, 256),) * 8)  # section 4.2: the widest


def reference(name: str, filters: Sequence[int]) -> FeatureGraph:
    """A network that table 6 compares with, at its place in a space of these filters.

    Parameters
    ----------
    name : "deepconvlstm", which has the second smallest number of filters; "max-ff" and "max-wide", the deepest and
        the widest, which have the largest
    filters : of the space; with the paper's, 32 to 256, these are the networks above

    Raises
    ------
    SearchError    there is no network of that name
    """
    ordered = sorted(filters)
    found = {"deepconvlstm": _in_a_row(5, ordered[min(1, len(ordered) - 1)], 4),
             "max-ff": _in_a_row(5, ordered[-1], 8), "max-wide": FeatureGraph((GraphConv(5, 0, ordered[-1]),) * 8)}
    if name not in found:
        raise SearchError(unknown_name("reference network", name, list(found)), f"Known: {', '.join(found)}.")
    return found[name]
