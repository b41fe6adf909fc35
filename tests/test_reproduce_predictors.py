"""`reproduce` of tables with predictors: Pellatt and Roggen's figures, a database that is made once, paired seeds."""

import json
import math
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from rich.console import Console
from test_pipeline import write_recordings

from harembed import pipeline, predictor
from harembed.errors import RunError
from harembed.feature_graph import DEEP_CONV_LSTM, MAX_FF, MAX_WIDE, reference
from harembed.reproduce import find_table
from harembed.reproduce.definitions import Budget, Database, Printed, Row, Table
from harembed.reproduce.page import render as page
from harembed.reproduce.paired import comparisons, mean_interval
from harembed.reproduce.results import Result, RowResult, load, save
from harembed.reproduce.run import DATABASE, RESULT_FILE, Asked, reproduce
from harembed.reproduce.show import grid, markdown, notes
from harembed.search.dqn.settings import PAPER_FILTERS, SMALL_FILTERS
from harembed.search.predictors.assessment import Assessment
from harembed.search.predictors.fitting import FitSettings
from harembed.settings import RunSettings

QUIET = Console(quiet=True)
# As printed: weighted F1, mean F1, accuracy, operations, hours of search.
TABLE_6 = """DeepConvLSTM	86.0± 0.5	56.0± 2.0	84.3± 0.6	5.3 M	–
Attend and Discriminate	89.2± 0.5	59.5± 0.9	89.1± 0.4	3.0 M	–
MaxFF	88.8± 0.3	60.4± 1.2	88.2± 0.5	44.4 M	–
MaxWide	87.3± 0.2	57.8± 0.5	85.9± 0.3	38.6 M	–
NAS (Baseline, 5)	89.7± 0.1	62.7± 0.6	89.4± 0.2	19.4 M	≈ 5
NAS (Baseline, 10)	89.9± 0.2	61.9± 0.2	89.7± 0.2	22.5 M	≈ 10
NAS (MLP, 5)	89.8± 0.4	62.7± 1.1	89.7± 0.4	34.6 M	≈ 5
NAS (MLP, 10)	90.0± 0.1	62.8± 0.6	89.7± 0.6	47.2 M	≈ 10
RS (FeedForward)	89.6± 0.2	61.7± 0.7	89.5± 0.3	21.9 M	≈ 120
RS (General)	89.4± 0.3	61.1± 1.6	89.3± 0.2	17.0 M	≈ 120"""


def test_table_6_is_what_the_paper_prints():
    wanted = {}
    for line in TABLE_6.splitlines():
        name, *scores, operations, hours = line.split("\t")
        values = [float(v) for score in scores for v in score.split("±")]
        wanted[name] = (*values, float(operations.split()[0]), None if hours == "–" else float(hours.split()[1]))
    found = {row.name: (p.weighted_f1, p.weighted_f1_std, p.macro_f1, p.macro_f1_std, p.accuracy, p.accuracy_std,
                        p.mmacs, p.hours) for row in find_table("pellatt-6").rows for p in [row.printed]}
    assert found == wanted
    for row in find_table("pellatt-6").rows:
        assert row.predicted == row.name.startswith("NAS")
        if row.predicted:
            assert row.name == f"NAS ({row.settings['predict_with']}, {row.settings['predict_at']})".replace(
                "mlp", "MLP").replace("baseline", "Baseline")


@pytest.mark.parametrize("name", ["pellatt-6-watch", "pellatt-figure-4-watch", "dqn-against-random"])
def test_other_data_have_no_figure_of_the_paper_beside_them(name):
    table = find_table(name)
    assert all(row.printed == Printed() for row in table.rows) and not table.best_group
    assert not table.title.startswith("Pellatt")


@pytest.mark.parametrize("name, graph", [
    ("deepconvlstm", DEEP_CONV_LSTM), ("max-ff", MAX_FF), ("max-wide", MAX_WIDE)])
def test_reference_networks_have_their_place_in_a_space(name, graph):
    assert reference(name, PAPER_FILTERS) == graph
    small = reference(name, SMALL_FILTERS)
    assert [layer.filters * 8 for layer in small.layers] == [layer.filters for layer in graph.layers]


