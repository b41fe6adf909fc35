"""The stages from recordings to an integer graph: each reads the job, writes its files, returns a note."""

from dataclasses import asdict, replace
from itertools import accumulate
from typing import Any

import numpy as np
import torch
from rich.markup import escape
from torch import Tensor, nn

from harembed.compress.fine_tuning import Lesson, fine_tune_both
from harembed.compress.pretraining import pretrained, pretraining_facts, start_from
from harembed.compress.teachers import teacher_of, teacher_scores
from harembed.compress.temperature import FILE as TEMPERATURE
from harembed.compress.temperature import before_and_after, twins_trained
from harembed.cost.latency import load_latency_model
from harembed.data.recording import vectors
from harembed.dqn_job import with_dqn
from harembed.errors import SearchError
from harembed.export.lower import lower
from harembed.export.noise import quantisation_noise
from harembed.ir.confidence import with_confidence
from harembed.ir.file import dump_graph
from harembed.ir.graph import IntGraph
from harembed.ir.interpreter import Interpreter
from harembed.lego import Lego
from harembed.models import build_model
from harembed.models.widths import scaled
from harembed.new_people import FILE as NEW_PEOPLE
from harembed.new_people import score_new_people, shares_people
from harembed.progress import Tick
from harembed.search import STRATEGIES, search
from harembed.search.candidate import Candidate, derived_seed, not_dominated, pareto
from harembed.search.effort import candidate_epochs
from harembed.search.latency import LatencyPredictor
from harembed.search.result import SearchResult
from harembed.search.settings import SearchSettings, desk
from harembed.search_job import SearchJob
from harembed.settings import RunSettings
from harembed.space import Network, chain_of, with_form
from harembed.train import qat
from harembed.train.augment import Sensors
from harembed.train.device import device_of
from harembed.train.local_loss import LocalLosses
from harembed.train.loop import normalise, predict, state_from_bytes, state_to_bytes, train
from harembed.train.metrics import scores
from harembed.train.one_thread import one_thread
from harembed.train.teacher import Teacher
from harembed.wear import as_events, worn_otherwise

NOISE_WINDOWS = 512
# Shares of the last training's epochs: enough to tell a hopeless candidate, and to rank good ones.
_SHORT, _FULL = 0.25, 0.375


def read_data(job: SearchJob, tick: Tick) -> str:
    """data.json: what the data are, who is in which part, and under which licence."""
    tick(0, 1, "reading recordings")
    dataset = job.dataset
    job.run.claim(job.settings.to_toml())
    job.run.write_json("data.json", data_document(job))
    if dataset.info.protocol.leaking:
        job.console.print(f"[bold red]leaking protocol:[/bold red] {dataset.info.protocol.split}", highlight=False)
    return (f"{len(dataset.train):,} windows of {len(dataset.train.subjects)} people to train, "
            f"{len(dataset.test):,} of {len(dataset.test.subjects)} to test")


def data_document(job: SearchJob) -> dict[str, Any]:
    """What data.json says."""
    dataset = job.dataset
    info = dataset.info
    return {
        "name": info.name, "title": info.title, "rate_hz": info.rate_hz, "classes": info.classes,
        "channels": [asdict(c) for c in info.channels], "protocol": asdict(info.protocol),
        "citation": info.citation, "licence": info.licence, "licence_notice": info.licence_notice,
        "notes": info.notes,
        "subjects": {"train": dataset.train.subjects, "test": dataset.test.subjects},
        "windows": {"train": len(dataset.train), "test": len(dataset.test)},
        "shared_people": dataset.shared_people,
    }


