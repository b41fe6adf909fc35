"""What a user sees when something is wrong: two lines, exit code 2, nothing half-written. And help with examples."""

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from harembed.cli import main
from harembed.errors import HarembedError
from harembed.resources import resource_dir
from harembed.rundir import RunDir, write_atomic

HEADER = "subject,recording,label,ax[g],ay[g],az[g]"


def run_cli(monkeypatch, capsys, *args: str) -> tuple[int, str]:
    """Exit code and the standard error of `harembed ARGS`."""
    monkeypatch.setattr(sys, "argv", ["harembed", *args])
    monkeypatch.setenv("COLUMNS", "400")
    with pytest.raises(SystemExit) as stop:
        main()
    return int(stop.value.code or 0), capsys.readouterr().err


def csv_folder(folder: Path, bad_line: str | None = None, rows: int = 400) -> Path:
    """Two people, two activities, 50 Hz."""
    folder.mkdir(exist_ok=True)
    lines = ["# rate_hz: 50", HEADER]
    for subject in ("ann", "bob", "cem", "dee"):
        for label in ("walk", "rest"):
            lines += [f"{subject},{subject}-{label},{label},{(i * 7 % 5) / 5},{0.1},{1.0}" for i in range(rows)]
    if bad_line is not None:
        lines[9] = bad_line
    (folder / "all.csv").write_text("\n".join(lines) + "\n")
    return folder


def misspelt_board(folder: Path) -> str:
    path = folder / "mine.toml"
    path.write_text((resource_dir("boards") / "nucleo_l552ze_q.toml").read_text().replace("ram_bytes", "ram_byte"))
    return str(path)


def damaged_archive(folder: Path) -> str:
    (folder / "UCI HAR Dataset.zip").write_bytes(b"PK\x03\x04 this is no archive")
    return str(folder)


def settings_file(folder: Path) -> str:
    path = folder / "settings.toml"
    path.write_text("sead = 3\n")
    return str(path)


# name: (arguments from a temporary folder, what the message must name)
BAD_INPUT = {
    "unknown board": (lambda t: ["--board", "nucleo_l552"], ["nucleo_l552ze_q"]),
    "board with unknown key": (lambda t: ["--board", misspelt_board(t)], ["mine.toml", "ram_byte"]),
    "unknown dataset": (lambda t: ["--dataset", "uci_har"], ["uci-har"]),
    "damaged archive": (lambda t: ["--dataset", "uci-har", "--data-root", damaged_archive(t)],
                        ["UCI HAR Dataset.zip"]),
    "csv with too few columns": (lambda t: ["--dataset", f"csv:{csv_folder(t / 'd', 'ann,ann-walk,walk,0.1')}"],
                                 ["all.csv", "10"]),
    "csv with NaN": (lambda t: ["--dataset", f"csv:{csv_folder(t / 'd', 'ann,ann-walk,walk,nan,0,0')}"],
                     ["all.csv", "10"]),
    "window longer than the recording": (lambda t: ["--dataset", f"csv:{csv_folder(t / 'd', rows=60)}",
                                                    "--window", "128"], ["128", "60"]),
    "missing csv": (lambda t: ["--dataset", f"csv:{t / 'nowhere'}"], ["nowhere"]),
    "more RAM than there is": (lambda t: ["--ram", "300000"], ["300,000", "262,144"]),
    "negative budget": (lambda t: ["--macs", "-5"], ["macs"]),
    "unknown tail": (lambda t: ["--tail", "lstm"], ["tail", "tinyhar", "lstm"]),
    "unknown strategy": (lambda t: ["--strategy", "evoluton"], ["strategy", "evoluton", "'evolution'", "sftnas"]),
    "channels where all are taken": (lambda t: ["--strategy", "dqn", "--channels", "3"],
                                     ["strategy dqn takes all", "sftnas or random or evolution"]),
    "unknown space": (lambda t: ["--strategy", "dqn", "--space", "feedfoward"], ["space", "'feedforward'"]),
    "filters that are no numbers": (lambda t: ["--filters", "4,many"], ["filters", "many"]),
    "no filters at all": (lambda t: ["--filters", "4,0"], ["filters", "positive"]),
    "missing predictor": (lambda t: ["--strategy", "dqn", "--predictor", str(t / "p.json")],
                          ["p.json", "No such file", "harembed predictor fit"]),
    "settings with unknown key": (lambda t: ["--settings", settings_file(t)], ["settings.toml", "sead", "seed"]),
}


@pytest.mark.parametrize("name", BAD_INPUT)
def test_bad_input_gives_two_lines_and_leaves_nothing(name, tmp_path, monkeypatch, capsys):
    arguments, words = BAD_INPUT[name]
    out = tmp_path / "out"
    code, text = run_cli(monkeypatch, capsys, "search", "--out", str(out), *arguments(tmp_path))
    lines = [line for line in text.splitlines() if line.strip()]
    assert code == 2
    assert len(lines) == 2, text
    assert lines[0].startswith("error:")
    assert lines[1].startswith("try:")
    for word in words:
        assert word in text
    assert not out.exists() or not list(out.iterdir())


def test_a_full_disk_is_named_and_keeps_the_old_file(tmp_path, monkeypatch):
    path = write_atomic(tmp_path / "a.json", "old")

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(HarembedError, match="No space left"):
        write_atomic(path, "new")
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


def test_a_folder_of_another_run_is_refused(tmp_path):
    run = RunDir(tmp_path)
    run.claim("seed = 1\n")
    run.claim("seed = 1\n")
    with pytest.raises(HarembedError, match="seed = 1, now 2"):
        run.claim("seed = 2\n")


@pytest.mark.parametrize("sent, code", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_the_run_with_its_code_and_no_partial_file(tmp_path, sent, code):
    out = tmp_path / "out"
    process = subprocess.Popen([sys.executable, "-m", "harembed.cli", "search", "--out", str(out)],
                               stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, start_new_session=True,
                               # A shell that runs the tests in the background has them ignore Ctrl-C.
                               preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
    deadline = time.monotonic() + 300
    while not (out / "data.json").exists() and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.1)
    assert (out / "data.json").exists(), "the search did not come that far"
    process.send_signal(sent)
    _, text = process.communicate(timeout=300)
    assert process.returncode == code, text
    assert "Traceback" not in text
    assert "goes on where it stopped" in text
    assert not [p for p in out.rglob("*") if p.name.endswith(".tmp")]


@pytest.mark.parametrize("verb", ["search", "sweep", "compress", "combine", "attributes", "reproduce", "compile",
                                  "bench", "profile", "fit-latency", "check-latency", "validate", "export", "report",
                                  "boards", "datasets", "doctor", "predictor database", "predictor fit"])
def test_every_verb_has_help_with_an_example(verb, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["harembed", *verb.split(), "--help"])
    monkeypatch.setenv("COLUMNS", "200")
    with pytest.raises(SystemExit):
        main()
    text = capsys.readouterr().out
    assert f"harembed {verb}" in text.split("Example")[1]
