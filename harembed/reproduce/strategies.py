"""Strategies side by side: the same data, limits, space of tails and epochs of training in all, paired by seed.

No paper prints this table. Each strategy proposes candidates in its own way; entrants, finals, the choice and the
last training are the same for all (search/contest.py). Pruning starts from the widest chain of the super-net
(search/backbone.py), so that all five look for networks of one kind.
"""

from harembed.reproduce.definitions import Budget, Printed, Row, Table, key_of

_NAMES = {"sftnas": "SFTNAS", "autoslim": "AutoSlim", "pas": "PaS", "evolution": "evolution", "random": "random"}
_FIRST = _NAMES["sftnas"]
MACS = 100_000

STRATEGIES_WATCH = Table(
    name="strategies-watch", title=f"Search strategies at {MACS:,} MACs and equal epochs", subject="watch",
    dataset="watch", archive="the package seglearn", metric="macro_f1", by_subject=True,
    new_people="the split is by person: the same figure", settings={"tail": "conv", "macs": MACS},
    rows=tuple(Row(name, Printed(), {"strategy": strategy}, "int8", effort="all strategies",
                   against="" if name == _FIRST else key_of(_FIRST)) for strategy, name in _NAMES.items()),
    budgets={
        "paper": Budget(seeds=5, minutes={"all strategies": 1}, settings={"all strategies": {"train_epochs": 1_500}}),
        "desk": Budget(seeds=3, minutes={"all strategies": 4}, settings={
            "all strategies": {"float_epochs": 40, "qat_epochs": 8, "train_epochs": 800}})},
    remarks=("This is no table of a paper. Differences are to SFTNAS. Budget paper is that of `harembed search` by "
             "default, with five seeds.",),
    paired=tuple((_FIRST, name) for name in _NAMES.values() if name != _FIRST),
)
