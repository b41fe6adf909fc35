"""Predictors as a file: JSON, with all numbers of a network as they are, so that nothing has to be unpickled."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from harembed.errors import RunError
from harembed.rundir import write_atomic
from harembed.search.predictors.predictor import Origin, Predictor, Scaling

FORMAT_VERSION = 1


def save_predictors(predictors: Sequence[Predictor], path: Path) -> Path:
    """All of one database."""
    rows = [{"kind": p.kind, "epochs": p.epochs, "metric": p.metric,
             "scaling": p.scaling and asdict(p.scaling), "weights": p.weights} for p in predictors]
    document = {"format_version": FORMAT_VERSION, "origin": asdict(predictors[0].origin), "predictors": rows}
    return write_atomic(path, json.dumps(document, allow_nan=False) + "\n")


def load_predictors(path: Path) -> list[Predictor]:
    """The inverse.

    Raises
    ------
    RunError    there is no such file, it is damaged or of another version
    """
    try:
        document = json.loads(path.read_text())
        if document["format_version"] != FORMAT_VERSION:
            raise RunError(f"{path} has format version {document['format_version']}, this is {FORMAT_VERSION}.",
                           "Run `harembed predictor fit` again.")
        origin = Origin(**document["origin"])
        return [_predictor(row, origin) for row in document["predictors"]]
    except OSError as e:
        raise RunError(f"Cannot read {path}: {e.strerror}.",
                       "Give --predictor the predictors.json that `harembed predictor fit` wrote.") from e
    except (ValueError, KeyError, TypeError) as e:
        raise RunError(f"{path} holds no predictors: {e}.", "Run `harembed predictor fit` again.") from e


def _predictor(row: dict[str, Any], origin: Origin) -> Predictor:
    scaling = row["scaling"]
    if scaling is not None:
        values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in scaling.items()}
        scaling = Scaling(**values)
    return Predictor(row["kind"], row["epochs"], row["metric"], origin, scaling, row["weights"])
