"""A split that shares people gets the score by subject beside it, or the reason why there is none."""

from pathlib import Path

import numpy as np
from rich.console import Console

from harembed.new_people import score_new_people, shares_people
from harembed.rundir import RunDir
from harembed.search_job import SearchJob
from harembed.settings import RunSettings
from harembed.space import Architecture, ConvTail, TemporalConv
from harembed.train.recipe import Recipe

ARCH = Architecture(16, (0,), "same", (TemporalConv(5, 2, 4),), ConvTail(4), 2)


def _job(folder: Path, people: int, split: str) -> SearchJob:
    """Class "b" is louder than class "a", but for the last person, in whom it is the other way round."""
    rng = np.random.default_rng(0)
    rows = ["# rate_hz: 50", f"# test_subjects: p{people - 1}", "subject,recording,label,ax[g]"]
    if people == 1:
        del rows[1]
    for p in range(people):
        for label, gain in (("a", 0.1), ("b", 1.0)) if p < people - 1 else (("a", 1.0), ("b", 0.1)):
            rows += [f"p{p},{p}-{label},{label},{v:.4f}" for v in gain * rng.standard_normal(400)]
    (folder / "own.csv").write_text("\n".join(rows) + "\n")
    settings = RunSettings(board="host", dataset=f"csv:{folder / 'own.csv'}", split=split, window=16, hop=8)
    return SearchJob(settings, RunDir(folder / "run"), None, None, Console(quiet=True))


def test_new_people_are_scored_by_subject(tmp_path: Path) -> None:
    job = _job(tmp_path, 4, "leaking-random-windows")
    assert shares_people(job.dataset)
    found = score_new_people(job, ARCH, Recipe(epochs=12, batch=16), lambda *_: None)
    assert found["test_subjects"] == ("p3",)
    assert "p3 of 4 people" in found["split"]
    assert found["macro_f1"] < 0.3  # the network learned the others' loudness
    assert not shares_people(_job(tmp_path, 4, "subjects").dataset)


def test_nobody_to_hold_out_is_a_reason(tmp_path: Path) -> None:
    job = _job(tmp_path, 1, "leaking-random-windows")
    found = score_new_people(job, ARCH, Recipe(epochs=1), lambda *_: None)
    assert "only one subject" in found["reason"]