def test_one_search_trains_a_tenth_of_the_other():
    for budget in find_table("dqn-against-random").budgets.values():
        s = budget.settings
        assert s["trained"]["train_epochs"] == 10 * s["predicted"]["train_epochs"]


def test_a_graph_is_of_strategy_published():
    with pytest.raises(ValueError, match="graph names a network of strategy published, not of dqn"):
        RunSettings(strategy="dqn", graph="max-ff")


_SPACE = {"tail": "conv", "hidden": 4, "filters": (2,), "max_layers": 2, "board": "host", "beta2": 0.0}
_BRIEF = {"float_epochs": 1, "qat_epochs": 1}
_BUDGET = Budget(2, {"published": _BRIEF, "predicted": {**_BRIEF, "train_epochs": 40},
                     "random": {**_BRIEF, "train_epochs": 36}},
                 {"published": 1, "predicted": 1, "random": 1}, Database(10, 10, 2, (1,), _SPACE, 1))
SMALL = Table(
    name="pellatt-6", title="A paper, table 6", subject="Made up", dataset="", archive="there.zip", metric="macro_f1",
    by_subject=True, new_people="the same figure", settings=_SPACE,
    rows=(Row("MaxFF", Printed(mmacs=44.4, macro_f1=60.4, macro_f1_std=1.2), {"strategy": "published",
                                                                              "graph": "max-ff"}, "float"),
          Row("NAS", Printed(hours=5), {"strategy": "dqn", "predict_with": "cnn", "predict_at": 1}, "float",
              effort="predicted"),
          Row("RS", Printed(), {"strategy": "dqn", "policy": "random"}, "float", effort="random")),
    budgets={"paper": _BUDGET, "desk": _BUDGET}, paired=(("NAS", "RS"),))
FIGURE = replace(SMALL, name="pellatt-figure-4", rows=(), settings=_SPACE, best_group={("cnn", 1): 0.54},
                 budgets={"desk": replace(_BUDGET, seeds=1, settings={}, minutes={}), "paper": _BUDGET})


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> tuple[Asked, Path, Result]:
    """A table of three rows and two seeds with its database."""
    root = tmp_path_factory.mktemp("predictors")
    (root / "settings.toml").write_text("window = 32\nhop = 32\nprocesses = 1\n")
    table = replace(SMALL, dataset=f"csv:{write_recordings(root / 'recordings')}")
    asked = Asked(table, "desk", settings=root / "settings.toml")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(predictor, "fit", partial(predictor.fit, settings=FitSettings(epochs=1)))
        return asked, root / "out", reproduce(asked, root / "out", None, QUIET)


def test_rows_are_predicted_by_the_tables_own_database(made):
    _, folder, result = made
    assert load(folder / RESULT_FILE) == result and not any(row.failures for row in result.rows)
    _, nas, rs = result.rows
    assert (folder / "nas-seed1" / predictor.PREDICTORS_FILE).read_bytes() \
        == (folder / DATABASE / predictor.PREDICTORS_FILE).read_bytes()
    assert not (folder / "rs-seed0" / predictor.PREDICTORS_FILE).exists()
    assert str(folder) not in (folder / RESULT_FILE).read_text()  # files say nothing of the computer
    assert [len(row.runs) for row in result.rows] == [2, 2, 2]
    assert all(run.validation_f1 is not None for run in (*nas.runs, *rs.runs))
    header, cells = grid(result, "macro_f1")
    first, second, _ = (dict(zip(header, row, strict=True)) for row in cells)
    assert first["macro F1, paper"] == "0.6040 ± 0.0120" and first["macro F1, validation"] == ""
    assert second["hours of the search, paper"] == "5" and second["epochs of the search"] == "40"
    said = " ".join(notes(result))
    assert "10 random networks of 2 epochs each (10 of them trained twice): 40 epochs" in said
    share = sum(run.epochs_trained for run in nas.runs) / sum(run.epochs_trained for run in rs.runs)
    assert f"NAS less RS at {share:.0%} of its epochs, macro F1, seed by seed: test " in said


