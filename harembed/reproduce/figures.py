"""A finished run folder's figures, whatever stages it went through."""

from typing import Any

from harembed.cost.dims import dims_of
from harembed.cost.macs import parameters, total_macs
from harembed.new_people import FILE as NEW_PEOPLE
from harembed.report.facts import sensors, sensors_in_words
from harembed.rundir import RunDir
from harembed.space import network_from_dict

_INT8, _FLOAT, _REPORT = "scores.json", "float.json", "report.json"


def figures(run: RunDir, by_subject: bool) -> dict[str, Any]:
    """What harembed.reproduce.results.Run holds, without seed, date and seconds.

    Parameters
    ----------
    by_subject : whether the test subjects are new people, so that their score is the honest one
    """
    search = run.read_json("search.json")
    scored = run.read_json(_INT8 if run.has(_INT8) else _FLOAT)
    test, teachers = scored["test"], scored.get("teachers") or {}
    chosen = next(c for c in search["candidates"] if c["id"] == search["chosen"])
    architecture = search["architecture"]
    # Its costs are not those of the candidate, which has whole filters where the network may have Lego filters.
    network = network_from_dict(architecture)
    dims = dims_of(network)
    found = {
        "network": network.describe(), "filters": [c["filters"] for c in architecture.get("convs", [])],
        "channels": len(architecture["channels"]), "parameters": int(parameters(dims)),
        "macs": int(total_macs(dims)),
        **{key: test["float"][key] for key in ("macro_f1", "weighted_f1", "accuracy")},
        # One short training says little; finals are several long ones, on every fold.
        "validation_f1": chosen["macro_f1"] if chosen["trainings"] > 1 else None,
        "macro_f1_int8": test["int8"]["macro_f1"] if "int8" in test else None,
        "new_people_f1": test["float"]["macro_f1"] if by_subject else _new_people(run),
        "sensors": sensors_in_words(sensors(run.read_json("data.json")["channels"], architecture["channels"])),
        "generations_f1": teachers.get("each", []), "ensemble_f1": teachers.get("ensemble"),
        "epochs_trained": search["epochs_trained"]["total"]}
    if run.has(_REPORT):
        report = run.read_json(_REPORT)
        found |= {"latency_us": report["latency_us"], "peak_ram_bytes": report["peak_ram_bytes"]}
    return found


def _new_people(run: RunDir) -> float | None:
    return run.read_json(NEW_PEOPLE).get("macro_f1") if run.has(NEW_PEOPLE) else None


def _train(protocol: dict[str, Any]) -> str:
    return f" ({protocol['train_hop']} of training windows)" if protocol.get("train_hop") else ""


def protocol(run: RunDir) -> tuple[str, str]:
    """(the dataset's title, its protocol in words)."""
    data = run.read_json("data.json")
    p = data["protocol"]
    return data["title"], (f"{p['split']}; windows of {p['window']} samples, hop {p['hop']}{_train(p)}, "
                           f"{len(data['channels'])} channels, {len(data['classes'])} classes; "
                           f"{data['windows']['train']:,} windows to train, {data['windows']['test']:,} to test; "
                           f"metric: {p['metric']}")
