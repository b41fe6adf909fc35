"""Archives that hold a part of a dataset only: they are read, and every place that names them says so."""

from collections.abc import Collection
from dataclasses import dataclass, replace

from harembed.data.dataset import DatasetInfo, Division
from harembed.data.split import SUBJECTS
from harembed.errors import DataError

_SHOWN = 5  # names of missing parts in a note


@dataclass(frozen=True)
class Holding:
    """Which parts of a dataset an archive holds."""

    found: Collection[str]
    official: Collection[str]  # every part of the complete dataset
    unit: str  # what a part is, in the plural: "files", "subjects"

    @property
    def complete(self) -> bool:
        return set(self.found) >= set(self.official)

    @property
    def counts(self) -> str:
        return f"{len(set(self.found))} of {len(self.official)} {self.unit}"

    def missing(self) -> list[str]:
        return sorted(set(self.official) - set(self.found))


def name_part(info: DatasetInfo, holding: Holding) -> DatasetInfo:
    """Put the counts into title and licence notice (both stand in the report) and the missing parts into a note."""
    if holding.complete:
        return info
    missing = holding.missing()
    shown = ", ".join(missing[:_SHOWN]) + (f" and {len(missing) - _SHOWN} more" if len(missing) > _SHOWN else "")
    return replace(
        info, title=f"{info.title} ({holding.counts})",
        licence_notice=f"{info.licence_notice} The archive is partial: results are on {holding.counts}.",
        notes=(f"PARTIAL ARCHIVE: {holding.counts}; missing: {shown}. Figures on it are not those of the whole "
               "dataset.", *info.notes))


def last_people(people: Collection[str], official: Collection[str]) -> tuple[str, ...]:
    """The `official` test people whom the archive holds; if none of them, the last quarter of those it holds.

    Raises
    ------
    DataError    fewer than two people
    """
    here = sorted(set(people))
    if len(here) < 2:
        raise DataError(f"The archive holds recordings of {', '.join(here) or 'nobody'} alone: none can be held out.",
                        "Get the complete archive.")
    test = tuple(p for p in here if p in official)
    return test if test and len(test) < len(here) else tuple(here[-max(len(here) // 4, 1):])


def by_person(split: str, people: Collection[str], official: Collection[str]) -> dict[str, Division]:
    """The split by subject, its test people as last_people finds them; empty if another split is asked for.

    Raises
    ------
    DataError    fewer than two people
    """
    if split != SUBJECTS:
        return {}
    test = last_people(people, official)
    return {SUBJECTS: Division(say_people(test, people), lambda r: r.subject in test)}


def say_people(test: Collection[str], people: Collection[str]) -> str:
    """The split by subject in words."""
    verb = "is" if len(test) == 1 else "are"
    return f"by subject: {', '.join(test)} (of {len(set(people))} people) {verb} the test set"
