"""A sweep: which searches it makes, its means, and that a folder of it is what `search` would have written."""

import json
import subprocess
import sys

import pytest
from test_pipeline import write_recordings

from harembed.errors import RunError
from harembed.sweep import FIGURES, Point, means, numbers, points


def test_beta1_is_varied_where_it_weighs():
    found = points(["sftnas", "random"], [0.1, 1.0, 0.1], [0, 1])
    assert found == [Point("sftnas", 0.1, 0), Point("sftnas", 0.1, 1), Point("sftnas", 1.0, 0),
                     Point("sftnas", 1.0, 1), Point("random", None, 0), Point("random", None, 1)]
    assert [p.name for p in found[2:5]] == ["sftnas-beta1_1-seed0", "sftnas-beta1_1-seed1", "random-seed0"]


def test_a_list_with_a_word_in_it_is_named():
    assert numbers("0, 1,2", int, "--seeds") == [0, 1, 2]
    with pytest.raises(RunError, match="--seeds: 'x' is not a whole number"):
        numbers("0,x", int, "--seeds")


def test_means_leave_out_what_failed():
    def row(seed: int, f1: float) -> dict:
        return {"strategy": "random", "beta1": None, "seed": seed, **dict.fromkeys(FIGURES, 10), "epochs_trained": 7,
                "macro_f1_int8": f1}

    found = means([row(0, 0.8), row(1, 0.9), {**row(2, 0.1), "error": "none fits"}])
    assert len(found) == 1 and found[0]["seeds"] == [0, 1]
    assert found[0]["macro_f1_int8"] == pytest.approx(0.85)
    assert found[0]["macro_f1_int8_std"] == pytest.approx(0.0707107, rel=1e-5)
    assert found[0]["macs"] == 10 and found[0]["macs_std"] == 0


SETTINGS = """window = 64
hop = 16
search_epochs = 4
float_epochs = 2
qat_epochs = 1
calibrate = false
"""


@pytest.mark.slow
def test_a_sweep_writes_run_folders_and_a_table_and_goes_on(tmp_path):
    recordings = write_recordings(tmp_path / "recordings")
    (tmp_path / "settings.toml").write_text(SETTINGS)

    def harembed(*arguments: str) -> subprocess.CompletedProcess:
        return subprocess.run([sys.executable, "-m", "harembed.cli", *arguments, "--settings", "settings.toml",
                               "--board", "host", "--dataset", f"csv:{recordings}", "--macs", "20000"],
                              cwd=tmp_path, capture_output=True, text=True)

    # A folder that `search` made is one of the sweep's: same settings, nothing to do again.
    alone = harembed("search", "--out", "s/random-seed0", "--strategy", "random", "--train-epochs", "40")
    assert alone.returncode == 0, alone.stdout + alone.stderr
    sweep = ("sweep", "--out", "s", "--strategies", "random,evolution", "--train-epochs", "40")
    first = harembed(*sweep)
    assert first.returncode == 0, first.stdout + first.stderr
    assert first.stdout.count("kept Search") == 1
    table = (tmp_path / "s/sweep.json").read_text()
    assert [r["strategy"] for r in json.loads(table)["runs"]] == ["random", "evolution"]
    assert [r["epochs_trained"] for r in json.loads(table)["runs"]] == [40, 40]
    second = harembed(*sweep)
    assert second.stdout.count("kept Search") == 2
    assert (tmp_path / "s/sweep.json").read_text() == table
