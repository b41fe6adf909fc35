"""Table 6 and figure 4 of Pellatt and Roggen, "Speeding up deep neural architecture search for wearable activity
recognition with early prediction of converged performance" (Frontiers in Computer Science 2022).

Figure 4: how well predictors rank random networks after a few epochs. Table 6: what a search with their help finds,
against random searches and four networks that were not searched. Both are of OPPORTUNITY. For who has not got it, the
same experiments are also defined on watch, in the space that fits the board and with a tail that trains quickly:
those are no figures of the paper, and none of its figures stand beside them.
"""

from collections.abc import Mapping
from typing import Any

from harembed.reproduce.definitions import ALL_WINDOWS, Budget, Database, Printed, Row, Table

PAPER = 'Pellatt & Roggen, "Early prediction"'
# The paper's networks are sized for a host, without limits; the controller learns from weighted F1.
_HOST: Mapping[str, Any] = {"board": "host", "beta2": 0.0, "macs": 10**9, "metric": "weighted_f1"}
_PAPER_SPACE: Mapping[str, Any] = {"tail": "deepconvlstm", "hidden": 128, "filters": (32, 64, 128, 256),
                                   "search_windows": ALL_WINDOWS}
_SMALL_SPACE: Mapping[str, Any] = {"tail": "deepconvlstm", "hidden": 16, "filters": (4, 8, 16, 32), "hop": 32}
_PREDICTED, _RANDOM = "predicted", "random"  # efforts


def _published(name: str, printed: Printed, **settings: Any) -> Row:
    return Row(name, printed, {"strategy": "published", **settings}, "float")


def _predicted(name: str, printed: Printed, predict_with: str, predict_at: int) -> Row:
    return Row(name, printed, {"strategy": "dqn", "predict_with": predict_with, "predict_at": predict_at}, "float",
               effort=_PREDICTED)


def _random(name: str, printed: Printed, space: str) -> Row:
    return Row(name, printed, {"strategy": "dqn", "policy": "random", "space": space}, "float", effort=_RANDOM)


def _printed(weighted: tuple[float, float], macro: tuple[float, float], accuracy: tuple[float, float],
             million_operations: float, hours: float | None = None) -> Printed:
    """A row as the paper prints it: (mean, standard deviation) in per cent."""
    return Printed(mmacs=million_operations, weighted_f1=weighted[0], weighted_f1_std=weighted[1], macro_f1=macro[0],
                   macro_f1_std=macro[1], accuracy=accuracy[0], accuracy_std=accuracy[1], hours=hours)


_EXPLAINED = (
    "The controller learns from validation people, predictors from other training people again; the paper's were "
    "fitted to scores of its test set. Searches end with entrants and finals, which all strategies here share; the "
    "paper takes the best network of the search.")
_OPPORTUNITY: Mapping[str, Any] = {
    "subject": "OPPORTUNITY", "dataset": "opportunity:challenge", "archive": "OpportunityUCIDataset.zip",
    "metric": "weighted_f1", "by_subject": False}

TABLE_6 = Table(
    name="pellatt-6", title=f"{PAPER}, table 6", **_OPPORTUNITY,
    new_people="the same network trained anew, in float, on S1 to S3 and tested on S4",
    settings=_HOST,
    rows=(
        _published("DeepConvLSTM", _printed((86.0, 0.5), (56.0, 2.0), (84.3, 0.6), 5.3), graph="deepconvlstm",
                   tail="deepconvlstm"),
        _published("Attend and Discriminate", _printed((89.2, 0.5), (59.5, 0.9), (89.1, 0.4), 3.0),
                   graph="deepconvlstm", tail="attend"),
        _published("MaxFF", _printed((88.8, 0.3), (60.4, 1.2), (88.2, 0.5), 44.4), graph="max-ff",
                   tail="deepconvlstm"),
        _published("MaxWide", _printed((87.3, 0.2), (57.8, 0.5), (85.9, 0.3), 38.6), graph="max-wide",
                   tail="deepconvlstm"),
        _predicted("NAS (Baseline, 5)", _printed((89.7, 0.1), (62.7, 0.6), (89.4, 0.2), 19.4, 5), "baseline", 5),
        _predicted("NAS (Baseline, 10)", _printed((89.9, 0.2), (61.9, 0.2), (89.7, 0.2), 22.5, 10), "baseline", 10),
        _predicted("NAS (MLP, 5)", _printed((89.8, 0.4), (62.7, 1.1), (89.7, 0.4), 34.6, 5), "mlp", 5),
        _predicted("NAS (MLP, 10)", _printed((90.0, 0.1), (62.8, 0.6), (89.7, 0.6), 47.2, 10), "mlp", 10),
        _random("RS (FeedForward)", _printed((89.6, 0.2), (61.7, 0.7), (89.5, 0.3), 21.9, 120), "feedforward"),
        _random("RS (General)", _printed((89.4, 0.3), (61.1, 1.6), (89.3, 0.2), 17.0, 120), "general"),
    ),
    budgets={
        # Sec. 3.3.1: at most 300 epochs, which stop after 100 to 150. 20,000 networks a search, 5,000 at random.
        "paper": Budget(
            seeds=5, minutes={"published": 1, _PREDICTED: 1, _RANDOM: 1}, settings={
                "published": {"float_epochs": 300, "hidden": 128, "filters": (32, 64, 128, 256)},
                _PREDICTED: {"float_epochs": 300, "episodes": 20_000, "train_epochs": 204_200, **_PAPER_SPACE},
                _RANDOM: {"float_epochs": 300, "episodes": 5_000, "train_epochs": 379_200, **_PAPER_SPACE}},
            database=Database(5_000, 500, 150, (5, 10, 25, 45), _PAPER_SPACE, 1)),
        # Extrapolated from windows of this shape that were made up: the recordings were not at hand.
        "desk": Budget(
            seeds=1, minutes={"published": 10.5, _PREDICTED: 7.5, _RANDOM: 12}, settings={
                "published": {"float_epochs": 3, "qat_epochs": 1, "hidden": 128, "filters": (32, 64, 128, 256),
                              "hop": 32},
                _PREDICTED: {"float_epochs": 8, "qat_epochs": 1, "train_epochs": 262, **_SMALL_SPACE},
                _RANDOM: {"float_epochs": 8, "qat_epochs": 1, "train_epochs": 450, **_SMALL_SPACE}},
            database=Database(60, 12, 12, (5, 10), _SMALL_SPACE, 15))},
    remarks=(_EXPLAINED, "The paper's FLOPs stand as MMACs: so counted its networks come out (5.3, 44.4 and 38.6 M), "
                         "but Attend and Discriminate, of which it says too little: ours has two GRU layers of 128 "
                         "and 4.5 M. The paper's times are of an RTX 2080."),
)