def search_network(job: SearchJob, tick: Tick) -> str:
    """ledger.jsonl, search.json: candidates, their scores on validation subjects, and the one chosen."""
    s = job.settings

    def told(part: str, done: int, of: int, figures: dict[str, Any]) -> None:
        begin, share = STRATEGIES[s.strategy].parts[part]
        words = ", ".join(f"{k} {v:,.4g}" for k, v in figures.items() if k in ("train_loss", "macro_f1", "macs"))
        tick(begin + share * done / of, 1.0, f"{part} {done}/{of}: {words}")

    settings = search_settings(job)
    windows = job.search_windows
    result = search(windows, settings, job.run, told, s.strategy)
    best = result.best
    # Only finalists were trained equally often on the same folds: only they can be compared.
    trials = len(best.scores.final_f1)
    finalists = [c for c in result.candidates if len(c.scores.final_f1) == trials]
    job.run.write_json("search.json", {
        "settings": {**s.model_dump(), "ram": job.ram_bytes}, "chosen": best.id,
        "strategy": s.strategy, "windows": len(windows), "epochs_trained": result.epochs_trained,
        "device": device_of(s.device).type,
        "front": [c.id for c in pareto(finalists, lambda c: c.scores.macs.value)],
        "pareto": [c.id for c in not_dominated(finalists)], "curves": _search_curves(result),
        "candidates": [_candidate(c, trials, settings) for c in result.candidates],
        "rejected": result.rejected, "architecture": (arch := _as_asked(job, best.architecture)).to_dict()})
    return (f"{s.strategy}, {len(result.candidates)} candidates, {result.epochs_trained['total']:,} epochs; "
            f"{arch.describe()}")


def _as_asked(job: SearchJob, arch: Network) -> Network:
    """In the form of the run, if the network can have it: a search of hours does not end with an error."""
    try:
        return remade(arch, job.settings)
    except SearchError as e:
        job.console.print(f"[yellow]The network stays as it is. {escape(e.message)}[/yellow]", highlight=False)
        return arch


def remade(arch: Network, settings: RunSettings) -> Network:
    """The network as wide, and with its convolutions made of, what a run asks for; see with_form."""
    if settings.width:
        arch = scaled(chain_of(arch, "Other widths are"), settings.width)
    return with_form(arch, Lego.parse(settings.lego) if settings.lego else None, bool(settings.xnor))


def search_settings(job: SearchJob) -> SearchSettings:
    """Limits and effort as the run, its board and its recordings ask for."""
    s = job.settings
    changes: dict[str, Any] = {"beta2": s.beta2}
    if s.beta1 is not None:
        changes["beta1"] = (s.beta1,)
    bilevel = desk(s.search_epochs) if s.search_epochs else desk()
    settings = SearchSettings(
        seed=s.seed, ram_bytes=job.ram_bytes, macs=s.macs, parameters=s.parameters,
        channels=s.channels, flash_bytes=job.board.flash_bytes, latency_us=s.latency_us,
        clock_hz=job.board.clock_hz or SearchSettings.clock_hz,
        vectors=vectors(job.dataset.info.channels), tails=_tails(job), **_predictions(job),
        backbone=s.backbone or (1.0 if s.strategy == "published" else SearchSettings.backbone),
        graph=s.graph, blocks=s.blocks,
        bilevel=replace(bilevel, **changes), recipe=job.recipe(max(1, round(_SHORT * s.float_epochs))),
        final_recipe=job.recipe(max(1, round(_FULL * s.float_epochs))), train_epochs=s.train_epochs,
        device=s.device, executor=s.executor, address=s.address, processes=s.processes or SearchSettings.processes)
    return with_dqn(job, settings) if s.strategy == "dqn" or s.graph is not None else settings


def _tails(job: SearchJob) -> tuple[str, ...]:
    return (job.settings.tail,) if job.settings.tail else SearchSettings.tails


def _predictions(job: SearchJob) -> dict[str, Any]:
    """How a search with a limit of latency knows it; one without needs no model of the board."""
    if job.settings.latency_us is None:
        return {}
    model = load_latency_model(job.board)
    if model.stale:
        job.console.print(f"[yellow]The latency model of {job.board.name} was fitted to other kernels; renew it with "
                          f"`harembed fit-latency --board {job.board.name}`.[/yellow]", highlight=False)
    predictor = LatencyPredictor(model, job.optimize)
    per_mac = predictor.cycles_per_mac(*job.dataset.train.shape, _tails(job))
    return {"predict_us": predictor.latency_us, "cycles_per_mac": per_mac}


