"""Born-again networks, and networks of signs that learn from them: tables 3.2 and 4.1 of Shen's thesis.

The thesis has Daphnet, Opportunity and PAMAP2. Here are its experiments on Daphnet, and on two other datasets. Its
"teacher" is the first generation, its "student-0" to "student-4" the five that follow, each taught by the one before.
"""

from collections.abc import Mapping
from typing import Any

from harembed.reproduce.definitions import Budget, Printed, Row, Table, key_of

_BORN_AGAIN, _ALONE = "born again", "alone"
_SIGNS, _TAUGHT_SIGNS = "signs", "signs, taught by generations"
_NETWORK: Mapping[str, Any] = {"strategy": "published", "tail": "resnet", "board": "host", "beta2": 0.0,
                               "macs": 10**9}


def _rows(dense: float | None = None, signs: tuple[float, float] | None = None,
          taught: tuple[float, float] | None = None) -> tuple[Row, ...]:
    """All generations of the dense network; a network of signs alone, and one that learns from such generations.

    Parameters
    ----------
    dense, signs, taught : what the thesis prints, per cent, with its deviation
    """
    def printed(figures: tuple[float, float] | None) -> Printed:
        return Printed(macro_f1=figures[0], macro_f1_std=figures[1]) if figures else Printed()

    return (
        Row("int8, taught by generations", Printed(macro_f1=dense), _NETWORK, "int8", effort=_BORN_AGAIN),
        Row(_SIGNS, printed(signs), {**_NETWORK, "xnor": True}, "int8", effort=_ALONE),
        Row(_TAUGHT_SIGNS, printed(taught), {**_NETWORK, "xnor": True}, "int8", effort=_BORN_AGAIN,
            against=key_of(_SIGNS)))


def _budgets(epochs: int, minutes: tuple[float, float]) -> Mapping[str, Budget]:
    """The thesis (sec. 3.2) trains five generations of 16 blocks of 64 filters for 400 epochs each."""
    whole = {"float_epochs": 400, "qat_epochs": 16, "blocks": 16, "backbone": 1.0}
    desk = {"float_epochs": epochs, "qat_epochs": max(epochs // 5, 1), "blocks": 2, "backbone": 0.25}
    born_again = {"born_again": True}
    return {
        "paper": Budget(seeds=5, minutes={_BORN_AGAIN: 1, _ALONE: 1}, settings={
            _BORN_AGAIN: {**whole, **born_again, "teachers": 6}, _ALONE: whole}),
        "desk": Budget(seeds=3, minutes=dict(zip((_BORN_AGAIN, _ALONE), minutes, strict=True)), settings={
            _BORN_AGAIN: {**desk, **born_again, "teachers": 3}, _ALONE: desk})}


_PAIRED = ((_TAUGHT_SIGNS, _SIGNS),)
_WORDS = ("Every network is trained by this project's recipe (AdamW under one cycle, label smoothing), not by the "
          "thesis' SGD. Generations are dense and in float; the network of a row learns from all of them at once, "
          "and is then quantised.")

BORN_AGAIN_DAPHNET = Table(
    name="born-again-daphnet", title="Shen's thesis, tables 3.2 and 4.1", subject="Daphnet", dataset="daphnet",
    archive="dataset_fog_release.zip", metric="macro_f1", by_subject=True,
    new_people="the split is by person: the same figure",
    rows=_rows(75.5, (69.2, 6.2), (71.2, 5.2)), paired=_PAIRED,
    remarks=("The thesis tells neither windows nor which people are tested; its figure of the first row is that of "
             "student-4 in table 3.2, those of the others are table 4.1's.", _WORDS), budgets=_budgets(20, (12, 3)))


def _other(name: str, subject: str, archive: str, minutes: tuple[float, float]) -> Table:
    """The experiment on a dataset that the thesis does not have."""
    return Table(
        name=f"born-again-{name}", title="Born-again generations and signs", subject=subject, dataset=name,
        archive=archive, metric="macro_f1", by_subject=True, new_people="the split is by person: the same figure",
        rows=_rows(), paired=_PAIRED, budgets=_budgets(20, minutes),
        remarks=("This is no table of a paper: the experiment of Shen's tables 3.2 and 4.1 on other data.", _WORDS))


BORN_AGAIN_UCI_HAR = _other("uci-har", "UCI-HAR", "UCI HAR Dataset.zip", (12, 3))
BORN_AGAIN_WATCH = _other("watch", "watch", "the package seglearn", (5, 2))
