"""What the controller can choose: table 3 of Pellatt and Roggen.

The paper says 241 options. Its table 3, with layers 0 to 8 as sources, lists 244 (180 convolutions, 27 poolings, 36
unordered pairs, the end). Here sources are 0 to 7, because the eighth layer is the last and nothing can read it, and
pairs to concatenate are ordered: 160 + 24 + 56 + 1 = 241. This count is taken because it also gives the paper's size
of the space (see harembed.feature_graph). The two orders of a pair are one network and get one score.
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import permutations

from harembed.feature_graph import GraphConcat, GraphConv, GraphLayer, GraphPool, LayerShape, next_shape
from harembed.search.dqn.settings import DqnSettings

END = None  # the terminal layer
_BEFORE = -1  # as a source in the feed-forward space: whatever layer came last
Action = GraphLayer | None


def action_list(settings: DqnSettings) -> tuple[Action, ...]:
    """Every option, in a fixed order; the end comes last.

    In the feed-forward space a layer reads the one before, so sources are no choice: 24 options in the paper.
    """
    sources = (_BEFORE,) if settings.space == "feedforward" else tuple(range(settings.max_layers))
    convs = [GraphConv(kernel, source, filters) for kernel in settings.kernels for source in sources
             for filters in settings.filters]
    pools = [GraphPool(width, source) for width in settings.pools for source in sources]
    concats = [GraphConcat(first, second) for first, second in permutations(sources, 2)]
    return (*convs, *pools, *concats, END)


def place(action: Action, made: Sequence[LayerShape]) -> tuple[GraphLayer, LayerShape] | str | None:
    """The layer that a choice means behind those made so far, with its shape; END; or why it is invalid, in words.

    Parameters
    ----------
    made : shapes of the input and of all layers so far
    """
    if action is END:
        return END if len(made) > 1 else "a network without layers"
    layer = action
    if isinstance(layer, GraphConcat):
        layer = GraphConcat(min(layer.sources), max(layer.sources))
    elif layer.source == _BEFORE:
        layer = replace(layer, source=len(made) - 1)
    shape = next_shape(layer, made)
    return shape if isinstance(shape, str) else (layer, shape)
