"""The whole path on small recordings: what a run yields, and that kill -9 changes nothing but the time."""

import json
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from harembed.export.tflite_import import read_tflite
from harembed.models.widths import scaled
from harembed.report.facts import KEYS
from harembed.report.html import render
from harembed.rundir import RunDir
from harembed.search.candidate import Ledger
from harembed.space import network_from_dict

# Small enough for seconds, large enough that every part does real work.
QUICK = ("--window", "64", "--hop", "16", "--search-epochs", "6", "--float-epochs", "8", "--qat-epochs", "2",
         "--macs", "60000")
KILL_WHEN = ("data.json", "supernet.pt", "ledger.jsonl", "temperature.json", "float.pt", "scores.json",
             "firmware.json")


def write_recordings(folder: Path) -> Path:
    """Six people walk (2 Hz), shake (5 Hz) and rest: 3 channels, 50 Hz, 20 s each."""
    folder.mkdir(exist_ok=True)
    rng = np.random.default_rng(5)
    lines = ["# rate_hz: 50", "subject,recording,label,ax[g],ay[g],az[g]"]
    t = np.arange(1000) / 50
    for person in range(6):
        for label, hertz, gain in (("walk", 2.0, 0.6), ("shake", 5.0, 1.0), ("rest", 0.0, 0.0)):
            wave = gain * (1 + 0.02 * person) * np.sin(2 * np.pi * hertz * t + person)
            signal_xyz = np.stack([wave, 0.5 * wave, 1 + 0.2 * wave], 1) + rng.normal(0, 0.05, (1000, 3))
            lines += [f"p{person},p{person}-{label},{label},{x:.4f},{y:.4f},{z:.4f}" for x, y, z in signal_xyz]
    (folder / "all.csv").write_text("\n".join(lines) + "\n")
    return folder


def command(folder: Path | str, recordings: Path) -> list[str]:
    return [sys.executable, "-m", "harembed.cli", "search", "--out", str(folder), "--dataset", f"csv:{recordings}",
            *QUICK]


@pytest.fixture(scope="module")
def recordings(tmp_path_factory) -> Path:
    return write_recordings(tmp_path_factory.mktemp("recordings") / "mine")


@pytest.fixture(scope="module")
def finished(tmp_path_factory, recordings) -> tuple[Path, str]:
    """A finished run and its terminal output."""
    root = tmp_path_factory.mktemp("runs")
    # A relative folder, as most people type it.
    result = subprocess.run(command("whole", recordings), capture_output=True, text=True, cwd=root)
    assert result.returncode == 0, result.stdout + result.stderr
    return root / "whole", result.stdout


def test_the_report_has_every_documented_key_with_its_provenance(finished):
    report = json.loads((finished[0] / "report.json").read_text())
    figures = {key for key, (_, provenance) in KEYS.items() if provenance}
    assert set(report) == set(KEYS) | {f"{key}_provenance" for key in figures}
    for key in figures:
        assert report[f"{key}_provenance"] == KEYS[key][1]


def test_all_targets_computed_the_same_bits(finished):
    parity = json.loads((finished[0] / "parity.json").read_text())
    required = {"tflm", "host", "host_dsp", "l552"} | ({"qemu"} if shutil.which("qemu-system-arm") else set())
    compared = {t["name"] for t in parity["targets"] if t["counts"]}
    assert required <= compared
    assert parity["windows"] >= 1000
    assert parity["random"] == 200
    assert parity["mismatches"] == 0
    assert all(t["windows"] + t["random"] == parity["windows"] + 200 for t in parity["targets"])


def test_peak_ram_of_plan_elf_and_write_trace_agree(finished):
    report = json.loads((finished[0] / "report.json").read_text())
    assert report["peak_ram_bytes"] == report["peak_ram_elf_bytes"] == report["peak_ram_simulated_bytes"]
    assert report["flash_bytes"] <= report["board"]["flash_bytes"]
    assert report["stack_bytes"] <= report["sections"][".stack"]


