"""report.json: every figure of a run under a stable key, and beside it where it comes from.

A figure `macs` has a sibling `macs_provenance`, one of

counted      follows from the network alone (MACs, parameters, planned bytes)
evaluated    computed on recordings by the integer program's reference (scores, noise)
simulated    the very firmware image ran on a simulator (instructions, stack, bytes written)
estimated    a formula over counted or simulated figures, its error stated (modelled cycles, latency)
measured     a board did it

KEYS is the documentation; a test holds it against real reports. A report of `compile` has the same keys; those in
LEARNED, which tell of recordings, training and search, are null there (and `model` is null in one of `search`).
"""

import re
from collections.abc import Sequence
from typing import Any

import harembed
from harembed.backends import BACKENDS
from harembed.compile_job import SOURCE
from harembed.errors import RunError
from harembed.rundir import RunDir
from harembed.settings import CompileSettings, stored_settings

FORMAT_VERSION = 1

# key: (meaning and unit, provenance; "" where a fact is not a figure)
KEYS: dict[str, tuple[str, str]] = {
    "format_version": ("of this file", ""),
    "harembed": ("version that wrote it", ""),
    "verb": ("search: from recordings; compile: from a .tflite", ""),
    "model": ("the .tflite that was compiled: file, bytes, sha256", ""),
    "board": ("name, title and limits of the board", ""),
    "dataset": ("name, title, channels, classes, subjects, windows, citation, licence, notice", ""),
    "protocol": ("window and hop in samples, split in words, metric, whether it leaks", ""),
    "sensors": ("by place on the body (empty where the data do not name it): place, and channels with name, kind, "
                "axis and whether the network uses them", ""),
    "seeds": ("run: the seed that everything random was derived from (compile: the inputs of the proof)", ""),
    "settings": ("what the run was asked for", ""),
    "architecture": ("`text`, one line; of a search also the chosen network as plain data", ""),
    "interface": ("inputs and outputs: name, shape, dtype, scale, zero point", ""),
    "graph_id": ("16 hex digits that name the integer program", ""),
    "macs": ("multiply-accumulates of one inference", "counted"),
    "parameters": ("weights and biases after batch-norm folding", "counted"),
    "macro_f1_float": ("test subjects, float branch, same epochs and recipe as int8", "evaluated"),
    "macro_f1_ptq": ("test subjects, int8 by post-training quantisation alone", "evaluated"),
    "macro_f1_int8": ("test subjects, int8 after quantisation-aware training", "evaluated"),
    "macro_f1_validation": ("validation subjects, mean over folds, float, short training: what the search saw",
                            "evaluated"),
    "accuracy_int8": ("test subjects", "evaluated"),
    "weighted_f1_int8": ("test subjects", "evaluated"),
    "scores": ("per class and confusion matrices, by split and arithmetic; `worn`: with sensors turned or swapped; "
               "`events`: of continuous recordings; `new_people`: float, by subject, where the split shares people",
               "evaluated"),
    "peak_ram_bytes": ("arena by the memory plan, input and output included", "counted"),
    "peak_ram_lower_bound_bytes": ("largest live set; no plan can be smaller", "counted"),
    "peak_ram_elf_bytes": ("size of the arena in the firmware image", "counted"),
    "peak_ram_simulated_bytes": ("highest arena byte written, plus one", "simulated"),
    "ram_static_bytes": (".data and .bss of the image: arena, buffers, application", "counted"),
    "flash_bytes": ("of the image: code, weights, tables, vectors", "counted"),
    "sections": ("bytes by section of the ELF file", "counted"),
    "stack_bytes": ("high-water mark while the image answered a load and an inference", "simulated"),
    "invoke_stack_bytes": ("deepest stack of he_model_invoke() by the compiler's call graph; null where it has none",
                           "counted"),
    "instructions": ("executed by one inference, input quantisation excluded", "simulated"),
    "cycles_modelled": ("by the cycle model of the board file, see cycle_model", "estimated"),
    "cycle_model": ("coefficients, error and validity of the cycle model", ""),
    "latency_us": ("cycles_modelled over the clock", "estimated"),
    "clock_hz": ("as the firmware reads it back from the (simulated) clock registers", "simulated"),
    "layers": ("by node: op, output shape, MACs, bytes of weights and output, instructions, SQNR in dB", ""),
    "memory_plan": ("buffers with offset, bytes, first and last node, and what is computed over them in place",
                    "counted"),
    "parity": ("windows (recorded, or given with --inputs), random (made up: full range with `seed`, the last "
               "`extremes` constant), mismatches, and each target compared with ==", "simulated"),
    "onnx": ("the QDQ export in onnxruntime: same_class of windows, max_logit_deviation in steps", "evaluated"),
    "calibration": ("how far confidence can be believed, null without: `fitted` (temperature, on held-out training "
                    "people), `float` and `int8` (test subjects), each before and after: expected calibration error "
                    "in 10 bins, its 95 % interval, the bins; int8 after is the output that the firmware computes",
                    "evaluated"),
    "candidates": ("what the search scored, by id", ""),
    "strategy": ("of the search, by name; its settings are in `settings`", ""),
    "epochs_trained": ("by the search: total, super-net (its passes over windows in epochs of a candidate), "
                       "candidates; see harembed/search/effort.py", "counted"),
    "search_windows": ("training windows that the search learnt from", "counted"),
    "search": ("curves, chosen candidate, Pareto fronts of the finalists: `front` over macro F1 and MACs, `pareto` "
               "over macro F1, RAM, flash, latency and MACs", ""),
    "training": ("curves by epoch of float, float branch and QAT", ""),
    "kernels": ("whose the image has: `text`, one line; backend, --optimize, foreign sources with their revisions, "
                "and the nodes that run on our portable kernels instead, with the reason", ""),
    "toolchain": ("compiler that built the image", ""),
    "build": ("path of the image inside the run folder", ""),
}


