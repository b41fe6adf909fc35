"""How good predictions are. Scores are fractions, not per cent."""

from dataclasses import dataclass

import numpy as np
import torch
from torchmetrics.functional.classification import (
    multiclass_accuracy,
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


def scores(predicted: np.ndarray, truth: np.ndarray, classes: int) -> Scores:
    """Score class predictions [N] int against the truth [N] int."""
    p, t = torch.as_tensor(np.asarray(predicted)).long(), torch.as_tensor(np.asarray(truth)).long()
    by_class = multiclass_f1_score(p, t, classes, average="none")
    return Scores(
        macro_f1=float(multiclass_f1_score(p, t, classes, average="macro")),
        weighted_f1=float(multiclass_f1_score(p, t, classes, average="weighted")),
        accuracy=float(multiclass_accuracy(p, t, classes, average="micro")),
        class_f1=by_class.numpy(), confusion=multiclass_confusion_matrix(p, t, classes).numpy())
