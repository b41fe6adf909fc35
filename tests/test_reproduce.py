"""`reproduce`: definitions against the papers, a small table from recordings to pages, resuming, README."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pooch
import pytest
from rich.console import Console
from test_pipeline import write_recordings

from harembed import pipeline
from harembed.errors import RunError
from harembed.reproduce import TABLES, find_table
from harembed.reproduce.definitions import Budget, Printed, Row, Table
from harembed.reproduce.page import render as page
from harembed.reproduce.page import write_pages
from harembed.reproduce.readme import BEGIN, END, RESULTS, between_marks, render, write_readme
from harembed.reproduce.results import Result, RowResult, load, save
from harembed.reproduce.run import RESULT_FILE, Asked, _Pace, reproduce
from harembed.reproduce.show import grid, notes, print_result
from harembed.rundir import RunDir
from harembed.search import STRATEGIES
from harembed.search.score import cost_scores, violations
from harembed.search.settings import SearchSettings
from harembed.space import Architecture, ConvTail, TemporalConv

QUIET = Console(quiet=True)
# As printed: model and method, parameters, MMACs, macro F1 in per cent.
PRINTED = {
    "sftnas-1": """DCL	522.57 k	138.73	92.23
DCL + SFTNAS	81.92 k	2.32	89.88
DCL + AutoSlim	131.24 k	35.14	88.67
DCL + PaS	95.33 k	25.33	88.21
Attend	519.11 k	155.62	94.42
Attend + SFTNAS	56.45 k	3.74	91.37
Attend + AutoSlim	81.76 k	24.92	90.98
Attend + PaS	73.15 k	19.02	90.46
TinyHAR	322.76 k	47.17	92.12
TinyHAR + SFTNAS	41.28 k	1.79	90.17
TinyHAR + AutoSlim	50.03 k	7.69	89.21
TinyHAR + PaS	54.27 k	6.15	90.20""",
    "sftnas-2": """DCL	424.26 k	105.95	92.51
DCL + SFTNAS	33.74 k	1.86	92.49
DCL + AutoSlim	46.21 k	11.72	91.83
DCL + PaS	37.89 k	9.64	92.04
Attend	445.38 k	120.55	94.07
Attend + SFTNAS	41.11 k	1.37	93.29
Attend + AutoSlim	48.62 k	13.59	92.88
Attend + PaS	39.89 k	11.2	92.71
TinyHAR	298.18 k	36.27	94.58
TinyHAR + SFTNAS	13.96 k	0.767	94.36
TinyHAR + AutoSlim	39.99 k	6.21	93.58
TinyHAR + PaS	21.34 k	3.56	94.19""",
    "sftnas-3": """DCL	1.11 M	534.44	91.12
