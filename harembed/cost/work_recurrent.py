"""The work of kernels that go through time step by step: LSTM and GRU. Each returns (kind, terms), see work.py."""

from typing import Any

from harembed.cost.work_conv import dense_work
from harembed.ir.ops.conv_dsp import CACHE_LINE, missed_again

Counted = tuple[str, dict[str, float]]


def lstm_portable_work(steps: int, inputs: int, units: int) -> Counted:
    return "lstm, portable", _products(steps, inputs, units)


def gru_portable_work(steps: int, inputs: int, units: int) -> Counted:
    return "gru, portable", _products(steps, inputs, units)


def _products(steps: int, inputs: int, units: int) -> dict[str, float]:
    return {"calls": 1, "steps": steps, "unit steps": steps * units, "input weights": steps * units * inputs,
            "state weights": steps * units * units}


def lstm_work(steps: int, inputs: int, units: int) -> Counted:
    """he_lstm_s8_dsp: four terms of all gates in each round."""
    fours = -(-inputs // 4), -(-units // 4)
    return "lstm", {
        "calls": 1, "steps": steps, "unit steps": steps * units, "widened fours": steps * sum(fours),
        "rounds": steps * units * sum(fours), "looped rounds": steps * units * sum(f > 4 for f in fours)}


def gru_work(p: Any) -> Counted:
    """he_gru_s8_dsp: two fully connected layers in each step, then unit by unit."""
    terms: dict[str, float] = {"calls": 1, "steps": p.time_steps, "unit steps": p.time_steps * p.units}
    lines = 0.0
    for product in (p.input, p.recurrent):
        kind, counts = dense_work(product)
        layout = kind.partition(", ")[2]
        lines += counts.pop("weight lines")
        counts.pop("calls")
        for name, count in counts.items():
            key = f"{name}, {layout}"
            terms[key] = terms.get(key, 0.0) + p.time_steps * count
    missed = missed_again(lines * CACHE_LINE) / CACHE_LINE
    return "gru", {**terms, "weight lines": lines, "weight lines missed again": (p.time_steps - 1) * missed}
