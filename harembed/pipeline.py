"""The whole story in reading order: from recordings to a verified firmware and its report.

Each stage is a short function over a Job. It writes its files into the run folder when it is done, the one
named in STAGES last; a folder that has that file does not run the stage again.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from harembed import devices, stages, verify
from harembed.errors import RunError
from harembed.harness.validate import ParityReport
from harembed.job import Job
from harembed.progress import Tick, skipped, stage
from harembed.report.facts import collect
from harembed.report.html import render
from harembed.report.terminal import summary
from harembed.rundir import RunDir
from harembed.settings import RunSettings, load_settings


@dataclass(frozen=True)
class Stage:
    title: str
    file: str  # exists when the stage is done
    run: Callable[[Job, Tick], str]  # returns a note for the terminal


STAGES = (
    Stage("Data", "data.json", stages.read_data),
    Stage("Search", "search.json", stages.search_network),
    Stage("Train", "float.pt", stages.train_float),
    Stage("Quantise", "scores.json", stages.quantise),
    Stage("Plan", "model.json", stages.plan),
    Stage("Export", "c/model.c", stages.export),
    Stage("Build", "firmware.json", stages.build),
    Stage("Profile", "profile.json", verify.profile),
    Stage("Verify", "parity.json", verify.prove),
)


def default_folder(settings: RunSettings) -> Path:
    """runs/<dataset>-<board>, with characters that are awkward in paths replaced."""
    name = "".join(c if c.isalnum() or c in "-_." else "_" for c in f"{settings.dataset}-{Path(settings.board).stem}")
    return Path("runs") / name


def search(settings: RunSettings, folder: Path, data_root: Path | None, console: Console,
           toolchain: str | None = None) -> dict[str, Any]:
    """Run all stages that the folder lacks, then write and print the report."""
    job = Job(settings, RunDir(folder), data_root, toolchain, console)
    job.check()
    # A new folder is claimed by the first stage, when its input has proved good.
    if job.run.has("run.toml"):
        job.run.claim(settings.to_toml())
    console.print(f"[bold]{settings.dataset}[/bold] on [bold]{job.board.title}[/bold] -> {folder}/", highlight=False)
    for s in STAGES:
        if job.run.has(s.file):
            skipped(console, s.title, s.file)
            continue
        with stage(console, s.title) as tick:
            note = s.run(job, tick)
            tick(1, 1, note)
    return write_report(job.run, console)


def write_report(run: RunDir, console: Console) -> dict[str, Any]:
    """report.json and report.html from the files of the stages, and the short version on the terminal."""
    facts = collect(run)
    run.write_json("report.json", facts)
    run.write("report.html", render(facts))
    summary(facts, run.path, console)
    return facts


def open_run(folder: Path, data_root: Path | None, console: Console) -> Job:
    """A finished run.

    Raises
    ------
    RunError    the folder holds none, or it did not come as far as the firmware
    """
    run = RunDir(folder)
    for s in STAGES[:7]:
        if not run.has(s.file):
            raise RunError(f"{folder} has no {s.file}: its stage {s.title!r} has not run.",
                           f"Run `harembed search --out {folder}` first.")
    settings = load_settings(run.file("run.toml"), {})
    return Job(settings, run, data_root, None, console)


def bench(folder: Path, on: str | None, port: str | None, repeats: int, layers: bool, json_out: Path | None,
          console: Console) -> None:
    """Time the firmware of a run and print what was found."""
    job = open_run(folder, None, console)
    devices.bench(job, on, port, repeats, layers, json_out)


def validate(folder: Path, on: str | None, port: str | None, windows: int | None, data_root: Path | None,
             console: Console) -> ParityReport:
    """Compare the logits of a run's firmware with the host's on the test windows."""
    job = open_run(folder, data_root, console)
    with stage(console, "Validate") as tick:
        report = devices.validate(job, on, port, windows, tick)
        tick(1, 1, report.text)
    return report


def export(folder: Path, c: Path | None, tflite: Path | None, onnx: Path | None, console: Console) -> None:
    """Write a run's network in other forms."""
    job = open_run(folder, None, console)
    if not (c or tflite or onnx):
        raise RunError("Nothing to export was named.", "Use --c DIR, --tflite FILE or --onnx FILE.")
    for path in stages.export_to(job, c, tflite, onnx):
        console.print(f"wrote {path}", highlight=False)
