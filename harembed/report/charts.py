"""The pictures of the report, as SVG text that stands inside the page: no script, no network, prints well."""

import io
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib

matplotlib.use("svg")
# Text stays text (searchable, small), and the same figure gives the same bytes.
matplotlib.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "harembed", "font.family": "sans-serif",
                            "font.size": 9, "axes.spines.top": False, "axes.spines.right": False,
                            "axes.edgecolor": "#98a2b3", "axes.labelcolor": "#344054", "text.color": "#1d2939",
                            "xtick.color": "#475467", "ytick.color": "#475467", "axes.titlesize": 10})

from matplotlib.figure import Figure  # noqa: E402 - the backend must be chosen first
from matplotlib.patches import Rectangle  # noqa: E402
from matplotlib.ticker import MaxNLocator  # noqa: E402

BLUE, ORANGE, GREEN, GREY, RED = "#2563eb", "#ea580c", "#059669", "#98a2b3", "#dc2626"
_PALETTE = ("#2563eb", "#ea580c", "#059669", "#7c3aed", "#db2777", "#0891b2", "#ca8a04", "#475569")


def svg(figure: Figure) -> str:
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", bbox_inches="tight", metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    return text[text.index("<svg"):]


def pareto(candidates: Sequence[dict[str, Any]], front: Sequence[str], chosen: str, budget: int) -> str:
    """Validation macro F1 over MACs; candidates are {id, macs, macro_f1, finalist}."""
    figure = Figure(figsize=(6.4, 3.4))
    axes = figure.add_subplot()
    macs = [c["macs"] / 1e3 for c in candidates]
    for label, size, color, finalist in (("after short trainings", 12, "#d0d5dd", False),
                                         ("finalist, full trainings", 24, GREY, True)):
        group = [c for c in candidates if c["finalist"] == finalist]
        if group:
            axes.scatter([c["macs"] / 1e3 for c in group], [c["macro_f1"] for c in group], s=size, color=color,
                         label=label, zorder=2)
    line = sorted((c["macs"] / 1e3, c["macro_f1"]) for c in candidates if c["id"] in front)
    axes.plot(*zip(*line, strict=True), color=BLUE, marker="o", ms=4, lw=1.4, label="Pareto front", zorder=3)
    for c in candidates:
        if c["id"] == chosen:
            axes.scatter([c["macs"] / 1e3], [c["macro_f1"]], s=110, facecolors="none", edgecolors=ORANGE,
                         linewidths=2, label="chosen", zorder=4)
    if macs and budget / 1e3 < 2.5 * max(macs):
        axes.axvline(budget / 1e3, color=RED, lw=1, ls="--", label="MAC budget")
    axes.set(xlabel="thousand MACs per inference", ylabel="macro F1 on validation subjects")
    axes.grid(color="#eaecf0", zorder=0)
    axes.legend(frameon=False, loc="best", fontsize=8)
    return svg(figure)


def curves(series: dict[str, Sequence[float | None]], ylabel: str, xlabel: str = "epoch", log: bool = False) -> str:
    """Lines over epochs, one a name."""
    figure = Figure(figsize=(4.6, 2.7))
    axes = figure.add_subplot()
    for (name, values), color in zip(series.items(), _PALETTE * 4, strict=False):
        points = [float("nan") if v is None else v for v in values]
        axes.plot(range(1, len(points) + 1), points, lw=1.4, color=color, label=name)
    if log:
        axes.set_yscale("log")
    axes.set(xlabel=xlabel, ylabel=ylabel)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(color="#eaecf0")
    if len(series) > 1:
        axes.legend(frameon=False, fontsize=8)
    return svg(figure)


def trade_off(series: Mapping[str, Sequence[tuple[float, float, str]]], xlabel: str, ylabel: str) -> str:
    """Points (x, y, label), those of a series joined in the order of x."""
    figure = Figure(figsize=(5.6, 3.4))
    axes = figure.add_subplot()
    for (name, points), color in zip(series.items(), _PALETTE * 4, strict=False):
        line = sorted(points)
        axes.plot([p[0] for p in line], [p[1] for p in line], color=color, marker="o", ms=4, lw=1.2, label=name)
        for x, y, label in line:
            axes.annotate(label, (x, y), xytext=(4, 4), textcoords="offset points", fontsize=7, color=color)
    axes.set(xlabel=xlabel, ylabel=ylabel)
    axes.grid(color="#eaecf0")
    if len(series) > 1:
        axes.legend(frameon=False, fontsize=8)
    return svg(figure)


