"""A figure on predictors as a table (figure 4 of Pellatt and Roggen): Spearman's correlation by quintile of the
networks, and what the networks are like."""

from collections.abc import Callable

from harembed.report.predictors import GROUP_NAMES, interval_text, verdict
from harembed.reproduce.results import Result
from harembed.search.predictors.assessment import Assessment, Group, Row
from harembed.search.predictors.correlation import GROUPS

_PAPER, _FOLDS, _GAIN = "best 20 %, paper", "best 20 %, mean of folds", "best 20 % over the baseline"


def assessment_of(result: Result) -> Assessment:
    """Of a result that has one."""
    assert result.assessment is not None
    return Assessment.from_dict(result.assessment)


def ranking_grid(result: Result) -> tuple[list[str], list[list[str]]]:
    """Header and cells: a row for each predictor and number of epochs, then what the groups of networks are like."""
    found = assessment_of(result)
    kinds = dict.fromkeys((r.kind, r.epochs) for r in found.rows)
    rows = [_predictor(result, [r for r in found.rows if (r.kind, r.epochs) == k]) for k in kinds]
    rows += [[name, *cells, "", "", ""] for name, cell in _NETWORKS if any(cells := [*map(cell, found.groups)])]
    return ["", *GROUP_NAMES, _PAPER, _FOLDS, _GAIN], rows


def _predictor(result: Result, by_group: list[Row]) -> list[str]:
    best = by_group[GROUPS]
    name = f"{best.kind}, {best.epochs} epochs"
    printed = result.printed.get(name)
    folds = "" if best.fold_mean is None else f"{best.fold_mean:.2f} ± {best.fold_std:.2f}"
    return [name, *(interval_text(r.correlation) for r in by_group), "" if printed is None else f"{printed:.2f}",
            folds, interval_text(best.gain) if best.gain else ""]


_NETWORKS: tuple[tuple[str, Callable[[Group], str]], ...] = (
    ("two trainings of a network", lambda g: interval_text(g.ceiling) if g.ceiling else ""),
    ("networks (trained twice)", lambda g: f"{g.networks:,} ({g.twice})"),
    ("converged score", lambda g: f"{g.target[0]:.3f} to {g.target[1]:.3f}"),
    ("layers, mean", lambda g: f"{g.layers:.1f}"),
    ("density, mean", lambda g: f"{g.density:.2f}"),
    ("MMACs, mean", lambda g: f"{g.macs / 1e6:.4g}"),
)


def ranking_notes(result: Result) -> list[str]:
    """What has to be said beside the figures."""
    found = assessment_of(result)
    said = [verdict(found, epochs) for epochs in dict.fromkeys(r.epochs for r in found.rows)]
    if (ceiling := found.groups[GROUPS].ceiling) is not None:
        said.append(f"Two trainings of one network agree there by {interval_text(ceiling)}, which is what chance of "
                    "training leaves to see.")
    return [*filter(None, said),
            f"Spearman's correlation of predicted and converged {found.metric.replace('_f1', ' F1')}, in brackets "
            "95 % by bootstrap over networks. Every network is predicted by what was fitted without it, in ten "
            "folds. Groups are fifths by the converged score. The best of four predictors was picked on the same "
            "networks."]