def test_the_page_refers_to_nothing_outside_itself(finished):
    page = (finished[0] / "report.html").read_text()
    assert not re.findall(r"""(?:src|href)\s*=\s*["']?(?!["'#]|data:)[^>\s]+""", page)
    assert "<script" not in page
    assert page.count("<svg") >= 6


def test_a_target_without_simulator_has_a_page_too(finished):
    """The host has no flash, no clock and no counts: the page leaves them out."""
    facts = json.loads((finished[0] / "report.json").read_text())
    for key in ("instructions", "cycles_modelled", "latency_us", "clock_hz", "cycle_model", "stack_bytes",
                "peak_ram_simulated_bytes", "flash_bytes", "ram_static_bytes"):
        facts[key] = None
    facts["board"] |= {"flash_bytes": None, "ram_bytes": None, "flash_tools": None}
    facts["sections"], facts["build"]["bin"] = {}, None
    facts["layers"] = [{**layer, "instructions": None, "cycles_modelled": None} for layer in facts["layers"]]
    facts["calibration"] = None  # as with --no-calibrate
    page = render(facts)
    assert "nothing is said about speed" in page
    assert "None" not in page


def test_the_network_learned(finished):
    report = json.loads((finished[0] / "report.json").read_text())
    assert report["macro_f1_int8"] > 0.7
    assert report["macs"] <= 60_000


def test_the_temperature_is_of_training_people_and_of_the_second_output(finished):
    report = json.loads((finished[0] / "report.json").read_text())
    fitted = report["calibration"]["fitted"]
    assert set(fitted["subjects"]) <= set(report["dataset"]["subjects"]["train"])
    assert [o["name"] for o in report["interface"]["outputs"]][1:] == ["confidence"]
    assert report["layers"][-1]["op"] == "softmax"
    bins = report["calibration"]["int8"]["after"]["bins"]
    assert sum(b["windows"] for b in bins) == report["dataset"]["windows"]["test"]


@pytest.mark.slow
def test_killed_and_resumed_gives_the_same_report(finished, recordings, tmp_path):
    folder = tmp_path / "killed"
    kills = 0
    for name in KILL_WHEN:
        process = subprocess.Popen(command(folder, recordings), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                                   start_new_session=True)
        while not (folder / name).exists() and process.poll() is None:
            time.sleep(0.02)
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            kills += 1
        process.communicate()
    assert kills >= 5
    subprocess.run(command(folder, recordings), check=True, stdout=subprocess.DEVNULL)
    whole, resumed = ((f / "report.json").read_text() for f in (finished[0], folder))
    assert resumed == whole
    assert not [p for p in folder.rglob(".*.tmp") if ".pio" not in p.parts and ".core" not in p.parts]


def test_the_network_of_a_run_learns_from_teachers(finished, recordings, tmp_path):
    """One of twice the width, and the run's own network; a killed command goes on with the same teachers."""
    source, folder = finished[0], tmp_path / "taught"

    def compress(*more: str) -> subprocess.CompletedProcess[str]:
        words = [sys.executable, "-m", "harembed.cli", "compress", str(source), "--board", "host",
                 "--out", str(folder), *more]
        return subprocess.run(words, capture_output=True, text=True)

    asked = ("--teachers", "1", "--teacher-width", "2", "--born-again", "--teacher", str(source),
             "--float-epochs", "6")
    result = compress(*asked)
    assert result.returncode == 0, result.stdout + result.stderr
    report, before = (json.loads((f / "report.json").read_text()) for f in (folder, source))
    assert report["architecture"] == before["architecture"]
    assert report["settings"]["float_epochs"] == 6
    own = network_from_dict(json.loads((source / "search.json").read_text())["architecture"])
    assert report["training"]["teachers"]["networks"] == [own.describe(), scaled(own, 2).describe()]
    assert "what 2 teachers said" in (folder / "report.html").read_text()
    assert report["parity"]["mismatches"] == 0
    assert len(report["scores"]["teachers"]["each"]) == 2
    teachers = (folder / "teachers.pt").read_bytes()
    for name in ("float.pt", "scores.json"):
        (folder / name).unlink()
    assert compress(*asked).returncode == 0
    assert json.loads((folder / "report.json").read_text())["macro_f1_int8"] == report["macro_f1_int8"]
    assert (folder / "teachers.pt").read_bytes() == teachers
    refused = compress("--teacher", str(recordings))
    assert (refused.returncode, "holds no run" in refused.stderr) == (2, True)
    other = (source / "run.toml").read_text().replace("hop = 16", "hop = 32")
    (tmp_path / "run.toml").write_text(other)
    (tmp_path / "float.pt").write_bytes(b"")
    refused = compress("--teacher", str(tmp_path))
    assert (refused.returncode, "trained with hop = 32" in refused.stderr) == (2, True)