DCL + SFTNAS	61.66 k	3.54	90.01
DCL + AutoSlim	173.93 k	83.72	88.45
DCL + PaS	187.93 k	70.42	89.33
Attend	962.0 k	592.41	92.39
Attend + SFTNAS	63.87 k	5.03	91.04
Attend + AutoSlim	139.17 k	90.44	91.23
Attend + PaS	150.82 k	87.65	91.59
TinyHAR	470.73 k	183.2	90.48
TinyHAR + SFTNAS	38.01 k	4.27	87.48
TinyHAR + AutoSlim	141.73 k	57.53	87.01
TinyHAR + PaS	104.38 k	43.01	88.31""",
}


@pytest.mark.parametrize("name", PRINTED)
def test_definitions_are_what_the_paper_prints(name):
    rows = {}
    for line in PRINTED[name].splitlines():
        row, parameters, mmacs, f1 = line.split("\t")
        count, unit = parameters.split()
        rows[row] = (pytest.approx(float(count) * {"k": 1e3, "M": 1e6}[unit]), float(mmacs), float(f1))
    table = find_table(name)
    assert {r.name: (r.printed.parameters, r.printed.mmacs, r.printed.macro_f1) for r in table.rows} == rows
    # What a method found may not cost more than the paper's.
    assert all(r.settings["macs"] == round(r.printed.mmacs * 1e6) for r in table.rows if "+" in r.name)
    assert all(r.settings["parameters"] == r.printed.parameters for r in table.rows if r.strategy == "sftnas")


def test_a_limit_of_parameters_is_one_of_the_search():
    arch = Architecture(32, (0,), "same", (TemporalConv(5, 2, 4),), ConvTail(4), 2)
    found = cost_scores(arch, SearchSettings())
    count = int(found.parameters.value)
    assert violations(arch, found, SearchSettings(parameters=count)) == []
    exceeded = violations(arch, found, SearchSettings(parameters=count - 1))
    assert exceeded == [f"{count} parameters (limit {count - 1})"]


@pytest.mark.parametrize("budget", ["paper", "desk"])
@pytest.mark.parametrize("name", TABLES)
def test_every_row_can_be_asked_for(name, budget):
    asked = Asked(TABLES[name], budget)
    assert len({row.key for row in asked.rows}) == len(asked.rows)
    for row in asked.rows:
        assert asked.settings_of(row, 3).seed == 3
        assert row.strategy in STRATEGIES
    if database := asked.effort.database:
        assert asked.settings_of_database(database).strategy == "dqn"
        at = {row.settings["predict_at"] for row in asked.rows if row.predicted}
        assert at <= set(database.at) and max(database.at) <= database.epochs


@pytest.mark.parametrize("name", TABLES)
def test_a_desk_takes_two_hours_and_says_what_is_shortened(name):
    table = TABLES[name]
    desk = table.budgets["desk"]
    minutes = sum(desk.minutes[row.effort] for row in table.rows) * desk.seeds
    assert minutes + (desk.database.minutes if desk.database else 0) <= 120
    assert table.budgets["paper"].seeds >= (5 if table.rows else 1)
    assert len(table.shortened(desk, table.rows)) == sum((
        bool(table.rows), desk.database is not None, len({row.effort for row in table.rows})))
    assert table.shortened(table.budgets["paper"], table.rows) == []


def test_the_time_left_follows_the_rows_that_were_made():
    now = 0.0
    table = replace(SMALL, budgets={"desk": Budget(2, {"published": {}}, {"published": 10.0})})
    asked = Asked(table, "desk")
    pace = _Pace(asked, [(row, seed) for seed in (0, 1) for row in table.rows], clock=lambda: now)
    assert pace.text() == "about 0 h 20 min left"
    now = 30 * 60.0
    pace.done(table.rows[0], kept=False)
    assert pace.text() == "about 0 h 30 min left"


SMALL = Table(
    name="sftnas-2", title="A paper, table 0", subject="Made up", dataset="csv:there", archive="there.zip",
    metric="macro_f1", by_subject=True, new_people="the same figure",
    rows=(Row("TinyHAR", Printed(300e3, 36.0, 94.5), {"strategy": "published", "tail": "tinyhar", "board": "host",
                                                      "beta2": 0.0, "macs": 10**9}, "float"),),
    budgets={name: Budget(seeds, {"published": {"float_epochs": epochs}}, {"published": 1.0})
             for name, seeds, epochs in (("paper", 2, 200), ("desk", 1, 4))})


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> tuple[Asked, Path, Result]:
    """A table of one row."""
    root = tmp_path_factory.mktemp("reproduce")
    (root / "settings.toml").write_text("window = 32\nhop = 32\nfloat_epochs = 1\nqat_epochs = 1\n")
    table = replace(SMALL, dataset=f"csv:{write_recordings(root / 'recordings')}")
    asked = Asked(table, "desk", settings=root / "settings.toml")
    return asked, root / "out", reproduce(asked, root / "out", None, QUIET)


def test_a_small_table_has_our_figures_beside_the_papers(made):
    asked, folder, result = made
    assert result.changed == {"float_epochs": 1, "qat_epochs": 1, "window": 32, "hop": 32}
    assert result.shortened == ["1 seed instead of 2", "published: float_epochs 1 instead of 200, qat_epochs 1 "
                                "instead of default, window 32 instead of default, hop 32 instead of default"]
    assert load(folder / RESULT_FILE) == result
    header, (cells,) = grid(result, "macro_f1")
    row = dict(zip(header, cells, strict=True))
    assert row["macro F1, paper"] == "0.9450" and row["parameters, paper"] == "300,000"
    assert row["macro F1, float"] == f"{result.rows[0].runs[0].macro_f1:.4f}"
    assert row["macro F1, new people"] == row["macro F1, float"]
    assert "macro F1, int8" not in row
    assert int(row["parameters"].replace(",", "")) > 200_000  # the network is whole
    markdown, page = (path.read_text() for path in write_pages(result, asked.table, folder))
    assert f"| {' | '.join(cells)} |" in markdown
    narrow = Console(record=True, width=40)
    print_result(result, asked.table.metric, narrow)
    shown = narrow.export_text()
    assert all(cell in shown for cell in cells)
    assert "`harembed reproduce sftnas-2 --budget desk`" in markdown and "1 seed instead of 2" in markdown
    assert not re.findall(r"""(?:src|href)\s*=\s*["']?(?!["'#]|data:)[^>\s]+""", page)


def test_where_channels_are_limited_the_page_shows_which_are_left(made, tmp_path):
    asked, folder, result = made
    (row,) = result.rows
    run = RunDir(tmp_path / f"{row.key}-seed{row.runs[0].seed}")
    data = RunDir(folder / run.path.name).read_json("data.json")
    worn = [{**c, "place": "torso"} for c in data["channels"]]
    run.write_json("data.json", {**data, "channels": worn})
    run.write_json("search.json", {"architecture": {"channels": [0]}})
    row = row.model_copy(update={"settings": {**row.settings, "channels": 1}})
    pages = [write_pages(one, asked.table, tmp_path)[1].read_text()
             for one in (result, result.model_copy(update={"rows": [row]}))]
    assert [page.count("<svg") for page in pages] == [0, 1]
    assert f"channels in use, 1 of {len(worn)}." in pages[1]


def test_several_seeds_have_a_mean_and_a_deviation(made):
    (row,) = made[2].rows
    runs = [row.runs[0].model_copy(update={"seed": i, "macro_f1": f1}) for i, f1 in enumerate((0.80, 0.84))]
    header, (cells,) = grid(made[2].model_copy(update={"rows": [row.model_copy(update={"runs": runs})]}), "macro_f1")
    assert cells[header.index("macro F1, float")] == "0.8200 ± 0.0283"
    assert "±" not in cells[header.index("parameters")]


def test_rows_stand_against_others_by_seed(made):
    """Seed 1 of the whole row is missing: only seed 0 can be compared."""
    (row,) = made[2].rows

    def scored(key: str, against: str, *f1: float) -> RowResult:
        runs = [row.runs[0].model_copy(update={"seed": i, "macro_f1_int8": f, "sensors": "torso acc x"})
                for i, f in enumerate(f1)]
        return row.model_copy(update={"key": key, "against": against, "runs": runs, "settings": {"channels": 1}})

    rows = [scored("all", "", 0.8), scored("few", "all", 0.795, 0.1), scored("fewer", "all", 0.779),
            scored("none", "gone", 0.5)]
    result = made[2].model_copy(update={"rows": rows})
    header, cells = grid(result, "macro_f1")
    assert [row[header.index("difference, points")] for row in cells] == ["", "-0.5", "-2.1", ""]
    assert cells[1][header.index("which")] == "torso acc x | torso acc x"
    assert any("-1.3 points on average, at most one point lower in 1 of 2 rows" in said for said in notes(result))


def test_generations_stand_beside_the_first_of_them(made):
    (row,) = made[2].rows
    runs = [row.runs[0].model_copy(update={"seed": seed, "generations_f1": each, "ensemble_f1": together})
            for seed, (each, together) in enumerate([([0.5, 0.6, 0.7], 0.6), ([0.7, 0.6, 0.7], 0.8)])]
    result = made[2].model_copy(update={"rows": [row.model_copy(update={"runs": runs})]})
    header, (cells,) = grid(result, "macro_f1")
    assert cells[header.index("macro F1, float, its teachers")] == "0.6000 0.6000 0.7000"
    assert cells[header.index("these together")] == "0.7000 ± 0.1414"
    assert any("last +0.1000 [-1.1706, +1.3706] (higher in 1 of 2), all together +0.1000" in said
               for said in notes(result))
    assert "macro F1, float, its teachers" not in grid(made[2], "macro_f1")[0]


def test_a_figure_is_drawn_in_the_page(made):
    asked, folder, result = made
    (row,) = result.rows
    on_board = row.runs[0].model_copy(update={"latency_us": 1500.0, "macro_f1_int8": 0.9})
    drawn = result.model_copy(update={"rows": [row.model_copy(update={"runs": [on_board], "series": "one"})]})
    assert page(drawn, replace(asked.table, drawn=True), folder).count("<svg") == 2
    assert "<svg" not in page(drawn, asked.table, folder)


def test_finished_rows_are_not_made_again(made, monkeypatch):
    asked, folder, result = made
    monkeypatch.setattr(pipeline, "run_stages", lambda *_: pytest.fail("it ran again"))
    assert reproduce(asked, folder, None, QUIET) == result
    with pytest.raises(RunError, match="float_epochs = 1, now 4"):
        reproduce(replace(asked, settings=_settings(folder, "window = 32\nhop = 32\nqat_epochs = 1\n")), folder, None,
                  QUIET)


def test_settings_that_make_a_row_what_it_is_are_refused(made):
    asked, folder, _ = made
    with pytest.raises(RunError, match="tail is fixed by the rows of sftnas-2"):
        reproduce(replace(asked, settings=_settings(folder, 'tail = "conv"\n')), folder, None, QUIET)


def _settings(folder: Path, text: str) -> Path:
    (folder / "other.toml").write_text(text)
    return folder / "other.toml"


def test_data_that_are_not_at_hand_are_one_line(tmp_path, monkeypatch):
    def offline(*_, **__):
        raise OSError("no network")

    monkeypatch.setattr(pooch, "retrieve", offline)
    monkeypatch.setattr(pooch, "os_cache", lambda _: tmp_path / "cache")
    table = find_table("sftnas-3")
    console = Console(record=True, width=200)
    # A strategy that needs nothing but data.
    result = reproduce(Asked(table, "desk", ["TinyHAR", "dcl"]), tmp_path / "out", tmp_path, console)
    print_result(result, table.metric, console)
    assert result.missing == ("Skoda: not at hand; put SkodaMiniCP_2015_08.zip into a folder and name it with "
                              "--data-root or HAREMBED_DATA.")
    assert console.export_text().count(result.missing) == 2  # when it is noticed, and below the table
    assert [row.printed["mmacs"] for row in result.rows] == [534.44, 183.2]
    assert str(tmp_path) not in (tmp_path / "out" / RESULT_FILE).read_text()
    assert grid(result, table.metric)[0] == ["row", "macro F1, paper", "parameters, paper", "MMACs, paper"]


def test_an_unknown_row_and_an_unknown_table_are_named():
    with pytest.raises(RunError, match="Did you mean 'tinyhar-sftnas'"):
        find_table("sftnas-2").select(["tinyhar-sftna"])
    with pytest.raises(RunError, match="Did you mean 'sftnas-2'"):
        find_table("sftnas2")


def test_a_result_with_an_unknown_key_is_refused(made, tmp_path):
    document = json.loads((made[1] / RESULT_FILE).read_text())
    document["rows"][0]["macro_f1"] = 1.0
    (tmp_path / "r.json").write_text(json.dumps(document))
    with pytest.raises(RunError, match=r"r\.json: rows\.0\.macro_f1"):
        load(tmp_path / "r.json")


def test_readme_is_written_between_its_marks_and_only_once(made, tmp_path):
    (tmp_path / RESULTS).mkdir()
    save(made[2], tmp_path / RESULTS / "small.json")
    readme = tmp_path / "README.md"
    readme.write_text(f"before\n{BEGIN}\nby hand\n{END}\nbehind\n")
    assert write_readme(readme)
    text = readme.read_text()
    assert text.startswith(f"before\n{BEGIN}\n**A paper, table 0") and text.endswith(f"{END}\nbehind\n")
    assert "by hand" not in text and "| TinyHAR | 0.9450 |" in text
    assert not write_readme(readme) and readme.read_text() == text
    readme.write_text("no marks")
    with pytest.raises(RunError, match="needs one line"):
        write_readme(readme)


def test_readme_and_results_agree():
    readme = Path(__file__).parent.parent / "README.md"
    results = readme.parent / RESULTS
    assert (BEGIN in readme.read_text()) == any(results.glob("*.json"))  # marks without results say nothing
    if results.is_dir():
        assert between_marks(readme.read_text(), "README.md")[1] == f"\n{render(results)}"
