"""Channel statistics for the normalisation that the input spec folds into integers."""

import numpy as np

from harembed.data.recording import Windows
from harembed.errors import DataError


def channel_statistics(windows: Windows) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of each channel over all samples of training windows.

    Parameters
    ----------
    windows : Windows    of training subjects only, or the scores leak

    Returns
    -------
    mean, std : [C] float64    counts; std is at least 1 count, so that a constant channel stays finite

    Raises
    ------
    DataError    there are no windows
    """
    if not len(windows):
        raise DataError("There are no windows to compute channel statistics from.")
    # Sums of int16 in int64 are exact, so the result does not depend on the order of the windows.
    flat = windows.raw.reshape(-1, windows.raw.shape[2]).astype(np.int64)
    n = len(flat)
    total, squares = flat.sum(axis=0), (flat * flat).sum(axis=0)
    mean = total / n
    # n * sum(x^2) - sum(x)^2 can pass 2^63: Python's integers have no such limit.
    variance = np.array([(n * int(q) - int(t) ** 2) / n**2 for q, t in zip(squares, total, strict=True)])
    return mean, np.maximum(np.sqrt(variance), 1.0)
