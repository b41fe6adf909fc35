"""Networks with branches as plain data: the tables of Pellatt and Roggen, shapes, what is no network."""

import json

import pytest

from harembed.cost.dims import dims_of
from harembed.cost.macs import parameters, total_macs
from harembed.errors import SearchError
from harembed.feature_graph import (
    DEEP_CONV_LSTM,
    MAX_FF,
    MAX_WIDE,
    FeatureGraph,
    GraphConcat,
    GraphConv,
    GraphLayer,
    GraphPool,
    from_vectors,
    leaves,
    shapes,
    vectors,
)
from harembed.search.candidate import architecture_id
from harembed.search.encoding import Encoding
from harembed.space import (
    Architecture,
    ConvTail,
    DeepConvLstmTail,
    GraphArchitecture,
    TemporalConv,
    network_from_dict,
)

# The paper's tables: index, type, kernel size, pred1, pred2, number of kernels.
TABLE_4 = [(0, 0, 0, 0, 0, 0), (1, 1, 5, 0, 0, 64), (2, 1, 5, 1, 0, 64), (3, 1, 5, 2, 0, 64), (4, 1, 5, 3, 0, 64),
           (5, 4, 0, 0, 0, 0)]
TABLE_7 = [(0, 0, 0, 0, 0, 0), (1, 1, 1, 0, 0, 128), (2, 1, 8, 0, 0, 32), (3, 1, 5, 1, 0, 256), (4, 1, 8, 3, 0, 256),
           (5, 1, 8, 3, 0, 256), (6, 1, 8, 3, 0, 256), (7, 3, 0, 1, 4, 256), (8, 1, 3, 4, 0, 256), (9, 4, 0, 0, 0, 0)]


def test_the_papers_best_network() -> None:
    best = from_vectors(TABLE_7)
    assert best.describe() == "C1x128(0) C8x32(0) C5x256(1) C8x256(3) C8x256(3) C8x256(3) 1+4 C3x256(4)"
    assert leaves(best) == (2, 5, 6, 7, 8)
    assert vectors(best) == (*TABLE_7[:7], (7, 3, 0, 1, 4, 0), *TABLE_7[8:])  # the 256 of table 7 says nothing
    assert from_vectors(vectors(best)) == best


def test_the_papers_deepconvlstm() -> None:
    assert from_vectors(TABLE_4) == DEEP_CONV_LSTM
    assert list(vectors(DEEP_CONV_LSTM)) == TABLE_4


def test_pooling_has_a_vector() -> None:
    graph = FeatureGraph((GraphPool(3, 0), GraphPool(2, 1)))
    assert vectors(graph)[1:3] == ((1, 2, 3, 0, 0, 0), (2, 2, 2, 1, 0, 0))
    assert from_vectors(vectors(graph)) == graph


@pytest.mark.parametrize("graph, published", [(DEEP_CONV_LSTM, 5.3), (MAX_FF, 44.4), (MAX_WIDE, 38.6)],
                         ids=["DeepConvLSTM", "MaxFF", "MaxWide"])
def test_macs_are_those_of_table_6(graph: FeatureGraph, published: float) -> None:
    """In millions, 113 channels of 16 samples; the paper also counts biases and activations, 0.1 M."""
    arch = GraphArchitecture(16, tuple(range(113)), graph, DeepConvLstmTail(128), 18)
    assert published - 0.2 < total_macs(dims_of(arch)) / 1e6 < published


def test_parameters_are_those_of_table_2() -> None:
    """PyTorch's LSTM has two biases where TFLite has one."""
    arch = GraphArchitecture(16, tuple(range(113)), DEEP_CONV_LSTM, DeepConvLstmTail(128), 18, "shared")
    assert parameters(dims_of(arch)) + 2 * 4 * 128 == 3_965_778


def test_shapes() -> None:
    graph = FeatureGraph((
        GraphConv(8, 0, 4), GraphPool(3, 1), GraphPool(5, 2), GraphConcat(3, 0), GraphConv(2, 3, 7)))
    assert shapes(graph, 17, 2) == ((17, 2), (17, 4), (5, 4), (1, 4), (17, 6), (1, 7))
    arch = GraphArchitecture(17, (0, 5), graph, DeepConvLstmTail(8), 3)
    assert leaves(graph) == (4, 5)
    assert arch.joined() == (17, 13)
    assert leaves(FeatureGraph(())) == (0,)


@pytest.mark.parametrize("layer, words", [
    (GraphConv(3, 2, 4), "layer 2: layer 2 is not made yet; there are the input and 1 layers"),
    (GraphConcat(1, -1), "layer 2: layer -1 is not made yet"),
    (GraphConcat(1, 1), "layer 2: layer 1 cannot be concatenated with itself"),
    (GraphPool(5, 1), "layer 2: a pooling of 5 samples does not fit into the 4 of layer 1"),
])
def test_what_is_no_layer_is_said_in_words(layer: GraphLayer, words: str) -> None:
    graph = FeatureGraph((GraphPool(2, 0), layer))
    said = shapes(graph, 8)
    assert isinstance(said, str)
    assert said.startswith(words)
    with pytest.raises(SearchError, match="This is no network: layer 2"):
        GraphArchitecture(8, (0,), graph, DeepConvLstmTail(8), 3).joined()


@pytest.mark.parametrize("rows", [
    TABLE_4[1:], TABLE_4[:-1], [TABLE_4[0], *TABLE_4[2:]], [TABLE_4[0], (1, 7, 0, 0, 0, 0), (2, 4, 0, 0, 0, 0)]],
    ids=["no input", "no end", "a gap", "type 7"])
def test_vectors_that_are_no_graph_are_refused(rows: list[tuple[int, ...]]) -> None:
    with pytest.raises(SearchError, match="Row"):
        from_vectors(rows)


def test_both_kinds_come_back_from_json() -> None:
    chain = Architecture(32, (0, 2), "same", (TemporalConv(5, 2, 3),), ConvTail(4), 3)
    tail = ConvTail(8, (TemporalConv(3, 1, 4),))
    branched = GraphArchitecture(16, (0, 1), from_vectors(TABLE_7), tail, 5, "shared")
    for arch in (chain, branched):
        assert network_from_dict(json.loads(json.dumps(arch.to_dict()))) == arch
    assert architecture_id(chain) == "eb9a7f9a535a"  # as before there were branches: old ledgers stay valid
    assert branched.describe() == f"2ch shared · {branched.features.describe()} · fuse 8 3/1x4"
    with pytest.raises(SearchError, match=r"no layer of a graph 'conf'\. Did you mean 'conv'"):
        FeatureGraph.from_dict({"layers": [{"kind": "conf"}]})


def test_a_network_with_branches_is_outside_the_space_of_chains() -> None:
    encoding = Encoding(16, 2, 5, ("same",), ("conv", "deepconvlstm"))
    assert encoding.encode(GraphArchitecture(16, (0, 1), DEEP_CONV_LSTM, DeepConvLstmTail(8), 5)) is None
