"""Does deep Q-learning with early prediction find more than chance does? Pellatt and Roggen's claim, put to the test.

Three searches of one space: the controller, and random drawing, both by scores that are predicted after five epochs,
and random drawing by the scores of short trainings, as the other strategies have them, which may train ten times as
many epochs in all. Entrants and finals, which are the same for all three, are counted; the database of the predictors
is not. Each seed is one comparison.
"""

from harembed.reproduce.definitions import Budget, Printed, Row, Table
from harembed.reproduce.pellatt import FULL_WATCH_DATABASE, WATCH_DATABASE

_PREDICTION = {"strategy": "dqn", "predict_with": "mlp", "predict_at": 5}
_DQN, _RANDOM, _TRAINED = "DQN with prediction", "random with prediction", "random without prediction"

DQN_AGAINST_RANDOM = Table(
    name="dqn-against-random", title="Deep Q-learning with early prediction against random search", subject="watch",
    dataset="watch", archive="the package seglearn", metric="macro_f1", by_subject=True,
    new_people="the split is by person: the same figure", settings={"tail": "conv"},
    rows=(
        Row(_DQN, Printed(), _PREDICTION, "float", effort="predicted"),
        Row(_RANDOM, Printed(), {**_PREDICTION, "policy": "random"}, "float", effort="predicted"),
        Row(_TRAINED, Printed(), {"strategy": "dqn", "policy": "random"}, "float", effort="trained"),
    ),
    budgets={
        "paper": Budget(
            seeds=10, minutes={"predicted": 1, "trained": 1}, settings={
                "predicted": {"float_epochs": 80, "train_epochs": 4_000},
                "trained": {"float_epochs": 80, "train_epochs": 40_000}},
            database=FULL_WATCH_DATABASE),
        "desk": Budget(
            seeds=5, minutes={"predicted": 1.5, "trained": 11}, settings={
                "predicted": {"float_epochs": 24, "train_epochs": 550},
                "trained": {"float_epochs": 24, "train_epochs": 5_500}},
            database=WATCH_DATABASE)},
    remarks=("This is no table of a paper. The space has 4 to 32 filters and up to 8 layers, within the limits of "
             "the board.",),
    paired=((_DQN, _RANDOM), (_DQN, _TRAINED), (_RANDOM, _TRAINED)),
)
