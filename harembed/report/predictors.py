"""How well performance predictors rank networks: a table, and a picture after figure 4 of Pellatt and Roggen."""

import io
import math
from collections.abc import Iterable

from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table

from harembed.report.charts import GREY
from harembed.search.predictors.assessment import Assessment, Row
from harembed.search.predictors.correlation import GROUPS, Interval
from harembed.search.predictors.predictor import BASELINE, PREDICTORS

GROUP_NAMES = ("all", "worst 20 %", "2nd", "3rd", "4th", "best 20 %")
_COLORS = {"baseline": "#475569", "mlp": "#2563eb", "cnn": "#ea580c", "mlp-struct": "#059669",
           "cnn-struct": "#7c3aed"}


def print_assessment(assessment: Assessment, console: Console) -> None:
    """A table for each number of epochs, and what the groups are like."""
    for epochs in _epochs(assessment):
        table = Table("", *GROUP_NAMES, "best 20 % over baseline", box=None, header_style="bold",
                      title=f"Spearman of predicted and converged {_metric(assessment)} after {epochs} epochs, 95 %",
                      title_justify="left")
        for kind in PREDICTORS:
            rows = _rows(assessment, kind, epochs)
            gain = rows[GROUPS].gain
            table.add_row(kind, *(interval_text(r.correlation) for r in rows), interval_text(gain) if gain else "")
        console.print(table)
    table = Table("", *GROUP_NAMES, box=None, header_style="bold", title="The networks", title_justify="left")
    groups = assessment.groups
    table.add_row("two trainings of a network", *(interval_text(g.ceiling) if g.ceiling else "" for g in groups))
    table.add_row("networks (trained twice)", *(f"{g.networks} ({g.twice})" for g in groups))
    table.add_row(f"converged {_metric(assessment)}", *(f"{g.target[0]:.3f}-{g.target[1]:.3f}" for g in groups))
    table.add_row("layers, mean", *(f"{g.layers:.1f}" for g in groups))
    table.add_row("density, mean", *(f"{g.density:.2f}" for g in groups))
    table.add_row("MACs, mean", *(f"{g.macs:,.0f}" for g in groups))
    console.print(table)
    for epochs in _epochs(assessment):
        if words := verdict(assessment, epochs):
            console.print(words, highlight=False)


def verdict(assessment: Assessment, epochs: int) -> str:
    """Whether a predictor tells good networks from very good ones better than the baseline; empty where too few
    networks say nothing."""
    best = assessment.best(epochs)
    if best is None or best.gain is None or not math.isfinite(best.gain.value):
        return ""
    base = assessment.row(BASELINE, epochs, GROUPS)
    zero = "over zero" if best.gain.low > 0 else "below zero" if best.gain.high < 0 else "which holds zero"
    return (f"After {epochs} epochs {best.kind} ranks the best 20 % of {assessment.networks} networks best: "
            f"{interval_text(best.correlation)} against the baseline's {interval_text(base.correlation)}; over the "
            f"same draws of networks that is {best.gain.value:+.2f} [{best.gain.low:.2f}, {best.gain.high:.2f}], "
            f"{zero}.")


def plot(assessment: Assessment) -> str:
    """SVG: correlation by quintile, one panel for each number of epochs; grey: two trainings of one network."""
    epochs = _epochs(assessment)
    figure = Figure(figsize=(4.4 * len(epochs) + 1.2, 3.4))
    panels = figure.subplots(1, len(epochs), sharey=True, squeeze=False)[0]
    for axes, count in zip(panels, epochs, strict=True):
        for place, kind in enumerate(PREDICTORS):
            shown = [r.correlation for r in _rows(assessment, kind, count)]
            _points(axes, shown, (place - 2) * 0.13, _COLORS[kind], kind)
        _points(axes, [g.ceiling for g in assessment.groups], 0.42, GREY, "two trainings")
        axes.axhline(0, color="#98a2b3", lw=0.8)
        axes.set_xticks(range(len(GROUP_NAMES)), GROUP_NAMES, fontsize=7)
        axes.set_title(f"after {count} epochs")
        axes.grid(axis="y", color="#eaecf0")
    panels[0].set_ylabel("Spearman correlation")
    if panels[-1].get_legend_handles_labels()[0]:  # groups of under three networks have no correlation
        panels[-1].legend(frameon=False, fontsize=7, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", bbox_inches="tight", metadata={"Date": None, "Creator": None})
    return buffer.getvalue()


def _points(axes: object, shown: Iterable[Interval | None], shift: float, color: str, label: str) -> None:
    known = [(x + shift, i) for x, i in enumerate(shown) if i is not None and math.isfinite(i.value)]
    if known:
        values = [i.value for _, i in known]
        # A percentile interval need not contain the value itself.
        below, above = ([max(d, 0.0) for d in side] for side in (
            [i.value - i.low for _, i in known], [i.high - i.value for _, i in known]))
        axes.errorbar([x for x, _ in known], values, yerr=[below, above], fmt="o", ms=4,  # type: ignore[attr-defined]
                      lw=1, color=color, label=label)


def _epochs(assessment: Assessment) -> list[int]:
    return list(dict.fromkeys(r.epochs for r in assessment.rows))


def _rows(assessment: Assessment, kind: str, epochs: int) -> list[Row]:
    return [r for r in assessment.rows if (r.kind, r.epochs) == (kind, epochs)]


def _metric(assessment: Assessment) -> str:
    return assessment.metric.replace("_f1", " F1")


def interval_text(interval: Interval) -> str:
    """Value and interval; a dash where they are not defined."""
    if not math.isfinite(interval.value):
        return "-"
    return f"{interval.value:.2f} [{interval.low:.2f}, {interval.high:.2f}]"
