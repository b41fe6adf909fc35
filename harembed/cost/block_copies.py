"""What memcpy() and memset() of newlib do for small blocks on cores with Thumb-2, counted: CMSIS-NN calls them for
every tap of a filter, so that their paths decide what a layer of few channels takes.

Addresses are given modulo four bytes; blocks begin at `source` and `target`.
"""

import numpy as np

WORD, QUAD, CHUNK = 4, 16, 64  # bytes that a step copies
_BY_WORDS_FROM = 8  # bytes: shorter blocks that lie between words are copied byte by byte


def copy_terms(nbytes: np.ndarray | int, source: np.ndarray | int, target: np.ndarray | int) -> dict[str, float]:
    """The work of all copies of one place in the code.

    Parameters
    ----------
    nbytes, source, target : [...] int    of each copy; broadcast against each other
    """
    n, source, target = (a.ravel() for a in np.broadcast_arrays(nbytes, np.mod(source, WORD), np.mod(target, WORD)))
    between = (source | target) > 0
    short = between & (n < WORD)
    by_bytes = between & (n >= WORD) & (n < _BY_WORDS_FROM)
    head = np.where((n >= _BY_WORDS_FROM) & (source > 0) & (target > 0), WORD - target, 0)
    by_words = ~(short | by_bytes)
    left = np.where(by_words, n - head, 0)
    return {
        "copies by words": float(by_words.sum()), "copies after a head": float((head > 0).sum()),
        "copied chunks": float((left // CHUNK).sum()), "copied quads": float((left % CHUNK // QUAD).sum()),
        "copied words": float((left % QUAD // WORD).sum()), "copied rests": float((left % WORD > 0).sum()),
        "short copies": float(short.sum()), "short copies of two": float((short & (n > 1)).sum()),
        "copies by bytes": float(by_bytes.sum()), "copied bytes": float(np.where(by_bytes, n - 3, 0).sum())}


def set_terms(nbytes: np.ndarray | int, target: np.ndarray | int) -> dict[str, float]:
    """The work of all blocks that are set, see copy_terms()."""
    n, target = (a.ravel() for a in np.broadcast_arrays(nbytes, np.mod(target, WORD)))
    head = np.minimum(np.mod(-target, WORD), n)
    left = n - head
    return {
        "sets": float(n.size), "set head bytes": float(head.sum()), "sets by words": float((left >= WORD).sum()),
        "set quads": float((left // QUAD).sum()), "set words": float((left % QUAD // WORD).sum()),
        "set bytes": float((left % WORD).sum())}


def added(*terms: dict[str, float]) -> dict[str, float]:
    """The sum of terms of the same names."""
    total: dict[str, float] = {}
    for some in terms:
        for name, count in some.items():
            total[name] = total.get(name, 0.0) + count
    return total
