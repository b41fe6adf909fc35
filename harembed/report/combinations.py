"""Networks of several forms and sizes side by side: a table, and a page with plots."""

from typing import Any

import jinja2
from rich.console import Console
from rich.table import Table

from harembed.report import charts
from harembed.resources import resource_dir


def print_rows(result: dict[str, Any], console: Console) -> None:
    table = Table("at most", "form", "bytes", "MACs", "validation", "test", "", box=None, header_style="bold")
    for row in result["rows"]:
        best = result["best"][str(row["budget"])] == row["name"]
        table.add_row(f"{row['budget']:,} B", row["name"], f"{row['bytes']:,}", f"{row['macs']:,}",
                      f"{row['validation']:.4f}", f"{row['test']:.4f}", "best" if best else "")
    said = result["teachers"]
    together = [f"{said[part]['ensemble']:.4f}" for part in ("validation", "test")]
    table.add_row("", "the teachers, float", "", "", *together, f"{len(said['test']['each'])} together")
    console.print(table)


def render(result: dict[str, Any]) -> str:
    """One self-contained page."""
    from markupsafe import Markup

    environment = jinja2.Environment(loader=jinja2.FileSystemLoader(resource_dir("templates") / "report"),
                                     autoescape=True, undefined=jinja2.StrictUndefined,
                                     trim_blocks=True, lstrip_blocks=True)
    plots, seeds = [], ", ".join(map(str, result["seeds"]))
    for part in ("validation", "test"):
        series: dict[str, list[tuple[float, float, str]]] = {}
        for row in result["rows"]:
            series.setdefault(row["name"], []).append((row["bytes"] / 1e3, row[part], ""))
        drawn = charts.trade_off(series, "kB of constants, estimated", f"macro F1, {part} people")
        plots.append({"svg": Markup(drawn),
                      "caption": f"{part.capitalize()} people, means over seeds {seeds}."})
    return environment.get_template("combinations.html.j2").render(result=result, plots=plots)