def _search_curves(result: SearchResult) -> list[dict[str, Any]]:
    history = result.history

    def column(key: str, divisor: float = 1.0) -> list[float]:
        return [epoch[key] / divisor for epoch in history]

    if not history:
        return [_progress_curve(result)]
    if "round" in history[0]:
        return [*_pruning_curves(history), _progress_curve(result)]
    return [
        {"caption": "The super-net: loss on its training subjects, and on those that alpha learns from.",
         "ylabel": "loss", "series": {"weights and gates": column("train_loss"),
                                      "alpha": [v or None for v in column("alpha_loss")]}},
        {"caption": "MACs of the most likely network; its price acts above the budget of each rung.",
         "ylabel": "thousand MACs", "series": {"most likely": column("macs", 1e3)}},
        {"caption": "Peak memory of the most likely network; eq. 13 acts above the budget.",
         "ylabel": "kB", "series": {"most likely": column("peak_bytes", 1e3)}},
    ]


def _pruning_curves(history: list[dict[str, float]]) -> list[dict[str, Any]]:
    """Of every network that was pruned; MACs where they fall while it is trained."""
    def by_round(key: str, divisor: float = 1.0) -> dict[str, list[float]]:
        rounds: dict[str, list[float]] = {}
        for entry in history:
            rounds.setdefault(f"round {entry['round'] + 1:.0f}", []).append(entry[key] / divisor)
        return rounds

    curves = [{"caption": "The networks that are pruned: loss of the whole network, by epoch.", "ylabel": "loss",
               "series": by_round("train_loss")}]
    if "macs" in history[0]:
        curves.append({"caption": "What is left of them under the gates.", "ylabel": "thousand MACs",
                       "series": by_round("macs", 1e3)})
    return curves


def _progress_curve(result: SearchResult) -> dict[str, Any]:
    """What a strategy without super-net found, in the order in which it looked."""
    found = [c.scores.macro_f1[0].value for c in result.candidates]
    return {"caption": "Candidates in the order in which they were proposed, each after one short training.",
            "xlabel": "candidate", "ylabel": "macro F1, validation",
            "series": {"candidate": found, "best so far": list(accumulate(found, max))}}


def _candidate(c: Candidate, trials: int, settings: SearchSettings) -> dict[str, Any]:
    """A row of the report; costs are estimates, scores are of validation subjects."""
    s = c.scores
    return {"id": c.id, "text": c.architecture.describe(), "found_by": _found_by(c.origin), "macro_f1": s.mean_f1,
            "finalist": len(s.final_f1) == trials, "trainings": len(s.macro_f1) + len(s.final_f1),
            "epochs_trained": candidate_epochs(c, settings),
            "macs": int(s.macs.value), "parameters": int(s.parameters.value),
            "ram_bytes": int(s.peak_ram_bytes.value), "flash_bytes": int(s.flash_bytes.value),
            "latency_us": s.latency_us.value}


def _found_by(origin: dict[str, Any]) -> str:
    if "generation" in origin:
        return f"generation {origin['generation'] + 1}"
    if "episode" in origin:
        return f"episode {origin['episode'] + 1}"
    if "pruned" in origin:
        return f"pruning, round {origin['round'] + 1}"
    if origin["drawn"] == "published":
        return "its authors"
    return "chance" if origin["drawn"] in ("newcomer", "random") else f"super-net, {origin['drawn']}"


def _tensors(job: SearchJob) -> tuple[Tensor, Tensor]:
    """All channels of all training subjects, validation subjects included: after the choice nothing is chosen any
    more."""
    mean, std = job.statistics
    train_set, device = job.dataset.train, device_of(job.settings.device)
    x = normalise(train_set.raw, mean, std, tuple(range(len(mean))))
    return x.to(device), torch.from_numpy(train_set.y).to(device)


def _sensors(job: SearchJob, arch: Network) -> Sensors:
    return Sensors(*job.statistics, vectors(job.dataset.info.channels), arch.channels)