LEARNED = ("dataset", "protocol", "sensors", "macro_f1_float", "macro_f1_ptq", "macro_f1_int8", "macro_f1_validation",
           "accuracy_int8", "weighted_f1_int8", "scores", "calibration", "candidates", "strategy", "epochs_trained",
           "search_windows", "search", "training")


def collect(run: RunDir) -> dict[str, Any]:
    """Gather the facts of a finished run from the files of its stages.

    Raises
    ------
    RunError    a stage has not run, or its file is damaged
    """
    settings = stored_settings(run.file("run.toml"))
    if isinstance(settings, CompileSettings):
        return _with_provenance({**dict.fromkeys(LEARNED), **_compiled(run, settings), **_firmware(run, {})})
    scores = run.read_json("scores.json")
    noise = {n["tensor"]: n["sqnr_db"] for n in scores["noise"]}
    return _with_provenance({**_learned(run, scores), **_firmware(run, noise)})


def _compiled(run: RunDir, settings: CompileSettings) -> dict[str, Any]:
    """What only a run of `compile` knows."""
    return {
        "verb": "compile",
        "model": {"file": settings.model, "bytes": run.file(SOURCE).stat().st_size, "sha256": settings.model_sha256},
        "seeds": {"run": settings.seed},
        "settings": settings.model_dump(),
    }


def _learned(run: RunDir, scores: dict[str, Any]) -> dict[str, Any]:
    """What only a run of `search` knows."""
    data, search, training = (run.read_json(f"{n}.json") for n in ("data", "search", "training"))
    test = scores["test"]
    return {
        "verb": "search",
        "model": None,
        "dataset": {k: v for k, v in data.items() if k != "protocol"},
        "protocol": data["protocol"],
        "sensors": sensors(data["channels"], search["architecture"]["channels"]),
        "seeds": {"run": search["settings"]["seed"]},
        "settings": search["settings"],
        "macro_f1_float": test["float"]["macro_f1"],
        "macro_f1_ptq": test["ptq"]["macro_f1"],
        "macro_f1_int8": test["int8"]["macro_f1"],
        "macro_f1_validation": _chosen(search)["macro_f1"],
        "accuracy_int8": test["int8"]["accuracy"],
        "weighted_f1_int8": test["int8"]["weighted_f1"],
        "scores": {k: v for k, v in scores.items() if k != "calibration"},
        "calibration": scores.get("calibration"),  # missing in a run of an earlier version
        "candidates": search["candidates"],
        "strategy": search["settings"]["strategy"],
        "epochs_trained": search.get("epochs_trained"),  # null in a run of an earlier version
        "search_windows": search.get("windows"),  # as above
        "search": {**{k: search[k] for k in ("chosen", "front", "curves")}, "pareto": search.get("pareto")},
        "training": training,
    }


def sensors(channels: Sequence[dict[str, Any]], used: Sequence[int]) -> list[dict[str, Any]]:
    """Channels by place, in the order of the recordings; see KEYS."""
    places: dict[str, list[dict[str, Any]]] = {}
    for i, c in enumerate(channels):
        axis = re.search(r"[xyz](?= fused$|$)", c["name"], re.IGNORECASE)
        places.setdefault(c.get("place", ""), []).append(
            {"name": c["name"], "kind": c["kind"], "axis": axis[0].lower() if axis else "", "used": i in used})
    return [{"place": place, "channels": found} for place, found in places.items()]