def confusion(matrix: Sequence[Sequence[int]], classes: Sequence[str]) -> str:
    """Rows: true class; columns: predicted; shaded by the share of the row, counts written in."""
    n = len(classes)
    figure = Figure(figsize=(1.6 + 0.55 * n, 1.2 + 0.45 * n))
    axes = figure.add_subplot()
    shares = [[value / max(sum(row), 1) for value in row] for row in matrix]
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for i, row in enumerate(matrix):
        for j, value in enumerate(row):
            if value:
                axes.text(j, i, f"{value}", ha="center", va="center", fontsize=8,
                          color="white" if shares[i][j] > 0.5 else "#1d2939")
    axes.set_xticks(range(n), classes, rotation=40, ha="right")
    axes.set_yticks(range(n), classes)
    axes.set(xlabel="predicted", ylabel="true")
    axes.spines[:].set_visible(False)
    return svg(figure)


def reliability(before: Sequence[dict[str, Any]], after: Sequence[dict[str, Any]]) -> str:
    """Accuracy in bins {low, high, windows, accuracy} of confidence, with and without temperature; above, windows."""
    figure = Figure(figsize=(6.4, 3.6))
    rows = figure.subplots(2, 2, sharex=True, sharey="row", gridspec_kw={"height_ratios": (1, 4), "hspace": 0.08})
    for (counts, axes), bins, title in zip(rows.T, (before, after), ("as trained", "with temperature"), strict=True):
        left, width = [b["low"] for b in bins], [b["high"] - b["low"] for b in bins]
        counts.bar(left, [b["windows"] for b in bins], width, align="edge", color=GREY, edgecolor="white")
        counts.set_title(title)
        axes.plot((0, 1), (0, 1), color=GREY, lw=1, ls="--", zorder=3)
        axes.bar(left, [b["accuracy"] for b in bins], width, align="edge", color=BLUE, alpha=0.75, edgecolor="white")
        axes.set(xlabel="confidence", xlim=(0, 1), ylim=(0, 1))
    rows[0][0].set_ylabel("windows")
    rows[1][0].set_ylabel("accuracy")
    return svg(figure)


def memory(buffers: Sequence[dict[str, Any]], arena_bytes: int, nodes: Sequence[str]) -> str:
    """The plan: each buffer a box over the nodes it lives through and the bytes it occupies."""
    figure = Figure(figsize=(6.8, 3.4))
    axes = figure.add_subplot()
    for index, b in enumerate(buffers):
        width = b["last"] - b["first"] + 1
        color = _PALETTE[index % len(_PALETTE)]
        axes.add_patch(Rectangle((b["first"] - 0.5, b["offset"]), width, b["nbytes"],
                                                    facecolor=color, alpha=0.28, edgecolor=color))
        if b["nbytes"] > arena_bytes * 0.04:
            axes.text(b["first"] - 0.5 + width / 2, b["offset"] + b["nbytes"] / 2, f"{b['name']}\n{b['nbytes']:,} B",
                      ha="center", va="center", fontsize=7)
    axes.axhline(arena_bytes, color=RED, lw=1, ls="--")
    axes.set_xlim(-1.6, len(nodes) + 0.6)
    axes.set_ylim(0, arena_bytes * 1.08)
    axes.set_xticks(range(-1, len(nodes) + 1), ["load", *nodes, "read"], rotation=40, ha="right", fontsize=7)
    axes.set(ylabel="arena offset (bytes)")
    return svg(figure)


def layer_bars(names: Sequence[str], values: Sequence[float], xlabel: str) -> str:
    """One horizontal bar a layer, in order of execution."""
    figure = Figure(figsize=(5.2, 0.7 + 0.27 * len(names)))
    axes = figure.add_subplot()
    axes.barh(range(len(names)), values, color=BLUE, height=0.62)
    axes.set_yticks(range(len(names)), names, fontsize=8)
    axes.invert_yaxis()
    axes.set(xlabel=xlabel)
    return svg(figure)