@one_thread()
def train_float(job: SearchJob, tick: Tick) -> str:
    """float.pt: the chosen network, trained anew from random weights. temperature.json: how sure its twins may be.
    new_people.json, where the split shares people."""
    arch = job.chosen()
    recipe = job.recipe(job.settings.float_epochs)
    if shares_people(job.dataset) and not job.run.has(NEW_PEOPLE):
        job.run.write_json(NEW_PEOPLE, score_new_people(job, arch, recipe, tick))
    x, y = _tensors(job)
    sensors = _sensors(job, arch)
    teacher = teacher_of(job, arch, x, y, sensors, tick)
    seed = derived_seed(job.settings.seed, "final")
    start = pretrained(job, arch, recipe, tick)
    torch.manual_seed(seed)
    model = build_model(arch)
    start_from(model, start)
    local = _local_losses(job, model, x, sensors)
    with twins_trained(job, arch, recipe, teacher, start, tick):
        history = train(model, x, y, recipe, seed, sensors=sensors, teacher=teacher, local=local,
                        progress=lambda e, f: tick(e + 1, recipe.epochs, f"loss {f['loss']:.3f}"))
    job.run.write_json("history.json", {"loss": [e["loss"] for e in history.epochs], "recipe": recipe.to_dict()})
    job.run.write("float.pt", state_to_bytes(model.cpu().state_dict()))
    return f"{recipe.epochs} epochs, loss {history.epochs[-1]['loss']:.3f}"


def _local_losses(job: SearchJob, model: nn.Sequential, x: Tensor, sensors: Sensors) -> LocalLosses | None:
    return LocalLosses(model, sensors.select(x[:1]), job.chosen().classes) if job.settings.local_loss else None


@one_thread()
def score_float(job: SearchJob, tick: Tick) -> str:
    """float.json: for networks that are not meant for a device; then, once, the test subjects.

    They are fine-tuned as long as the float branch of `quantise`, so that their scores stand beside its; but with
    batch norm, and with PyTorch's LSTM, which is many times quicker than our step by step.
    """
    arch = job.chosen()
    model = build_model(arch)
    model.load_state_dict(state_from_bytes(job.run.file("float.pt").read_bytes()))
    x, y = _tensors(job)
    sensors = _sensors(job, arch)
    recipe = qat.fine_tuning(job.recipe(job.settings.float_epochs), job.settings.qat_epochs)
    train(model, x, y, recipe, derived_seed(job.settings.seed, "final"), sensors=sensors,
          teacher=teacher_of(job, arch, x, y, sensors, tick), local=_local_losses(job, model, x, sensors),
          progress=lambda e, f: tick(e + 1, recipe.epochs, f"fine-tuning, loss {f['loss']:.3f}"))
    test = _scores(job, predict(model.cpu(), _test(job, arch)))
    job.run.write_json("float.json", {"test": {"float": test}, "fine_tuning": recipe.to_dict()})
    return f"test macro F1: float {test['macro_f1']:.4f}"


@one_thread()
def quantise(job: SearchJob, tick: Tick) -> str:
    """graph.json, graph.npz, training.json, scores.json: two branches of equal length, float and int8; then,
    once, the test subjects."""
    arch = job.chosen()
    mean, std = job.statistics
    seed = derived_seed(job.settings.seed, "final")
    model = build_model(arch)
    model.load_state_dict(state_from_bytes(job.run.file("float.pt").read_bytes()))
    model.eval()
    x, y = _tensors(job)
    sensors = _sensors(job, arch)
    recipe = qat.fine_tuning(job.recipe(job.settings.float_epochs), job.settings.qat_epochs)
    teacher = teacher_of(job, arch, x, y, sensors, tick)
    kept = std[list(arch.channels)]
    (float_net, float_history), (qat_net, qat_history) = fine_tune_both(
        qat.quantise(model, kept), qat.quantise(model, kept), Lesson(x, y, recipe, seed, sensors, teacher),
        job.settings.processes or SearchSettings.processes, tick)
    x = x.cpu()
    float_logits = predict(float_net, _test(job, arch))
    qat.calibrate(float_net, sensors.select(x))  # from here on it is the post-training quantised network
    labels = job.dataset.info.classes
    ptq_graph = lower(float_net, arch, mean, std, labels, "ptq")
    graph = lower(qat_net, arch, mean, std, labels, _name(job))
    noise = quantisation_noise(qat_net, graph, job.dataset.train.raw[:: _step(job)][:NOISE_WINDOWS], mean, std, arch)
    temperature = job.run.read_json(TEMPERATURE) if job.run.has(TEMPERATURE) else None
    if temperature is not None:
        graph = with_confidence(graph, temperature["temperature"])
    int8_logits, *confidence = _outputs(graph, job)
    test = {"float": _scores(job, float_logits), "ptq": _scores(job, _outputs(ptq_graph, job)[0]),
            "int8": _scores(job, int8_logits)}
    text, constants = dump_graph(graph)
    job.run.write("graph.npz", constants)
    job.run.write("graph.json", text)
    first = job.run.read_json("history.json")
    job.run.write_json("training.json", {
        "device": device_of(job.settings.device).type,
        "recipe": first["recipe"], "fine_tuning": recipe.to_dict(), "teachers": teacher and teacher.to_dict(),
        "pretrained": pretraining_facts(job),
        "curves": [
            {"caption": "Training of the chosen network from random weights, all training subjects.",
             "ylabel": "loss", "series": {"float": first["loss"]}},
            {"caption": "Fine-tuning of the two branches, same epochs and recipe.", "ylabel": "loss",
             "series": {"float": [e["loss"] for e in float_history.epochs],
                        "int8": [e["loss"] for e in qat_history.epochs]}}]})
    job.run.write_json("scores.json", {
        "test": test, "noise": [{"tensor": n.tensor, "sqnr_db": n.sqnr_db} for n in noise],
        "noise_warnings": [n.hint for n in noise if n.collapsed],
        "calibration": temperature and {"fitted": temperature, "float": _calibration(job, float_logits, temperature),
                                        "int8": _calibration(job, int8_logits, temperature, *confidence)},
        "teachers": teacher and _teacher_scores(job, teacher), **_beyond(job, graph, int8_logits)})
    return (f"test macro F1: float {test['float']['macro_f1']:.4f}, int8 {test['int8']['macro_f1']:.4f} "
            f"(without training {test['ptq']['macro_f1']:.4f})")


