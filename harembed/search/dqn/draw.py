"""Random networks of the space, within the limits: for the database of the predictors, and as random search."""

import random
from collections.abc import Iterator

from harembed.data.recording import Windows
from harembed.errors import SearchError
from harembed.feature_graph import FeatureGraph, LayerShape
from harembed.search.candidate import architecture_id
from harembed.search.dqn.actions import END, Action, action_list, place
from harembed.search.score import cost_scores, violations
from harembed.search.settings import SearchSettings
from harembed.space import GraphArchitecture

TRIES = 2000  # for each network that is wanted


def network_of(graph: FeatureGraph, windows: Windows, settings: SearchSettings) -> GraphArchitecture:
    """The whole network around a feature extractor: all sensor channels in, the tail behind."""
    window, sensors, classes = windows.shape
    return GraphArchitecture(window, tuple(range(sensors)), graph, settings.dqn.tail, classes,
                             settings.dqn.sensors)


def input_shape(windows: Windows, settings: SearchSettings) -> LayerShape:
    """Of the graph's input."""
    window, sensors, _ = windows.shape
    return LayerShape(window, sensors if settings.dqn.sensors == "mixed" else 1)


def draw_graph(rng: random.Random, actions: tuple[Action, ...], most: int, start: LayerShape) -> FeatureGraph:
    """A random network: a depth of 1 to `most`, then valid layers one as likely as another.

    Without the first draw nearly all networks would be as deep as can be; those of the paper's figure 4 have about
    4 to 6 layers on average.
    """
    made, layers = [start], []
    for _ in range(rng.randint(1, most)):
        placed = [place(a, made) for a in actions if a is not END]
        layer, shape = rng.choice([p for p in placed if isinstance(p, tuple)])
        layers.append(layer)
        made.append(shape)
    return FeatureGraph(tuple(layers))


def draws(rng: random.Random, windows: Windows, settings: SearchSettings) -> Iterator[GraphArchitecture]:
    """Random networks without end, whatever they cost."""
    actions, start = action_list(settings.dqn), input_shape(windows, settings)
    while True:
        yield network_of(draw_graph(rng, actions, settings.dqn.max_layers, start), windows, settings)


def draw_within(rng: random.Random, windows: Windows, settings: SearchSettings,
                wanted: int) -> list[GraphArchitecture]:
    """Different networks within the limits.

    Raises
    ------
    SearchError    so many are not found
    """
    found: dict[str, GraphArchitecture] = {}
    for _, arch in zip(range(TRIES * wanted), draws(rng, windows, settings), strict=False):
        if not violations(arch, cost_scores(arch, settings), settings):
            found.setdefault(architecture_id(arch), arch)
        if len(found) == wanted:
            return list(found.values())
    raise SearchError(f"Only {len(found)} of {wanted} random networks were found within the limits, in "
                      f"{TRIES * wanted:,} draws.", "Raise --macs or --ram, or take fewer --filters.")