def sensors_in_words(sensors: Sequence[dict[str, Any]]) -> str:
    """Those that the network uses: 'torso acc xz mag y; left leg gyro x'."""
    places = []
    for s in sensors:
        kinds: dict[str, list[str]] = {}
        for c in s["channels"]:
            if c["used"]:
                kinds.setdefault(c["kind"], []).append(c["axis"])
        words = [f"{kind} {''.join(axes)}".strip() for kind, axes in kinds.items()]
        if words:
            places.append(" ".join([s["place"], *words]))
    return "; ".join(places).strip()


def _firmware(run: RunDir, noise: dict[str, float]) -> dict[str, Any]:
    """What follows from the integer graph on, whatever it came from."""
    firmware, parity = run.read_json("firmware.json"), run.read_json("parity.json")
    profile, model = run.read_json("profile.json"), run.read_json("model.json")
    return {
        "format_version": FORMAT_VERSION,
        "harembed": harembed.__version__,
        "board": firmware["board"],
        "architecture": model["architecture"],
        "interface": _interface(run.read_json("graph.json")),
        "graph_id": model["graph_id"],
        "macs": model["macs"],
        "parameters": model["parameters"],
        "peak_ram_bytes": model["arena_bytes"],
        "peak_ram_lower_bound_bytes": model["lower_bound_bytes"],
        "peak_ram_elf_bytes": firmware["arena_bytes"],
        "peak_ram_simulated_bytes": profile["arena_bytes_written"],
        "ram_static_bytes": firmware["ram_static_bytes"],
        "flash_bytes": firmware["flash_bytes"],
        "sections": firmware["sections"],
        "stack_bytes": profile["stack_bytes"], "invoke_stack_bytes": firmware.get("invoke_stack_bytes"),
        "instructions": profile["instructions"],
        "cycles_modelled": profile["cycles_modelled"],
        "cycle_model": profile["cycle_model"],
        "latency_us": profile["latency_us"],
        "clock_hz": profile["clock_hz"],
        "layers": _layers(model["layers"], profile["nodes"], noise),
        "memory_plan": model["memory_plan"],
        "parity": parity,
        "onnx": parity["onnx"],
        "kernels": _kernels(firmware),
        "toolchain": firmware["toolchain"],
        "build": {"elf": firmware["elf"], "bin": firmware["bin"]},
    }


def _kernels(firmware: dict[str, Any]) -> dict[str, Any]:
    outside, fallbacks = firmware.get("outside") or {}, firmware.get("fallbacks") or {}
    name = firmware.get("backend", "own")  # a run of an older version does not say
    optimize = firmware.get("optimize")
    goal = f", --optimize {optimize}" if name == "own" and optimize else ""
    sources = [f"{s['title']} {s['revision'][:12]}" for s in outside.values() if s["revision"]]
    text = ", ".join([f"{BACKENDS[name].title}{goal}", *sources])
    return {"text": text, "backend": name, "optimize": optimize, "sources": outside,
            "fallbacks": fallbacks}


def _interface(graph: dict[str, Any]) -> dict[str, Any]:
    tensors = {t["name"]: t for t in graph["tensors"]}

    def described(name: str) -> dict[str, Any]:
        t = tensors[name]
        q = t["qparams"] or {"scale": [None], "zero_point": None}
        return {"name": name, "shape": t["shape"], "dtype": t["dtype"], "scale": q["scale"][0],
                "zero_point": q["zero_point"]}

    return {"inputs": [described(n) for n in graph["inputs"]], "outputs": [described(n) for n in graph["outputs"]]}


def _with_provenance(values: dict[str, Any]) -> dict[str, Any]:
    missing = KEYS.keys() ^ values.keys()
    if missing:
        raise RunError(f"The report's keys and their documentation differ: {', '.join(sorted(missing))}.")
    result: dict[str, Any] = {}
    for key in KEYS:
        result[key] = values[key]
        if KEYS[key][1]:
            result[f"{key}_provenance"] = KEYS[key][1]
    return result


def _chosen(search: dict[str, Any]) -> dict[str, Any]:
    return next(c for c in search["candidates"] if c["id"] == search["chosen"])


def _layers(layers: list[dict[str, Any]], nodes: list[dict[str, Any]],
            sqnr: dict[str, float]) -> list[dict[str, Any]]:
    """One row a node: what it is (counted), what it cost (simulated), how well it is quantised (evaluated)."""
    cost = {n["name"]: n for n in nodes}
    rows = []
    for layer in layers:
        simulated = cost.get(layer["name"], {})
        rows.append({**layer, "instructions": simulated.get("instructions"),
                     "cycles_modelled": simulated.get("cycles_modelled"), "sqnr_db": sqnr.get(layer["output"])})
    return rows