def _name(job: SearchJob) -> str:
    return "".join(c if c.isalnum() else "_" for c in f"{job.dataset.info.name}_{job.board.name}")


def _step(job: SearchJob) -> int:
    return max(1, len(job.dataset.train) // NOISE_WINDOWS)


def _test(job: SearchJob, arch: Network) -> Tensor:
    mean, std = job.statistics
    return normalise(job.dataset.test.raw, mean, std, arch.channels)


def _outputs(graph: IntGraph, job: SearchJob) -> list[np.ndarray]:
    """Of the test windows, [N, classes] float: scores and, from a graph that has them, probabilities."""
    found = Interpreter(graph).run_raw(job.dataset.test.raw)
    return [graph[name].scale * (values.reshape(len(values), -1).astype(np.float64) - graph[name].zero_point)
            for name, values in zip(graph.outputs, found, strict=True)]


def _teacher_scores(job: SearchJob, teacher: Teacher) -> dict[str, Any]:
    mean, std = job.statistics
    every = normalise(job.dataset.test.raw, mean, std, tuple(range(len(mean))))
    return teacher_scores(teacher.to(torch.device("cpu")), every, job.dataset.test.y, len(job.dataset.info.classes))


def _calibration(job: SearchJob, logits: np.ndarray, temperature: dict[str, Any],
                 confidence: np.ndarray | None = None) -> dict[str, Any]:
    """On test people: nothing is chosen by it."""
    return before_and_after(logits, temperature["temperature"], job.dataset.test.y, job.settings.seed, confidence)


def _beyond(job: SearchJob, graph: IntGraph, logits: np.ndarray) -> dict[str, Any]:
    """Test scores of the integer program as events, and with sensors worn otherwise."""
    info, test = job.dataset.info, job.dataset.test
    interpreter = Interpreter(graph)
    # A leaking split tears recordings apart: there are no events to count.
    events = None if info.protocol.leaking else as_events(_classes(logits), test, info)
    new_people = job.run.read_json(NEW_PEOPLE) if job.run.has(NEW_PEOPLE) else None
    return {"new_people": new_people, "events": events, "worn": worn_otherwise(
        lambda raw: _classes(interpreter.run_raw(raw)[0]), test, info.channels, len(info.classes), job.settings.seed)}


def _classes(logits: np.ndarray) -> np.ndarray:
    return logits.reshape(len(logits), -1).argmax(1)


def _scores(job: SearchJob, logits: np.ndarray) -> dict[str, Any]:
    classes = len(job.dataset.info.classes)
    s = scores(_classes(logits), job.dataset.test.y, classes)
    return {"macro_f1": s.macro_f1, "weighted_f1": s.weighted_f1, "accuracy": s.accuracy,
            "f1_by_class": s.class_f1.tolist(), "confusion": s.confusion.tolist()}
