"""A result as files for people: Markdown, and one self-contained HTML page."""

from pathlib import Path
from typing import Any

import jinja2

from harembed.report import charts
from harembed.report.body import body, unknown_places
from harembed.report.facts import sensors
from harembed.reproduce.definitions import Table
from harembed.reproduce.results import Result, mean_and_deviation, run_name
from harembed.reproduce.show import grid, markdown, notes, origin
from harembed.resources import resource_dir
from harembed.rundir import RunDir, write_atomic


def write_pages(result: Result, table: Table, folder: Path) -> tuple[Path, ...]:
    """table.md and table.html, beside the run folders."""
    return (write_atomic(folder / "table.md", markdown(result, table.metric)),
            write_atomic(folder / "table.html", render(result, table, folder)))


def render(result: Result, table: Table, folder: Path) -> str:
    """The page; refers to nothing outside itself."""
    # The SVG texts are ours, not the user's: they enter unescaped.
    from markupsafe import Markup

    environment = jinja2.Environment(loader=jinja2.FileSystemLoader(resource_dir("templates") / "report"),
                                     autoescape=True, undefined=jinja2.StrictUndefined,
                                     trim_blocks=True, lstrip_blocks=True)
    header, rows = grid(result, table.metric)
    plots = _rankings(result) if result.assessment else _plots(result) if table.drawn else _bodies(result, folder)
    return environment.get_template("reproduce.html.j2").render(
        result=result, header=header, rows=rows, notes=notes(result), origin=origin(result),
        plots=[{**plot, "svg": Markup(plot["svg"])} for plot in plots])


def _rankings(result: Result) -> list[dict[str, Any]]:
    """Figure 4 of Pellatt and Roggen."""
    from harembed.report.predictors import plot
    from harembed.reproduce.rankings import assessment_of

    svg = plot(assessment_of(result))
    return [{"svg": svg[svg.index("<svg"):],
             "caption": "Spearman's correlation by fifth of the networks, 95 % by bootstrap; grey: two trainings of "
                        "one network."}]


def _plots(result: Result) -> list[dict[str, Any]]:
    """Figure 5: (a) time against score, (b) filters by layer."""
    series: dict[str, list[tuple[float, float, str]]] = {}
    for row in result.rows:
        times, scores = row.values(lambda r: r.latency_us), row.values(lambda r: r.macro_f1_int8)
        if times and scores:
            point = mean_and_deviation(times)[0] / 1e3, mean_and_deviation(scores)[0], row.name
            series.setdefault(row.series, []).append(point)
    filters = {row.name: row.runs[0].filters for row in result.rows if row.runs}
    if not series:
        return []
    return [
        {"svg": charts.trade_off(series, "modelled ms of one inference", "macro F1, int8, test subjects"),
         "caption": "(a) Time against score, means over seeds. Time is estimated by the board's cycle model."},
        {"svg": charts.curves({name: list(map(float, f)) for name, f in filters.items()}, "filters", "layer"),
         "caption": "(b) Filters of the first stage by layer, of the first seed."}]


def _bodies(result: Result, folder: Path) -> list[dict[str, Any]]:
    """Which sensor channels are left, of rows that limit them; every run whose folder is there."""
    found = []
    for row in result.rows:
        for run in row.runs if "channels" in row.settings else ():
            kept = RunDir(folder / run_name(row.key, run.seed))
            if not kept.has("data.json") or not kept.has("search.json"):
                continue
            channels = kept.read_json("data.json")["channels"]
            used = kept.read_json("search.json")["architecture"]["channels"]
            worn = sensors(channels, used)
            if not unknown_places(worn):
                words = f"{row.name}, seed {run.seed}: filled are channels in use, {len(used)} of {len(channels)}."
                found.append({"svg": body(worn), "caption": words})
    return found
