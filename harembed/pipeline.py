"""The whole story in reading order: from recordings, or from a .tflite, to a verified firmware and its report.

Each stage is a short function over a Job. It writes its files into the run folder when it is done, the one
named beside it last; a folder that has that file does not run the stage again.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape

from harembed import devices, firmware_stages, verify
from harembed.backends import BackendName
from harembed.compile_job import CompileJob, read_bytes, read_model, sha256
from harembed.errors import RunError
from harembed.harness.profile import Profile
from harembed.harness.validate import ParityReport
from harembed.ir.graph import IntGraph
from harembed.ir.ops.base import Goal
from harembed.job import Job
from harembed.progress import Tick, skipped, stage
from harembed.report.facts import collect
from harembed.report.html import render
from harembed.report.profile import print_profile, profile_facts, render_profile
from harembed.report.terminal import summary
from harembed.rundir import RunDir, dump_json, write_atomic
from harembed.search_job import SearchJob
from harembed.settings import ADDED_TO_TRAINING, CompileSettings, RunSettings, load_settings, stored_settings
from harembed.space import Network, network_from_dict


@dataclass(frozen=True)
class Stage:
    title: str
    file: str  # exists when the stage is done
    run: Callable[[Any, Tick], str]  # takes the job, returns a note for the terminal


FROM_MODEL = (Stage("Import", "graph.json", firmware_stages.import_model),)
TO_FIRMWARE = (
    Stage("Plan", "model.json", firmware_stages.plan),
    Stage("Export", "c/model.h", firmware_stages.export),
    Stage("Build", "firmware.json", firmware_stages.build),
)
TO_PROOF = (
    Stage("Profile", "profile.json", verify.profile),
    Stage("Verify", "parity.json", verify.prove),
)


def from_recordings() -> tuple[Stage, ...]:
    """The stages above the waist. They need PyTorch, which takes seconds to import and which no other verb needs."""
    from harembed import stages

    return (
        Stage("Data", "data.json", stages.read_data),
        Stage("Search", "search.json", stages.search_network),
        Stage("Train", "float.pt", stages.train_float),
        Stage("Quantise", "scores.json", stages.quantise),
    )


def to_float() -> tuple[Stage, ...]:
    """The stages of a network that is scored in float alone."""
    from harembed import stages

    return (*from_recordings()[:3], Stage("Score", "float.json", stages.score_float))


def default_folder(subject: str, board: str) -> Path:
    """runs/<dataset or model>-<board>, with characters that are awkward in paths replaced."""
    name = "".join(c if c.isalnum() or c in "-_." else "_" for c in f"{subject}-{Path(board).stem}")
    return Path("runs") / name


def search(settings: RunSettings, folder: Path, data_root: Path | None, console: Console,
           toolchain: str | None = None) -> dict[str, Any]:
    """From recordings: run all stages that the folder lacks, then write and print the report."""
    job = SearchJob(settings, RunDir(folder), data_root, toolchain, console)
    job.check()
    return _run(job, settings.dataset, settings.to_toml(), from_recordings() + TO_FIRMWARE + TO_PROOF)


def compress_settings(source: Path, changes: dict[str, Any], teachers: Sequence[Path] = ()) -> RunSettings:
    """Those of a finished search with other values, as `compress` takes them. What was added to its own training
    (teachers, local losses) is not taken over.

    Raises
    ------
    RunError    the folder holds no finished search, a teacher knows other recordings, or a value is wrong
    """
    run = RunDir(source)
    settings = stored_settings(run.file("run.toml"))
    if not isinstance(settings, RunSettings) or not run.has("search.json"):
        raise RunError(f"{source} has no search.json: it holds no network that a search chose.",
                       "Run `harembed search --out DIR` first.")
    kept = settings.model_dump(exclude={*ADDED_TO_TRAINING, "width"})  # its network has that width already
    asked = {k: v for k, v in changes.items() if v is not None}
    found = run.read_json("search.json")
    network = _candidate(source, found, asked["network"]) if "network" in asked else found["chosen"]
    changed = load_settings(None, {**kept, **asked, "network": network})
    if not teachers:
        return changed
    from harembed.compress.teachers import identity

    return changed.model_copy(update={"teacher": tuple(identity(t, changed) for t in teachers)})


def _candidate(source: Path, found: dict[str, Any], begin: str) -> str:
    """The id of the one candidate that begins so."""
    ids = [c["id"] for c in found["candidates"] if c["id"].startswith(begin)]
    if len(ids) != 1:
        best = [c for c in found["candidates"] if c["id"] in found["front"]]
        front = [f"{c['id']} ({c['text']}, {c['macs']:,} MACs)" for c in best]
        raise RunError(f"{len(ids)} networks of {source} begin with {begin!r}.",
                       f"Best at their cost are {'; '.join(front)}. All: {source}/search.json.")
    return str(ids[0])


def _architecture(source: Path, found: dict[str, Any], settings: RunSettings) -> Network:
    """Of the network that a run is to train."""
    from harembed.stages import remade

    if settings.network == found["chosen"]:
        arch = network_from_dict(found["architecture"])
    else:
        from harembed.search.candidate import Ledger

        known = Ledger(RunDir(source)).get(str(settings.network))
        if known is None:
            raise RunError(f"{source}/ledger.jsonl has no network {settings.network}.", "Name a complete search.")
        arch = known.architecture
    return remade(arch, settings)


def compress(source: Path, settings: RunSettings, teachers: Sequence[Path], folder: Path, data_root: Path | None,
             console: Console, toolchain: str | None = None) -> dict[str, Any]:
    """Train the network of a finished search anew, with all that the settings add to its training, and carry it to
    firmware and report.

    Parameters
    ----------
    source : folder of the search
    settings : of compress_settings
    teachers : folders of runs whose networks it learns from
    folder : of the new run
    """
    from harembed.compress.teachers import give

    job = SearchJob(settings, RunDir(folder), data_root, toolchain, console)
    found = RunDir(source).read_json("search.json")
    arch = _architecture(source, found, settings)
    job.run.claim(settings.to_toml())
    if not job.run.has("search.json"):
        give(job.run, teachers)
        job.run.write_json("search.json", {**found, "chosen": settings.network, "architecture": arch.to_dict(),
                                           "settings": {**settings.model_dump(), "ram": job.ram_bytes}})
    return _run(job, settings.dataset, settings.to_toml(), from_recordings() + TO_FIRMWARE + TO_PROOF)


def compile_model(model: Path, board: str = "nucleo_l552ze_q", folder: Path | None = None,
                  inputs: Path | None = None, seed: int = 2024, console: Console | None = None,
                  toolchain: str | None = None, optimize: Goal | None = None,
                  backend: BackendName | None = None) -> dict[str, Any]:
    """From an int8 .tflite: run all stages that the folder lacks, then write and print the report.

    Parameters
    ----------
    model : Path        an int8 .tflite
    board : str         a name or a TOML file
    folder : Path       of the run; None takes runs/<model>-<board>
    inputs : Path       .npy or .npz of model inputs to compare on, besides random and constant ones
    seed : int          of the random ones
    console : Console   None prints nothing
    toolchain : str     gcc, platformio or zig; None takes the first that is there
    optimize : Goal     of the C; None is balanced
    backend : str       own, cmsis_nn or tflm; None is own

    Returns
    -------
    dict    the facts of report.json

    Raises
    ------
    GraphError    not a .tflite, damaged, or it uses something unsupported; nothing was written
    BoardError    it does not fit the board
    BuildError    the sources of another backend are not here; nothing was written
    HarnessError  a target computed other bits
    """
    data = read_model(model)
    given = read_bytes(inputs) if inputs else None
    settings = CompileSettings(
        board=board, model=model.name, model_sha256=sha256(data), seed=seed, optimize=optimize, backend=backend,
        inputs=inputs.name if inputs else None,
        inputs_sha256=None if given is None else sha256(given))
    run = RunDir(folder or default_folder(model.stem, board))
    job = CompileJob(settings, run, toolchain, console or Console(quiet=True), data, given)
    return _run(job, model.name, settings.to_toml(), FROM_MODEL + TO_FIRMWARE + TO_PROOF)


def _run(job: Job, subject: str, settings_toml: str, stages: tuple[Stage, ...]) -> dict[str, Any]:
    run_stages(job, subject, settings_toml, stages)
    return write_report(job.run, job.console)


def run_stages(job: Job, subject: str, settings_toml: str, stages: tuple[Stage, ...]) -> None:
    """Run those stages that the folder lacks."""
    # A new folder is claimed by the first stage, when its input has proved good.
    if job.run.has("run.toml"):
        job.run.claim(settings_toml)
    job.run.sweep()
    job.console.print(f"[bold]{escape(subject)}[/bold] on [bold]{job.board.title}[/bold] -> {job.run.path}/",
                      highlight=False)
    for s in stages:
        if job.run.has(s.file):
            skipped(job.console, s.title, s.file)
            continue
        with stage(job.console, s.title) as tick:
            note = s.run(job, tick)
            tick(1, 1, note)


def write_report(run: RunDir, console: Console) -> dict[str, Any]:
    """report.json and report.html from the files of the stages, and the short version on the terminal."""
    facts = collect(run)
    run.write_json("report.json", facts)
    run.write("report.html", render(facts))
    summary(facts, run.path, console)
    return facts


def open_run(folder: Path, data_root: Path | None, console: Console) -> Job:
    """A run that came at least as far as its firmware.

    Raises
    ------
    RunError    the folder holds none, or it did not come as far
    """
    run = RunDir(folder)
    settings = stored_settings(run.file("run.toml"))
    again = "compile MODEL" if isinstance(settings, CompileSettings) else "search"
    for name, title in (("graph.json", "Quantise or Import"), *((s.file, s.title) for s in TO_FIRMWARE)):
        if not run.has(name):
            raise RunError(f"{folder} has no {name}: its stage {title} has not run.",
                           f"Run `harembed {again} --out {folder}` first.")
    if isinstance(settings, CompileSettings):
        return CompileJob(settings, run, None, console)
    return SearchJob(settings, run, data_root, None, console)


def bench(folder: Path, on: str | None, port: str | None, repeats: int, json_out: Path | None,
          console: Console) -> None:
    """Time the firmware of a run and print what was found."""
    job = open_run(folder, None, console)
    devices.bench(job, on, port, repeats, json_out)


def profile(folder: Path, on: str | None, port: str | None, repeats: int, html_out: Path | None,
            json_out: Path | None, console: Console) -> Profile:
    """Print where the time of one inference goes, by layer and function; write it as a page and as data."""
    job = open_run(folder, None, console)
    found = devices.profile(job, on, port, repeats)
    facts = profile_facts(found, job.run.read_json("model.json")["architecture"]["text"], job.board, job.graph.id(),
                          job.optimize)
    print_profile(found, facts, console)
    for path, text in ((html_out, render_profile(found, facts) if html_out else ""), (json_out, dump_json(facts))):
        if path is not None:
            console.print(f"wrote {write_atomic(path, text)}", highlight=False)
    return found


def ledger_networks(folders: Sequence[Path], count: int) -> Iterator[tuple[str, IntGraph]]:
    """Networks that searches scored, by name, untrained: `count` of them, spread evenly over all ledgers."""
    from harembed.export.untrained import untrained_graph
    from harembed.search.candidate import Ledger

    found: dict[str, Network] = {}
    for folder in folders:
        if not RunDir(folder).has("ledger.jsonl"):
            raise RunError(f"{folder} has no ledger.jsonl.", "Name folders of `harembed search`.")
        found |= {c.id: c.architecture for c in Ledger(RunDir(folder)).candidates}
    architectures = list(found.values())
    count = min(count, len(architectures))
    for i in range(count):
        arch = architectures[(2 * i + 1) * len(architectures) // (2 * count)]
        yield arch.describe(), untrained_graph(arch)


def validate(folder: Path, on: str | None, port: str | None, windows: int | None, data_root: Path | None,
             console: Console) -> ParityReport:
    """Compare the outputs of a run's firmware with the host's on the test windows, or on model inputs."""
    job = open_run(folder, data_root, console)
    with stage(console, "Validate") as tick:
        report = devices.validate(job, on, port, windows, tick)
        tick(1, 1, report.text)
    return report


def export(folder: Path, c: Path | None, tflite: Path | None, onnx: Path | None, console: Console,
           backend: BackendName | None = None) -> None:
    """Write a run's network in other forms; C for a backend, None takes the run's."""
    job = open_run(folder, None, console)
    if not (c or tflite or onnx):
        raise RunError("Nothing to export was named.", "Use --c DIR, --tflite FILE or --onnx FILE.")
    for path in firmware_stages.export_to(job, c, tflite, onnx, backend):
        console.print(f"wrote {path}", highlight=False)