def test_what_is_finished_is_not_made_again(made, monkeypatch):
    asked, folder, result = made
    monkeypatch.setattr(pipeline, "run_stages", lambda *_: pytest.fail("a row ran again"))
    monkeypatch.setattr(predictor, "fit", lambda *_: pytest.fail("predictors were fitted again"))
    assert reproduce(asked, folder, None, QUIET) == result
    monkeypatch.setattr(predictor, "database", lambda *_: pytest.fail("no row needs it"))
    assert len(reproduce(replace(asked, only=["MaxFF"]), folder, None, QUIET).rows) == 1


def test_a_figure_goes_on_in_a_given_database(made, tmp_path, monkeypatch):
    asked, folder, _ = made
    figure = replace(asked, table=replace(FIGURE, dataset=asked.table.dataset), database=folder / DATABASE)
    monkeypatch.setattr(predictor, "fit", lambda *_: pytest.fail("predictors were fitted again"))
    result = reproduce(figure, tmp_path, None, QUIET)
    assert load(tmp_path / RESULT_FILE) == result and result.date is not None and result.seconds is not None
    stored = json.loads((folder / DATABASE / predictor.ASSESSMENT_FILE).read_text())
    assert result.assessment == stored == Assessment.from_dict(stored).to_dict()
    header, rows = grid(result, "macro_f1")
    row = dict(zip(header, next(r for r in rows if r[0] == "cnn, 1 epochs"), strict=True))
    value = next(r["correlation"]["value"] for r in stored["rows"] if (r["kind"], r["group"]) == ("cnn", 0))
    assert row["all"].startswith(f"{value:.2f} [") and row["best 20 %, paper"] == "0.54"
    assert "two trainings of a network" in [r[0] for r in rows]
    assert page(result, figure.table, tmp_path).count("<svg") == 1
    assert "No test window was touched." in markdown(result, "macro_f1")
    shorter = replace(FIGURE.budgets["desk"], database=replace(_BUDGET.database, epochs=1))
    other = replace(figure.table, budgets={"paper": _BUDGET, "desk": shorter})
    with pytest.raises(RunError, match="epochs = 2, now 1"):
        reproduce(replace(figure, table=other), tmp_path, None, QUIET)


@pytest.mark.parametrize("name, given, words", [
    ("pellatt-figure-4-watch", {"only": ["mlp"]}, "has no rows"),
    ("pellatt-figure-4-watch", {"seeds": 3}, "not of seeds"),
    ("sftnas-2", {"database": Path("there")}, "has nothing to do with predictors")])
def test_what_a_table_has_not_cannot_be_asked_for(name, given, words, tmp_path):
    with pytest.raises(RunError, match=words):
        reproduce(Asked(find_table(name), "desk", **given), tmp_path, None, QUIET)


def test_a_damaged_assessment_is_named(made, tmp_path):
    result = made[2].model_copy(update={"assessment": {"metric": "macro_f1"}})
    with pytest.raises(RunError, match=r"r\.json: assessment: .*is no assessment"):
        load(save(result, tmp_path / "r.json"))


@pytest.mark.parametrize("first, verdict", [
    ((0.90, 0.91, 0.93), "it is better"), ((0.70, 0.71, 0.73), "it is worse"),
    ((0.90, 0.71, 0.83), "3 seeds do not")])
def test_pairs_say_what_the_seeds_tell(made, first, verdict):
    def row(key: str, scores: tuple[float, ...]) -> RowResult:
        runs = [made[2].rows[1].runs[0].model_copy(update={"seed": i, "macro_f1": f}) for i, f in enumerate(scores)]
        return made[2].rows[1].model_copy(update={"key": key, "name": key, "runs": runs})

    result = made[2].model_copy(update={"rows": [row("nas", first), row("rs", (0.80, 0.81, 0.82, 0.99))]})
    (said,) = comparisons(result)  # the fourth seed has no partner
    assert verdict in said and "of 3)" in said and "at 100% of its epochs" in said


def test_the_interval_of_a_mean_is_students():
    mean, low, high = mean_interval([1.0, 2.0, 3.0])
    assert mean == 2.0 and math.isclose(high - mean, 4.302653 / math.sqrt(3), rel_tol=1e-6)
    assert math.isclose(mean - low, high - mean)
