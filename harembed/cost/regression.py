"""Least squares on relative errors with coefficients that cannot be negative: no loop takes less than no time."""

import numpy as np


def fit_relative(counts: np.ndarray, observed: np.ndarray) -> np.ndarray:
    """Coefficients c >= 0 that minimise the sum of ((counts @ c - observed) / observed)^2.

    Parameters
    ----------
    counts : [N, K] float    not negative
    observed : [N] float     positive

    Returns
    -------
    [K] float
    """
    weighted = counts / observed[:, np.newaxis]
    scale = np.linalg.norm(weighted, axis=0)
    scale[scale == 0] = 1.0
    return _nonnegative(weighted / scale, np.ones(len(observed))) / scale


def _nonnegative(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """min |a x - b| over x >= 0 (Lawson and Hanson, Solving Least Squares Problems, 1974, algorithm NNLS)."""
    n = a.shape[1]
    x, free = np.zeros(n), np.zeros(n, bool)
    for _ in range(30 * n):
        gradient = a.T @ (b - a @ x)
        gradient[free] = -np.inf
        if free.all() or gradient.max() < 1e-9:
            break
        free[gradient.argmax()] = True
        while True:
            s = np.zeros(n)
            s[free] = np.linalg.lstsq(a[:, free], b, rcond=None)[0]
            if not free.any() or s[free].min() > 0:
                break
            blocked = free & (s <= 0)
            step = (x[blocked] / np.maximum(x[blocked] - s[blocked], 1e-300)).min()
            x += step * (s - x)
            free &= x > 1e-12
        x = s
    return x
