"""`harembed combine`: networks of every form within a number of bytes, who chooses among them, and going on."""

import json
import sys
from pathlib import Path

import pytest

from harembed.cli import main
from harembed.compress.combinations import best_of
from harembed.compress.forms import FORMS, widest
from harembed.cost.dims import dims_of
from harembed.cost.macs import constant_bytes
from harembed.lego import Lego
from harembed.rundir import RunDir
from harembed.settings import RunSettings
from harembed.space import Architecture, ConvTail, TemporalConv, with_lego

ARCH = Architecture(192, (0, 1, 2, 3, 4, 5), "same", (TemporalConv(5, 2, 4), TemporalConv(5, 2, 6)),
                    ConvTail(12, (TemporalConv(3, 2, 8),)), 7)


@pytest.mark.parametrize("form", FORMS, ids=lambda f: f.name)
def test_the_widest_network_within_bytes_fills_them(form) -> None:
    sizes = [int(constant_bytes(dims_of(widest(ARCH, form, most)))) for most in (2048, 4096, 16384)]
    assert all(0.6 * most < size <= most for size, most in zip(sizes, (2048, 4096, 16384), strict=True)), sizes
    assert widest(ARCH, form, 60) is None


def test_those_who_were_kept_aside_choose() -> None:
    rows = [{"budget": 1, "name": "a", "validation": 0.8, "test": 0.9},
            {"budget": 1, "name": "b", "validation": 0.9, "test": 0.7}]
    assert best_of([*rows, {"budget": 2, "name": "c", "validation": 1.0, "test": 1.0}], 1) == "b"


@pytest.fixture
def searched(tmp_path: Path) -> Path:
    run = RunDir(tmp_path / "run")
    run.claim(RunSettings(hop=384).to_toml())
    run.write_json("search.json", {"architecture": ARCH.to_dict()})
    return run.path


@pytest.mark.slow
def test_combine_goes_on_and_ends_the_same(searched: Path, monkeypatch, capsys) -> None:
    asked = ["harembed", "combine", str(searched), "--bytes", "2048", "--epochs", "1", "--qat-epochs", "1",
             "--teachers", "1", "--processes", "1"]
    monkeypatch.setattr(sys, "argv", asked)
    monkeypatch.setattr("harembed.compress.combinations.FORMS", FORMS[::3])
    main_ends_well()
    folder = searched.with_name("run-combined")
    first = json.loads((folder / "combinations.json").read_text())
    assert [r["name"] for r in first["rows"]] == [n for f in FORMS[::3] for n in (f.name, f"{f.name}, taught")]
    assert first["people"] == {"taught": 4, "held out": 3, "test": 3}
    page = (folder / "combinations.html").read_text()
    assert page.count("<svg") == 2 and "src=" not in page and "href=\"http" not in page.replace("xlink:href=\"#", "")
    assert "best" in capsys.readouterr().out
    networks = sorted((folder / "networks").iterdir())
    networks[3].unlink()
    main_ends_well()
    again = json.loads((folder / "combinations.json").read_text())
    assert {**again, "seconds": 0} == {**first, "seconds": 0}
    assert "4 networks from" in (said := capsys.readouterr().out) and "3 are done" in said


def main_ends_well() -> None:
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 0


@pytest.mark.parametrize("arch, most, message", [
    (with_lego(ARCH, Lego(2, 0.5)), "4096", "no plain chain of convolutions"),
    (ARCH, "0,40", "fits into 0 or 40 bytes"), (ARCH, "2k", "'2k' is not a whole number")])
def test_what_cannot_be_combined_is_refused(searched: Path, monkeypatch, capsys, arch, most, message) -> None:
    (searched / "search.json").write_text(json.dumps({"architecture": arch.to_dict()}))
    monkeypatch.setattr(sys, "argv", ["harembed", "combine", str(searched), "--bytes", most])
    with pytest.raises(SystemExit):
        main()
    assert message in capsys.readouterr().err
