"""Which candidates are worth more training, and which one is taken."""

import math

from harembed.search.candidate import Candidate


def best_first(candidates: list[Candidate]) -> list[Candidate]:
    """By mean macro F1, of equals the one with fewer MACs, then by id."""
    return sorted(candidates, key=lambda c: (-c.scores.mean_f1, c.scores.macs.value, c.id))


def some_of_every_size(candidates: list[Candidate], most: int) -> list[Candidate]:
    """At most so many, spread over the MACs: which size is best for the data, training will tell."""
    by_size = sorted(candidates, key=lambda c: (-c.scores.macs.value, c.id))
    step = max(len(by_size) / max(most, 1), 1.0)
    return [by_size[int(i * step)] for i in range(min(most, len(by_size)))]


def choose(candidates: list[Candidate], standard_errors: float) -> Candidate:
    """The cheapest candidate whose score cannot be told from the best one's.

    Candidates were scored on the same folds, so differences are compared fold by fold: a candidate is as good as
    the best if its mean deficit is at most `standard_errors` times the standard error of that deficit (Breiman et
    al. 1984 take one). Fewer MACs win; of equals the better score.

    Parameters
    ----------
    candidates : finalists, all trained once on the same folds, at least one
    standard_errors : float    0 takes the best score
    """
    best = best_first(candidates)[0]
    equals = [c for c in candidates if _deficit(best, c) <= standard_errors * _deficit_error(best, c)]
    return min([best, *equals], key=lambda c: (c.scores.macs.value, -c.scores.mean_f1, c.id))


def _differences(best: Candidate, other: Candidate) -> list[float]:
    return [b.value - o.value for b, o in zip(best.scores.final_f1, other.scores.final_f1, strict=True)]


def _deficit(best: Candidate, other: Candidate) -> float:
    d = _differences(best, other)
    return sum(d) / len(d)


def _deficit_error(best: Candidate, other: Candidate) -> float:
    """Standard error of the mean difference; 0 with a single fold, which says nothing about it."""
    d = _differences(best, other)
    if len(d) < 2:
        return 0.0
    mean = sum(d) / len(d)
    return math.sqrt(sum((x - mean) ** 2 for x in d) / (len(d) - 1) / len(d))
