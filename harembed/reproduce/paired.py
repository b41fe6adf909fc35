"""Rows that are compared seed by seed: one sentence for each pair, which also says when the seeds tell nothing."""

import math
import statistics
from collections.abc import Callable

from scipy.stats import t as student

from harembed.reproduce.results import Result, RowResult, Run

LEVEL = 0.95


def comparisons(result: Result) -> list[str]:
    """A sentence for each pair of rows that have two seeds or more in common."""
    found = []
    for first, second in result.paired:
        a, b = result.row(first), result.row(second)
        if a is not None and b is not None and len(_differences(a, b, lambda run: run.macro_f1)) > 1:
            found.append(_sentence(a, b))
    return found


def generations_compared(result: Result) -> list[str]:
    """A sentence for each row whose teachers are generations: the last one, and all together, against the first."""
    return [f"{row.name}, macro F1 of generations less that of the first, float, seed by seed: "
            f"last {_text([r.generations_f1[-1] - r.generations_f1[0] for r in row.runs])}, all together "
            f"{_text([r.ensemble_f1 - r.generations_f1[0] for r in row.runs if r.ensemble_f1 is not None])}."
            for row in result.rows if len(row.runs) > 1 and all(len(r.generations_f1) > 1 for r in row.runs)]


def _differences(a: RowResult, b: RowResult, figure: Callable[[Run], float | None]) -> list[float]:
    """Of the seeds that both rows have."""
    other = {run.seed: figure(run) for run in b.runs}
    both = [(figure(run), other.get(run.seed)) for run in a.runs]
    return [x - y for x, y in both if x is not None and y is not None]


def _sentence(a: RowResult, b: RowResult) -> str:
    test = _differences(a, b, lambda run: run.macro_f1)
    validation = _differences(a, b, lambda run: run.validation_f1)
    figures = [f"{where} {_text(d)}" for where, d in (("test", test), ("validation", validation)) if len(d) > 1]
    _, low, high = mean_interval(test)
    verdict = ("it is better" if low > 0 else "it is worse" if high < 0 else
               f"{len(test)} seeds do not tell the two apart")
    return (f"{a.name} less {b.name}{_effort(a, b)}, macro F1, seed by seed: {', '.join(figures)}; by the test "
            f"people {verdict}.")


def _text(d: list[float]) -> str:
    mean, low, high = mean_interval(d)
    return f"{mean:+.4f} [{low:+.4f}, {high:+.4f}] (higher in {sum(x > 0 for x in d)} of {len(d)})"


def _effort(a: RowResult, b: RowResult) -> str:
    """Epochs of the first in shares of the second's, where both are known."""
    ours, theirs = (row.values(lambda run: run.epochs_trained) for row in (a, b))
    return f" at {statistics.fmean(ours) / statistics.fmean(theirs):.0%} of its epochs" if ours and theirs else ""


def mean_interval(values: list[float]) -> tuple[float, float, float]:
    """Mean of two values or more, and its 95 % interval by Student's t."""
    mean = statistics.fmean(values)
    half = float(student.ppf((1 + LEVEL) / 2, len(values) - 1)) * statistics.stdev(values) / math.sqrt(len(values))
    return mean, mean - half, mean + half
