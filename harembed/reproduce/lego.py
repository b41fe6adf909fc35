"""Tables III and VII of Tang et al., "Layer-wise Training Convolutional Neural Networks with Smaller Filters for
Human Activity Recognition Using Wearable Sensors" (Lego filters with local loss), on UCI-HAR; and on other data.

What the paper calls memory are parameters as MiB of float32 (harembed/published.py says how that is known).
"""

from collections.abc import Mapping
from typing import Any

from harembed.reproduce.definitions import Budget, Printed, Row, Table, key_of

_BASELINE = "Baseline"
_NETWORK: Mapping[str, Any] = {"strategy": "published", "tail": "flat", "board": "host", "beta2": 0.0, "macs": 10**9}
# Memory in MiB, million FLOPs, weighted F1 of table III, of table VII with local losses.
_PRINTED = {
    _BASELINE: (3.55, 69.62, 96.23, 96.90), "o=2, m=0.5": (1.30, 34.99, 96.27, 96.80),
    "o=4, m=0.5": (0.92, 34.99, 95.90, 96.55), "o=2, m=0.25": (0.92, 17.67, 95.92, 96.60),
    "o=4, m=0.25": (0.69, 17.67, 95.50, 96.32)}
_WHOLE, _LOCAL = "whole loss", "local loss"


def _rows(printed: bool) -> tuple[Row, ...]:
    """All networks trained by the loss of the whole, then all by local losses."""
    rows = []
    for effort in (_WHOLE, _LOCAL):
        local = effort == _LOCAL
        for name, (mebibytes, mflops, f1, local_f1) in _PRINTED.items():
            figures = Printed(mebibytes * 2**20 / 4, mflops, weighted_f1=local_f1 if local else f1)
            settings = {**_NETWORK, **({} if name == _BASELINE else {"lego": name.replace(" ", "")}),
                        **({"local_loss": True} if local else {})}
            words = f"{name}, {_LOCAL}" if local else name
            rows.append(Row(words, figures if printed else Printed(), settings, "float", effort=effort,
                            against="" if words == _BASELINE else key_of(_BASELINE)))
    return tuple(rows)


def _budgets(epochs: int, minutes: tuple[float, float]) -> Mapping[str, Budget]:
    """The paper trains for at least 500 epochs and repeats each five times. The desk's networks have a quarter of
    the filters, and so a sixteenth of the multiply-accumulates."""
    whole = {"float_epochs": 500, "qat_epochs": 1, "backbone": 1.0}
    desk = {"float_epochs": epochs, "qat_epochs": 1, "backbone": 0.25}
    return {"paper": Budget(seeds=5, minutes={_WHOLE: 1, _LOCAL: 1}, settings={_WHOLE: whole, _LOCAL: whole}),
            "desk": Budget(seeds=3, minutes=dict(zip((_WHOLE, _LOCAL), minutes, strict=True)),
                           settings={_WHOLE: desk, _LOCAL: desk})}


_PAIRED = tuple((f"o=2, m=0.5{ending}", _BASELINE) for ending in ("", f", {_LOCAL}"))
_WORDS = ("Every network is trained by this project's recipe (AdamW under one cycle, label smoothing, sensors turned "
          "at random), not by the paper's Adam. It prints neither kernels nor strides; ours are those that its "
          "memory and FLOPs allow. Differences are to our own baseline.")
_OTHER = "This is no table of a paper: the networks of Tang et al.'s table III on other data."

LEGO_UCI_HAR = Table(
    name="lego-uci-har", title="Tang et al., tables III and VII", subject="UCI-HAR", dataset="uci-har",
    archive="UCI HAR Dataset.zip", metric="weighted_f1", by_subject=True,
    new_people="the paper's split tests on new people: the same figure", rows=_rows(True), paired=_PAIRED,
    remarks=(_WORDS,), budgets=_budgets(12, (1.5, 5)))

LEGO_MOTIONSENSE = Table(
    name="lego-motionsense", title="Lego filters and local losses on MotionSense", subject="MotionSense",
    dataset="motionsense", archive="A_DeviceMotion_data.zip", metric="weighted_f1", by_subject=True,
    new_people="the split is by person: the same figure", rows=_rows(False), paired=_PAIRED,
    remarks=(_OTHER, _WORDS), budgets=_budgets(6, (1.5, 5)))

LEGO_DSADS = Table(
    name="lego-dsads", title="Lego filters and local losses on DSADS", subject="DSADS", dataset="dsads",
    archive="DSADS_PARTIAL-subjects-1-4.tar.xz", metric="weighted_f1", by_subject=True,
    new_people="the person who is left out: the same figure", rows=_rows(False), paired=_PAIRED,
    settings={"split": "loso=p1"}, remarks=(_OTHER, _WORDS), budgets=_budgets(6, (1.5, 5)))
