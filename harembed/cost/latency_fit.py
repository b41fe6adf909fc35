"""Fitting the latency model: observed layers in, coefficients and held-out errors out. Needs no simulator."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from harembed.cost.latency import UNITS
from harembed.cost.regression import fit_relative
from harembed.cost.work import Work

HELD_OUT_EVERY = 4  # of each kind, in the order of the design: one in so many is kept from the fit

Coefficients = dict[str, tuple[float, float]]


@dataclass(frozen=True)
class Observation:
    """One layer that ran."""

    work: Work
    instructions: int
    cycles: int


def fit_goal(observed: Sequence[Observation]) -> dict[str, Any]:
    """The entry of one goal in the file of a board.

    Returns
    -------
    dict    held_out: errors over all kinds; kinds: {kind: {layers, held_out, coefficients: {term: [instructions,
        cycles]}}}
    """
    kinds: dict[str, list[Observation]] = {}
    for o in observed:
        kinds.setdefault(o.work.kind, []).append(o)
    entries, errors = {}, []
    for kind in sorted(kinds):
        held = kinds[kind][HELD_OUT_EVERY - 1 :: HELD_OUT_EVERY]
        fitted = [o for i, o in enumerate(kinds[kind]) if i % HELD_OUT_EVERY != HELD_OUT_EVERY - 1]
        coefficients = fit_kind(fitted)
        missed = [relative_errors(coefficients, o) for o in held]
        errors += missed
        entries[kind] = {"layers": len(fitted), "held_out": summarise(missed),
                         "coefficients": {t: [round(c, 4) for c in pair] for t, pair in coefficients.items()}}
    return {"held_out": summarise(errors), "kinds": entries}


def fit_kind(observed: Sequence[Observation]) -> Coefficients:
    """Coefficients of the terms that occur in these layers."""
    terms = sorted({t for o in observed for t, count in o.work.terms.items() if count})
    counts = np.array([[o.work.terms.get(t, 0.0) for t in terms] for o in observed], np.float64)
    columns = [fit_relative(counts, np.array([getattr(o, unit) for o in observed], np.float64)) for unit in UNITS]
    return {t: (float(columns[0][i]), float(columns[1][i])) for i, t in enumerate(terms)}


def relative_errors(coefficients: Mapping[str, tuple[float, float]], o: Observation) -> tuple[float, float]:
    """(prediction - observation) / observation of a layer, of instructions and of cycles; a term that was never
    fitted counts as nothing."""
    predicted = [sum(coefficients.get(t, (0.0, 0.0))[unit] * count for t, count in o.work.terms.items())
                 for unit in range(len(UNITS))]
    return predicted[0] / o.instructions - 1.0, predicted[1] / o.cycles - 1.0


def summarise(errors: Iterable[tuple[float, float]]) -> dict[str, Any]:
    """Mean and 95th percentile of the absolute relative errors, in percent."""
    table = 100 * np.abs(np.array(list(errors), np.float64).reshape(-1, len(UNITS)))
    if not len(table):
        return {"layers": 0}
    return {"layers": len(table), **{
        unit: {"mean_percent": round(float(table[:, i].mean()), 2),
               "p95_percent": round(float(np.percentile(table[:, i], 95)), 2),
               "worst_percent": round(float(table[:, i].max()), 2)} for i, unit in enumerate(UNITS)}}
