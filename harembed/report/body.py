"""Which sensor channels a network uses, drawn on a body: a person, the places of the devices, a card for each."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.patches import Circle, FancyBboxPatch, Polygon

from harembed.data.places import SPOTS
from harembed.report.charts import BLUE, GREY, Figure, svg

_SKIN = "#e4e7ec"
_SQUARE, _ROW, _TITLE, _GAP = 0.34, 0.42, 0.46, 0.3  # of a card
_EDGE, _LABEL = 2.55, 1.05  # where cards begin, from the middle; room for the name of a kind
_WIDEST = 5.2  # half of the picture
_DOT = 0.21


@dataclass(frozen=True)
class _Card:
    place: str
    rows: dict[str, list[dict[str, Any]]]  # kind -> channels
    side: int  # -1: left of the picture

    @property
    def height(self) -> float:
        return _TITLE + _ROW * len(self.rows)

    @property
    def used(self) -> int:
        return sum(c["used"] for row in self.rows.values() for c in row)


def unknown_places(sensors: Sequence[dict[str, Any]]) -> list[str]:
    """Places that cannot be drawn; "" stands for channels of which the data do not say where they are worn."""
    return [s["place"] for s in sensors if s["place"] not in SPOTS]


def body(sensors: Sequence[dict[str, Any]]) -> str:
    """A person with the devices and their channels: filled ones are used, empty ones were pruned.

    Parameters
    ----------
    sensors : as in report.json: {place, channels: [{name, kind, axis, used}]}; all places are in SPOTS
    """
    left, right = _cards(sensors)
    most = max(sum(c.height + _GAP for c in side) for side in (left, right))
    top = max(8.1, 4.1 + most / 2)
    figure = Figure(figsize=(2 * _WIDEST * 0.72, (top - min(0.0, 8.1 - top) + 0.1) * 0.72))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(-_WIDEST, _WIDEST), ylim=(min(0.0, 8.1 - top), top), aspect="equal")
    axes.axis("off")
    _person(axes)
    for side in (left, right):
        y = 4.1 + (sum(c.height for c in side) + _GAP * (len(side) - 1)) / 2
        for card in side:
            _leader(axes, card, y - _TITLE / 2)
            _draw(axes, card, y)
            y -= card.height + _GAP
    return svg(figure)


def _cards(sensors: Sequence[dict[str, Any]]) -> tuple[list[_Card], list[_Card]]:
    """Of both sides of the picture, from the head down; places in the middle go where fewer are."""
    sides: dict[int, list[_Card]] = {-1: [], 1: []}
    for s in sorted(sensors, key=lambda s: -abs(SPOTS[s["place"]][0])):
        rows: dict[str, list[dict[str, Any]]] = {}
        for channel in s["channels"]:
            rows.setdefault(channel["kind"], []).append(channel)
        x = SPOTS[s["place"]][0]
        side = (1 if x > 0 else -1) if x else (-1 if len(sides[-1]) < len(sides[1]) else 1)
        sides[side].append(_Card(s["place"], rows, side))
    down = [sorted(sides[side], key=lambda c: -SPOTS[c.place][1]) for side in (-1, 1)]
    return down[0], down[1]


def _person(axes: Axes) -> None:
    limbs = [([s * x for x in xs], ys, width) for s in (-1, 1) for xs, ys, width in (
        ((0.76, 1.15, 1.4), (6.02, 4.95, 3.75), 17), ((0.38, 0.46, 0.5, 0.62), (3.9, 2.2, 0.45, 0.28), 23))]
    for xs, ys, width in limbs:
        axes.plot(xs, ys, color=_SKIN, lw=width, solid_capstyle="round", solid_joinstyle="round", zorder=1)
    axes.plot((0, 0), (6.3, 7.0), color=_SKIN, lw=14, zorder=1)
    half = [(0.25, 6.32), (0.72, 6.08), (0.5, 4.7), (0.52, 3.9)]
    outline = half + [(-x, y) for x, y in reversed(half)]
    axes.add_patch(Polygon(outline, facecolor=_SKIN, edgecolor=_SKIN, lw=17, joinstyle="round", zorder=1))
    axes.add_patch(Circle((0, 7.36), 0.5, facecolor=_SKIN, edgecolor="none", zorder=1))


def _leader(axes: Axes, card: _Card, y: float) -> None:
    """A dot at the place with the number of used channels, and a line to the card."""
    x0, y0 = SPOTS[card.place]
    color = BLUE if card.used else GREY
    axes.plot((x0, card.side * 2.0, card.side * _EDGE), (y0, y, y), color=color, lw=0.8, zorder=2)
    axes.add_patch(Circle((x0, y0), _DOT, facecolor=BLUE if card.used else "white", edgecolor=color, lw=1.2,
                          zorder=3))
    axes.text(x0, y0, str(card.used), ha="center", va="center_baseline", fontsize=8, zorder=4,
              color="white" if card.used else GREY)


def _draw(axes: Axes, card: _Card, y: float) -> None:
    """A card whose upper edge is at y."""
    x = _EDGE if card.side > 0 else -_WIDEST + 0.1
    total = sum(map(len, card.rows.values()))
    axes.add_patch(FancyBboxPatch((x, y - card.height), _WIDEST - 0.1 - _EDGE, card.height, facecolor="white",
                                  edgecolor="#d0d5dd", lw=0.8, boxstyle="round,pad=0,rounding_size=0.12", zorder=2))
    axes.text(x + 0.14, y - _TITLE / 2, card.place, va="center_baseline", fontsize=9, weight="bold", zorder=3)
    axes.text(x + _WIDEST - 0.24 - _EDGE, y - _TITLE / 2, f"{card.used} of {total}", ha="right",
              va="center_baseline", fontsize=8, color="#475467", zorder=3)
    for number, (kind, channels) in enumerate(card.rows.items()):
        middle = y - _TITLE - _ROW * (number + 0.5) + 0.06
        axes.text(x + 0.14, middle, kind, va="center_baseline", fontsize=8, color="#475467", zorder=3)
        for i, channel in enumerate(channels):
            _square(axes, x + _LABEL + i * (_SQUARE + 0.06), middle, channel)


def _square(axes: Axes, x: float, y: float, channel: dict[str, Any]) -> None:
    used = channel["used"]
    axes.add_patch(FancyBboxPatch((x, y - _SQUARE / 2), _SQUARE, _SQUARE, facecolor=BLUE if used else "white",
                                  edgecolor=BLUE if used else "#d0d5dd", lw=0.9, zorder=3,
                                  boxstyle="round,pad=0,rounding_size=0.06"))
    axes.text(x + _SQUARE / 2, y, channel["axis"], ha="center", va="center_baseline", fontsize=8, zorder=4,
              color="white" if used else GREY)
