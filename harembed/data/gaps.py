"""Missing values: what a wireless sensor lost."""

import numpy as np


def fill_gaps(values: np.ndarray, longest: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Interpolate each channel linearly over its missing values; at the ends hold the nearest value.

    A channel that has no value at all becomes 0. This is what Ordóñez and Roggen (Sensors 2016, sec. 4.1)
    do for OPPORTUNITY, but for the ends, where they write 0: a step that no sensor made.

    Parameters
    ----------
    values : [T, C] float    NaN where missing
    longest : int            samples; a gap longer than this is reported; None: none is

    Returns
    -------
    filled : [T, C] float
    far : [T] bool           rows inside a gap of any channel that is longer than `longest`
    """
    filled, far = values.copy(), np.zeros(len(values), bool)
    time = np.arange(len(values))
    for c in np.flatnonzero(np.isnan(values).any(axis=0)):
        gone = np.isnan(values[:, c])
        here = ~gone
        filled[gone, c] = np.interp(time[gone], time[here], values[here, c]) if here.any() else 0.0
        if longest is not None:
            far |= _in_long_runs(gone, longest)
    return filled, far


def _in_long_runs(mask: np.ndarray, longest: int) -> np.ndarray:
    """Of a boolean mask [T], only the runs of True that are longer than this."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], mask.astype(np.int8), [0]])))
    kept = np.zeros(len(mask), bool)
    for start, end in edges.reshape(-1, 2):
        if end - start > longest:
            kept[start:end] = True
    return kept