@pytest.mark.parametrize("asked, op, text, words", [
    (["--lego", "o=2,m=0.4", "--width", "2"], "lego_conv", "Lego o=2,m=0.4",
     "that was taken then got Lego filters, o=2,m=0.4"),
    (["--xnor"], "xnor_conv", "XNOR", "got convolutions of signs by signs")], ids=["lego", "xnor"])
def test_another_network_of_a_run_is_made_smaller(finished, tmp_path, asked, op, text, words):
    """Up to a proved firmware, whose graph has the operator, and a .tflite, which has others."""
    source, folder = finished[0], tmp_path / op
    found = json.loads((source / "search.json").read_text())

    def compress(*more: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "harembed.cli", "compress", str(source), "--board", "host", "--out",
                   str(folder), *asked, "--float-epochs", "4", *more]
        return subprocess.run(command, capture_output=True, text=True)

    other = next(c for c in found["candidates"] if c["id"] != found["chosen"])
    before = json.loads((source / "report.json").read_text())["settings"]["dataset"]
    refused = compress("--network", "none")
    assert (refused.returncode, "0 networks" in refused.stderr, folder.exists()) == (2, True, False)
    result = compress("--network", other["id"][:8], "--pretrain", before)
    assert result.returncode == 0, result.stdout + result.stderr
    report = json.loads((folder / "report.json").read_text())
    assert report["training"]["pretrained"]["people"] > 1
    page = (folder / "report.html").read_text()
    assert "Before both trainings the network learned" in page
    assert words in page
    known = Ledger(RunDir(source)).get(other["id"]).architecture
    assert report["architecture"]["text"] == f"{scaled(known, 2 if '--width' in asked else 1).describe()} · {text}"
    assert ("got 2.0 times the filters" in page) == ("--width" in asked)
    assert report["parity"]["mismatches"] == 0
    assert any(node["op"] == op for node in json.loads((folder / "graph.json").read_text())["nodes"])
    model = tmp_path / "m.tflite"
    export = [sys.executable, "-m", "harembed.cli", "export", str(folder), "--tflite", str(model)]
    subprocess.run(export, check=True, stdout=subprocess.DEVNULL)
    assert op not in {node.op for node in read_tflite(model.read_bytes()).nodes}


def test_bench_validate_and_export_work_on_a_finished_run(finished, tmp_path):
    folder = finished[0]

    def run(*args: str) -> str:
        result = subprocess.run([sys.executable, "-m", "harembed.cli", *args], capture_output=True, text=True)
        assert result.returncode == 0, result.stdout + result.stderr
        return result.stdout

    assert "50 of 50 windows equal" in run("validate", str(folder), "--windows", "50")
    run("bench", str(folder), "--json", str(tmp_path / "bench.json"))
    units = {r["unit"]: r["median"] for r in json.loads((tmp_path / "bench.json").read_text())}
    report = json.loads((folder / "report.json").read_text())
    # Other samples, same work: kernels have no branches on data but for saturation.
    assert units["instructions"] == pytest.approx(report["instructions"], rel=0.02)
    run("export", str(folder), "--c", str(tmp_path / "c"), "--tflite", str(tmp_path / "m.tflite"))
    sources = sorted((tmp_path / "c").glob("*.c"))
    subprocess.run(["cc", "-std=c11", "-Wall", "-Wextra", "-Werror", "-Wconversion", "-c", *map(str, sources),
                    "-I", str(tmp_path / "c")], check=True, cwd=tmp_path)
    assert (tmp_path / "m.tflite").read_bytes() == (folder / "model.tflite").read_bytes()
