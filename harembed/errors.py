"""Errors that a user can act upon.

A message says what, where (node, file:key, shape) and gives numbers with units; the hint is the next thing
to type or to change. The command line prints both in two lines and exits with 2. Anything else that is
raised is a bug and keeps its traceback.
"""


class HarembedError(Exception):
    """Root of all expected errors."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class DataError(HarembedError):
    """A dataset or a recording is missing, damaged or unsuitable."""


class MissingDataError(DataError):
    """The archive of a dataset is not at hand, and could not be downloaded."""


class BoardError(HarembedError):
    """A board file is wrong, or what was asked for does not fit the board."""


class GraphError(HarembedError):
    """An integer graph is inconsistent, or uses something that is not supported."""


class BuildError(HarembedError):
    """A toolchain is missing, or a firmware does not compile."""


class HarnessError(HarembedError):
    """A device, simulator or transport did not answer as the protocol says."""


class RunError(HarembedError):
    """A run folder is of another version, damaged, or belongs to other settings."""


class SearchError(HarembedError):
    """A search cannot satisfy what was asked for."""


def unknown_name(kind: str, name: str, known: list[str]) -> str:
    """Word an error for a name that is not in a registry: nearest match first, then all that exist."""
    import difflib

    near = difflib.get_close_matches(name, known, n=1)
    guess = f" Did you mean {near[0]!r}?" if near else ""
    return f"There is no {kind} {name!r}.{guess} Known: {', '.join(sorted(known))}."
