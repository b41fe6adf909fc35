"""A profile on the terminal and as one self-contained HTML page."""

from typing import Any

import jinja2
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

import harembed
from harembed.board import Board
from harembed.harness.profile import TITLES, Profile
from harembed.report import charts
from harembed.resources import resource_dir

FORMAT_VERSION = 1
_BAR = 14  # characters
_FUNCTIONS = 12  # in a table; the rest is summed up
_WIDE = 100  # characters of a terminal that has room for bars
_HEADERS = {"cycles_measured": "cycles", "cycles_modelled": "modelled\ncycles", "nanoseconds_measured": "ns",
            "instructions": "instruc-\ntions"}
_EIGHTHS = " ▏▎▍▌▋▊▉"


def profile_facts(profile: Profile, network: str, board: Board, graph_id: str, optimize: str) -> dict[str, Any]:
    """Everything as plain data: what --json writes and the page shows."""
    model = board.cycle_model
    return {"format_version": FORMAT_VERSION, "harembed": harembed.__version__, "board": board.name,
            "board_title": board.title, "network": network, "graph_id": graph_id, "optimize": optimize,
            **profile.to_dict(),
            "cycle_model": model.text if model and "cycles_modelled" in profile.keys else None,
            "cycle_model_short": model.short if model and "cycles_modelled" in profile.keys else None}


def print_profile(profile: Profile, facts: dict[str, Any], console: Console) -> None:
    """Two tables, the totals, and where each column comes from."""
    best = profile.keys[0]
    wide = console.width >= _WIDE
    table = _table("layer", "op", "MACs", "bytes\nmoved", *(_HEADERS[k] for k in profile.keys), "per\nMAC", "share")
    origins = ["", "", "counted", "counted", *(profile.provenance(k) for k in profile.keys), "", ""]
    table.add_row(*(f"[dim]{o}[/dim]" for o in origins))
    for n in facts["layers"]:
        table.add_row(escape(n["name"]), n["op"], f"{n['macs']:,}", f"{n['moved_bytes']:,}",
                      *(f"{n[k]:,}" for k in profile.keys), _two(n["per_mac"]), _bar(n["share"], wide))
    macs = sum(n["macs"] for n in facts["layers"])
    table.add_section()
    table.add_row("[bold]inference[/bold]", "", f"{macs:,}", f"{sum(n['moved_bytes'] for n in facts['layers']):,}",
                  *(f"[bold]{profile.total(k):,}[/bold]" for k in profile.keys),
                  _two(profile.total(best) / macs if macs else None), "")
    console.print(table)
    if facts["functions"]:
        console.print()
        console.print(_functions(facts, wide))
    console.print()
    for line in notes(profile, facts):
        console.print(line, style="dim", highlight=False)


def notes(profile: Profile, facts: dict[str, Any]) -> list[str]:
    """Where the figures come from, in sentences."""
    lines = []
    for r in profile.reports:
        duration = f", {r.latency_us / 1000:.3f} ms" if r.latency_us is not None else ""
        clock = f" at {r.clock_hz / 1e6:.0f} MHz" if r.clock_hz and duration else ""
        runs = f", median of {r.repeats} runs" if r.repeats > 1 else ""
        error = f" ({facts['cycle_model_short']})" if r.unit == "modelled_cycles" else ""
        lines.append(f"{r.provenance} on {r.device}: {r.median:,} {r.unit.replace('_', ' ')}{duration}{clock}{runs}"
                     f"{error}.")
    lines.append("counted: from the network; bytes moved are weights, inputs and outputs of a layer, each once.")
    if facts["cycle_model"]:
        lines.append(facts["cycle_model"])
    return lines


def _table(*headers: str) -> Table:
    """Names to the left, figures to the right, a share with its bar to the left again."""
    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 1), collapse_padding=True)
    for i, header in enumerate(headers):
        table.add_column(header, justify="left" if i < 2 or header == "share" else "right", no_wrap=True,
                         vertical="bottom")
    return table


def _functions(facts: dict[str, Any], wide: bool) -> Table:
    keys = [k for k in TITLES if k in facts["functions"][0]]
    table = _table("function", "layer", *(_HEADERS[k] for k in keys), "share")
    for f in facts["functions"][:_FUNCTIONS]:
        table.add_row(escape(f["name"]), escape(f["layer"]) or "[dim]shared[/dim]", *(f"{f[k]:,}" for k in keys),
                      _bar(f["share"], wide))
    rest = facts["functions"][_FUNCTIONS:]
    if rest:
        table.add_row(f"[dim]{len(rest)} more[/dim]", "", *(f"{sum(f[k] for f in rest):,}" for k in keys),
                      _bar(sum(f["share"] for f in rest), wide))
    return table


def _two(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def _bar(part: float, wide: bool) -> Text:
    """A share as a number, and where there is room as a bar of eighths of characters."""
    if not wide:
        return Text(f"{100 * part:4.1f} %")
    eighths = round(part * _BAR * 8)
    bar = "█" * (eighths // 8) + _EIGHTHS[eighths % 8].strip()
    return Text(f"{100 * part:4.1f} % ") + Text(bar, style="blue")


def render_profile(profile: Profile, facts: dict[str, Any]) -> str:
    """The page; refers to nothing outside itself."""
    # The SVG texts are ours, not the user's: they enter unescaped.
    from markupsafe import Markup

    environment = jinja2.Environment(loader=jinja2.FileSystemLoader(resource_dir("templates") / "report"),
                                     autoescape=True, undefined=jinja2.StrictUndefined,
                                     trim_blocks=True, lstrip_blocks=True)
    environment.filters["thousands"] = lambda n: f"{round(n):,}".replace(",", "\u202f")
    best = profile.keys[0]
    layers = [n for n in facts["layers"] if n[best]]
    busy = [n for n in layers if n["per_mac"] is not None]
    functions = [f for f in facts["functions"] if f["share"] >= 0.002][:_FUNCTIONS]
    drawn = {
        "layers": charts.layer_bars([n["name"] for n in layers], [n[best] for n in layers], TITLES[best]),
        "per_mac": charts.layer_bars([n["name"] for n in busy], [n["per_mac"] for n in busy],
                                     f"{TITLES[best]} per MAC") if busy else "",
        "functions": charts.layer_bars([_named(f) for f in functions], [100 * f["share"] for f in functions],
                                       "share of the time, %") if functions else "",
    }
    return environment.get_template("profile.html.j2").render(
        facts=facts, keys=profile.keys, titles=TITLES, best=best, notes=notes(profile, facts), shown=_FUNCTIONS,
        provenance={k: profile.provenance(k) for k in profile.keys},
        totals={k: profile.total(k) for k in profile.keys},
        charts={name: Markup(svg) for name, svg in drawn.items()})


def _named(function: dict[str, Any]) -> str:
    return f"{function['name']} ({function['layer']})" if function["layer"] else function["name"]
