"""README's tables of reproduced results: written from the result files, never by hand."""

from pathlib import Path

from harembed.errors import RunError
from harembed.reproduce import TABLES, find_table
from harembed.reproduce.results import load
from harembed.reproduce.show import markdown
from harembed.rundir import write_atomic

BEGIN, END = "<!-- reproduced results: begin -->", "<!-- reproduced results: end -->"
RESULTS = "results"  # the folder beside README


def render(results: Path) -> str:
    """Markdown of all result files of a folder, in the order of the tables, the paper's budget first."""
    found = [load(path) for path in sorted(results.glob("*.json"))]
    order = list(TABLES)
    found.sort(key=lambda r: (order.index(find_table(r.table).name), r.budget != "paper"))
    return "\n".join(markdown(r, find_table(r.table).metric) for r in found)


def between_marks(text: str, where: str) -> tuple[str, str, str]:
    """What stands before, between and behind the marks.

    Raises
    ------
    RunError    a mark is missing or there are several
    """
    if text.count(BEGIN) != 1 or text.count(END) != 1 or text.index(BEGIN) > text.index(END):
        raise RunError(f"{where} needs one line {BEGIN!r} and, below it, one {END!r}.", "Put both where the tables "
                       "belong.")
    before, _, rest = text.partition(BEGIN)
    inside, _, behind = rest.partition(END)
    return before, inside, behind


def write_readme(readme: Path) -> bool:
    """Replace what stands between the marks; whether anything changed.

    Raises
    ------
    RunError    no file or no marks; a result file is damaged
    """
    try:
        text = readme.read_text()
    except OSError as e:
        raise RunError(f"Cannot read {readme}: {e.strerror}.", "Give the README of the repository.") from e
    before, _, behind = between_marks(text, str(readme))
    fresh = f"{before}{BEGIN}\n{render(readme.parent / RESULTS)}{END}{behind}"
    if fresh != text:
        write_atomic(readme, fresh)
    return fresh != text
