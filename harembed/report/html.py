"""The facts of a run as one self-contained HTML page."""

from typing import Any

import jinja2

from harembed.report import charts
from harembed.report.body import body, unknown_places
from harembed.resources import resource_dir

LONGEST_LABEL = 20  # characters, of a buffer
ARITHMETICS = (("float", "float32, batch-norm folded, trained as long as int8"),
               ("ptq", "int8 by calibration alone, no training"),
               ("int8", "int8 after quantisation-aware training: what the firmware computes"))


def render(facts: dict[str, Any]) -> str:
    """Render the page.

    Parameters
    ----------
    facts : dict    as harembed.report.facts.collect makes it

    Returns
    -------
    str    HTML; refers to nothing outside itself
    """
    environment = jinja2.Environment(loader=jinja2.FileSystemLoader(resource_dir("templates") / "report"),
                                     autoescape=True, undefined=jinja2.StrictUndefined,
                                     trim_blocks=True, lstrip_blocks=True)
    environment.filters["thousands"] = lambda n: f"{round(n):,}".replace(",", "\u202f")
    subject = facts["dataset"]["name"] if facts["dataset"] else facts["model"]["file"]
    return environment.get_template("report.html.j2").render(
        facts=facts, title=f"{subject} on {facts['board']['name']}: harembed report",
        learned=_learned(facts) if facts["dataset"] else None, charts=_charts(facts), usage=_usage(facts),
        flash=flash_commands(facts))


def _learned(facts: dict[str, Any]) -> dict[str, Any]:
    """What the page shows of data, search and training."""
    # The SVG texts are ours, not the user's: they enter unescaped.
    from markupsafe import Markup

    search = facts["search"]
    return {
        **_body(facts["sensors"]),
        "arithmetics": ARITHMETICS, "classes": _classes(facts), "channels": _channels(facts),
        "candidates": sorted(facts["candidates"], key=lambda c: (-c["finalist"], -c["macro_f1"]))[:12],
        "confusion": Markup(charts.confusion(facts["scores"]["test"]["int8"]["confusion"],
                                             facts["dataset"]["classes"])),
        "reliability": Markup(charts.reliability(*(facts["calibration"]["int8"][k]["bins"] for k in (
            "before", "after")))) if facts["calibration"] else None,
        "pareto": Markup(charts.pareto(facts["candidates"], search["front"], search["chosen"],
                                       facts["settings"]["macs"])),
        "search": [{"svg": Markup(charts.curves(c["series"], c["ylabel"], c.get("xlabel", "epoch"))),
                    "caption": c["caption"]} for c in search["curves"]],
        "training": [{"svg": Markup(charts.curves(c["series"], c["ylabel"])), "caption": c["caption"]}
                     for c in facts["training"]["curves"]],
    }


def _body(sensors: list[dict[str, Any]]) -> dict[str, Any]:
    """The drawing of the sensor channels, or in words why there is none; and how many there are."""
    from markupsafe import Markup

    channels = [c for s in sensors for c in s["channels"]]
    counts = {"channels_used": sum(c["used"] for c in channels), "channels_all": len(channels)}
    unknown = unknown_places(sensors)
    if not unknown:
        return {**counts, "body": Markup(body(sensors)), "no_body": None}
    named = ", ".join(place for place in unknown if place)
    reason = (f"where {named} is on a body is not known" if named else "the recordings do not say where on the body "
              "their channels were worn")
    return {**counts, "body": None, "no_body": reason}


def flash_commands(facts: dict[str, Any]) -> list[str]:
    """What to type to bring the image onto the board, one line a tool."""
    flash = facts["board"].get("flash_tools") or {}
    elf = facts["build"]["elf"]
    lines = []
    if flash.get("openocd_config"):
        lines.append(f'openocd -f {flash["openocd_config"]} -c "program {elf} verify reset exit"')
    if flash.get("pyocd_target"):
        lines.append(f"pyocd flash --target {flash['pyocd_target']} {elf}")
    return lines or ["this target is a program of the host: nothing to flash"]


def _charts(facts: dict[str, Any]) -> dict[str, Any]:
    # The SVG texts are ours, not the user's: they enter unescaped.
    from markupsafe import Markup

    plan = facts["memory_plan"]
    layers = [x for x in facts["layers"] if x["instructions"]]
    return {
        "memory": Markup(charts.memory(_labelled(plan["buffers"], facts["layers"]), facts["peak_ram_bytes"],
                                       [x["name"] for x in facts["layers"]])),
        "instructions": Markup(charts.layer_bars([x["name"] for x in layers], [x["instructions"] for x in layers],
                                                 "instructions")) if layers else "",
    }


def _labelled(buffers: list[dict[str, Any]], layers: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Buffers under names that fit into a picture: converters name a tensor after all that was fused into it."""
    writers = {layer["output"]: layer["name"] for layer in layers}

    def label(name: str) -> str:
        return name if len(name) <= LONGEST_LABEL else writers.get(name, f"{name[:LONGEST_LABEL]}…")

    return [{**b, "name": " → ".join(map(label, (b["name"], *b.get("in_place", ()))))} for b in buffers]


def _classes(facts: dict[str, Any]) -> list[dict[str, Any]]:
    test = facts["scores"]["test"]
    return [{"name": name, "windows": sum(test["int8"]["confusion"][i]), "int8": test["int8"]["f1_by_class"][i],
             "float": test["float"]["f1_by_class"][i]} for i, name in enumerate(facts["dataset"]["classes"])]


def _usage(facts: dict[str, Any]) -> list[dict[str, Any]]:
    """What the image takes of the board; a host has no limits."""
    board = facts["board"]
    static, stack = facts["ram_static_bytes"], facts["stack_bytes"]
    rows = [
        ("flash", facts["flash_bytes"], board["flash_bytes"]),
        ("RAM, all static data and the stack", None if static is None else static + (stack or 0), board["ram_bytes"]),
        ("arena against the search's RAM budget", facts["peak_ram_bytes"], board["ram_budget_bytes"])]
    return [{"name": n, "used": used, "limit": limit} for n, used, limit in rows if used is not None and limit]


def _channels(facts: dict[str, Any]) -> list[dict[str, Any]]:
    used = set(facts["architecture"]["channels"])
    return [{**c, "used": i in used} for i, c in enumerate(facts["dataset"]["channels"])]