FIGURE_4 = Table(
    name="pellatt-figure-4", title=f"{PAPER}, figure 4", **_OPPORTUNITY,
    new_people="a network's converged score is of people who are neither in its training nor in its validation",
    rows=(), settings=_HOST, best_group={("mlp", 5): 0.54, ("baseline", 5): 0.17},
    budgets={
        "paper": Budget(1, {}, {}, Database(5_000, 500, 150, (5, 10, 25, 45), _PAPER_SPACE, 1)),
        "desk": Budget(1, {}, {}, Database(200, 40, 25, (5, 10, 25), _SMALL_SPACE, 95))},
    remarks=("The paper's correlations are means over ten folds, of 5,000 networks and of the test people's F1; its "
             "text prints two numbers of the figure.",),
)

# On watch, with the limits of the board: a tail without LSTM, because one over 192 samples takes ten times as long.
_CONV: Mapping[str, Any] = {"tail": "conv"}
_WATCH: Mapping[str, Any] = {
    "subject": "watch, no figure of the paper", "dataset": "watch", "archive": "the package seglearn",
    "metric": "macro_f1", "by_subject": True}
WATCH_DATABASE = Database(500, 100, 40, (5, 10, 25), _CONV, 45)
# The figure alone has the time for more of them: its intervals are as wide as its networks are few.
_FIGURE_DATABASE = Database(1_000, 200, 40, (5, 10, 25), _CONV, 90)
FULL_WATCH_DATABASE = Database(5_000, 500, 40, (5, 10, 25), _CONV, 1)
_NOT_THE_PAPERS = ("Other recordings, another tail and a smaller space (4 to 32 filters) than the paper's: its "
                   "figures are no measure for these.")

TABLE_6_WATCH = Table(
    name="pellatt-6-watch", title=f"The experiment of {PAPER}, table 6, on other data", **_WATCH,
    new_people="the split is by person: the same figure", settings=_CONV,
    rows=(
        _published("convolutions of DeepConvLSTM", Printed(), graph="deepconvlstm"),
        _published("MaxFF", Printed(), graph="max-ff", board="host", beta2=0.0, macs=10**9),
        _published("MaxWide", Printed(), graph="max-wide", board="host", beta2=0.0, macs=10**9),
        _predicted("NAS (Baseline, 5)", Printed(), "baseline", 5),
        _predicted("NAS (Baseline, 10)", Printed(), "baseline", 10),
        _predicted("NAS (MLP, 5)", Printed(), "mlp", 5),
        _predicted("NAS (MLP, 10)", Printed(), "mlp", 10),
        _random("RS (FeedForward)", Printed(), "feedforward"),
        _random("RS (General)", Printed(), "general"),
    ),
    budgets={
        "paper": Budget(
            seeds=5, minutes={"published": 1, _PREDICTED: 1, _RANDOM: 1}, settings={
                "published": {}, _PREDICTED: {"train_epochs": 12_000}, _RANDOM: {"train_epochs": 120_000}},
            database=FULL_WATCH_DATABASE),
        "desk": Budget(
            seeds=1, minutes={"published": 3, _PREDICTED: 4, _RANDOM: 18}, settings={
                "published": {"float_epochs": 40}, _PREDICTED: {"float_epochs": 40, "train_epochs": 1_200},
                _RANDOM: {"float_epochs": 40, "train_epochs": 6_000}},
            database=WATCH_DATABASE)},
    remarks=(_EXPLAINED, _NOT_THE_PAPERS, "The networks that are not searched stand at their places in that space: "
             "8 filters in DeepConvLSTM's convolutions, 32 in MaxFF and MaxWide."),
)

FIGURE_4_WATCH = Table(
    name="pellatt-figure-4-watch", title=f"The experiment of {PAPER}, figure 4, on other data", **_WATCH,
    new_people=FIGURE_4.new_people, rows=(), settings={},
    budgets={"paper": Budget(1, {}, {}, FULL_WATCH_DATABASE), "desk": Budget(1, {}, {}, _FIGURE_DATABASE)},
    remarks=(_NOT_THE_PAPERS,),
)
