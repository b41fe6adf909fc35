"""How good predictions are. Scores are fractions, not per cent."""

from dataclasses import dataclass

import numpy as np
import torch
from torchmetrics.functional.classification import (
    multiclass_accuracy,
    multiclass_calibration_error,
    multiclass_confusion_matrix,
    multiclass_f1_score,
)


@dataclass(frozen=True, eq=False)
class Scores:
    macro_f1: float  # mean over the classes that occur in truth or prediction
    weighted_f1: float
    accuracy: float
    class_f1: np.ndarray  # [classes] float
    confusion: np.ndarray  # [classes, classes] int: row truth, column prediction
    calibration_error: float | None  # expected, 15 bins (Guo et al. 2017); None without probabilities


def scores(predicted: np.ndarray, truth: np.ndarray, classes: int,
           probabilities: np.ndarray | None = None) -> Scores:
    """Score class predictions.

    Parameters
    ----------
    predicted, truth : [N] int
    probabilities : [N, classes] float, optional    for the calibration error
    """
    p, t = torch.as_tensor(np.asarray(predicted)).long(), torch.as_tensor(np.asarray(truth)).long()
    by_class = multiclass_f1_score(p, t, classes, average="none")
    error = None
    if probabilities is not None:
        error = float(multiclass_calibration_error(torch.as_tensor(probabilities), t, classes, n_bins=15))
    return Scores(
        macro_f1=float(multiclass_f1_score(p, t, classes, average="macro")),
        weighted_f1=float(multiclass_f1_score(p, t, classes, average="weighted")),
        accuracy=float(multiclass_accuracy(p, t, classes, average="micro")),
        class_f1=by_class.numpy(), confusion=multiclass_confusion_matrix(p, t, classes).numpy(),
        calibration_error=error,
    )
