"""A result as a table of text: on the terminal, and as Markdown."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import attrgetter

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from harembed.reproduce.paired import comparisons, generations_compared
from harembed.reproduce.results import Result, RowResult, Run, mean_and_deviation

_WIDEST = 1000  # characters of a table on the terminal
_SCORES = {"macro_f1": "macro F1", "weighted_f1": "weighted F1", "accuracy": "accuracy"}  # papers print per cent


@dataclass(frozen=True)
class Column:
    """One column; one that is empty in every row is left out."""

    title: str
    cell: Callable[[RowResult], str]


def _paper(key: str, form: str) -> Callable[[RowResult], str]:
    """A figure as printed, with the deviation where there is one."""
    unit = 100 if key in _SCORES else 1

    def cell(row: RowResult) -> str:
        found = [row.printed[name] / unit for name in (key, f"{key}_std") if name in row.printed]
        return " ± ".join(format(value, form) for value in found)

    return cell


def _if_printed(key: str, cell: Callable[[RowResult], str]) -> Callable[[RowResult], str]:
    """Ours only where the paper has a figure."""
    return lambda row: cell(row) if key in row.printed else ""


def _ours(figure: Callable[[Run], float | None], form: str) -> Callable[[RowResult], str]:
    """Mean and deviation over seeds, the latter where there is any."""
    def cell(row: RowResult) -> str:
        values = row.values(figure)
        if not values:
            return ""
        mean, deviation = mean_and_deviation(values)
        # Counts of a network that is the same with every seed do not spread.
        return format(mean, form) + (f" ± {format(deviation, form)}" if deviation else "")

    return cell


def _latency_ms(run: Run) -> float | None:
    return None if run.latency_us is None else run.latency_us / 1e3


def _seeds(row: RowResult) -> str:
    return str(len(row.runs)) if row.runs else ""


def _filters(row: RowResult) -> str:
    """Of the first seed: a mean over seeds would be of networks of different depth."""
    return " ".join(map(str, row.runs[0].filters)) if row.series and row.runs else ""


def _sensors(row: RowResult) -> str:
    """Of each seed, where they were limited: all of many are no news."""
    return " | ".join(run.sensors or "" for run in row.runs) if "channels" in row.settings else ""


def _difference(rows: Sequence[RowResult]) -> Callable[[RowResult], str]:
    """Mean score of a row less that of the row it stands against, in points."""
    def cell(row: RowResult) -> str:
        points = difference(row, rows)
        return "" if points is None else f"{points:+.1f}"

    return cell


def difference(row: RowResult, rows: Sequence[RowResult]) -> float | None:
    """In points of macro F1, int8, of the seeds that both have; None where there is nothing to compare."""
    other = next((r for r in rows if r.key == row.against), None)
    scores = {run.seed: run.macro_f1_int8 for run in other.runs} if other else {}
    found = [100 * (run.macro_f1_int8 - before) for run in row.runs
             if run.macro_f1_int8 is not None and (before := scores.get(run.seed)) is not None]
    return mean_and_deviation(found)[0] if found else None


def _generations(row: RowResult) -> str:
    """Each one's mean over seeds."""
    every = zip(*(run.generations_f1 for run in row.runs), strict=True)
    return " ".join(format(mean_and_deviation(list(scores))[0], ".4f") for scores in every)


def _note(row: RowResult) -> str:
    return "; ".join(f"seed {f.seed}: {f.error}" for f in row.failures)


def columns(metric: str, rows: Sequence[RowResult]) -> tuple[Column, ...]:
    """All columns, for a table whose scores are of this metric ("macro_f1" or "weighted_f1")."""
    words = _SCORES[metric]
    return (
        Column(f"{words}, paper", _paper(metric, ".4f")),
        Column(f"{words}, float", _ours(attrgetter(metric), ".4f")),
        *(column for key, other in _SCORES.items() if key != metric for column in (
            Column(f"{other}, paper", _paper(key, ".4f")),
            Column(f"{other}, float", _if_printed(key, _ours(attrgetter(key), ".4f"))))),
        Column("macro F1, validation", _ours(lambda r: r.validation_f1, ".4f")),
        Column("macro F1, int8", _ours(lambda r: r.macro_f1_int8, ".4f")),
        Column("difference, points", _difference(rows)),
        Column("macro F1, float, its teachers", _generations),
        Column("these together", _ours(lambda r: r.ensemble_f1, ".4f")),
        Column("macro F1, new people", _ours(lambda r: r.new_people_f1, ".4f")),
        Column("parameters, paper", _paper("parameters", ",.0f")),
        Column("parameters", _ours(lambda r: r.parameters, ",.0f")),
        Column("MMACs, paper", _paper("mmacs", ".4g")),
        Column("MMACs", _ours(lambda r: r.macs / 1e6, ".3f")),
        Column("modelled ms", _ours(_latency_ms, ".2f")),
        Column("arena, bytes", _ours(lambda r: r.peak_ram_bytes, ",.0f")),
        Column("epochs of the search", _ours(lambda r: r.epochs_trained, ",.0f")),
        Column("hours of the search, paper", _paper("hours", ".0f")),
        Column("hours, all", _if_printed("hours", _ours(lambda r: r.seconds / 3600, ".2f"))),
        Column("filters by layer", _filters),
        Column("channels", _ours(lambda r: r.channels, ".3g")),
        Column("which", _sensors),
        Column("seeds", _seeds),
        Column("", _note),
    )


def grid(result: Result, metric: str) -> tuple[list[str], list[list[str]]]:
    """Header and cells, the row's name first."""
    if result.assessment is not None:
        from harembed.reproduce.rankings import ranking_grid  # imports PyTorch, which takes seconds

        return ranking_grid(result)
    kept = [(c, cells) for c in columns(metric, result.rows) if any(cells := [c.cell(row) for row in result.rows])]
    header = ["row", *(c.title for c, _ in kept)]
    return header, [[row.name, *(cells[i] for _, cells in kept)] for i, row in enumerate(result.rows)]


def notes(result: Result) -> list[str]:
    """What has to be said beside the figures, a sentence or two each."""
    if not _made(result):
        return [*([result.missing] if result.missing else ["Nothing was finished yet."]), *result.remarks]
    said = [f"{result.dataset}: {result.protocol}."] if result.protocol else []
    said += [result.missing] if result.missing else []
    if result.assessment is not None:
        from harembed.reproduce.rankings import ranking_notes

        said += [*ranking_notes(result), f"No test window was touched. New people: {result.new_people}."]
    else:
        said.append(f"Test windows were scored once, after every choice. New people: {result.new_people}.")
    if result.shortened:
        said.append(f"Shortened against budget paper: {'; '.join(result.shortened)}.")
    said += [*_compared(result.rows), *result.remarks]
    if any(len(row.runs) > 1 for row in result.rows):
        said.append("± is the sample standard deviation over seeds.")
    return said + comparisons(result) + generations_compared(result)


def _made(result: Result) -> bool:
    """Whether there is anything to show."""
    return result.assessment is not None or any(row.runs for row in result.rows)


def _compared(rows: Sequence[RowResult]) -> list[str]:
    """How the rows that stand against others came off, in a sentence."""
    found = [points for row in rows if (points := difference(row, rows)) is not None]
    if not found:
        return []
    near = sum(points >= -1 for points in found)
    return [f"Differences are of macro F1, int8: {mean_and_deviation(found)[0]:+.1f} points on average, at most one "
            f"point lower in {near} of {len(found)} rows."]


def origin(result: Result) -> str:
    """Who made it, when, and how long it took."""
    if not _made(result):
        return f"harembed {result.harembed}"
    seconds = (result.seconds or 0.0) + sum(run.seconds for row in result.rows for run in row.runs)
    when = f", {result.date[:10]}" if result.date else ""
    seeds = ", ".join(map(str, result.seeds))
    took = f", {_hours(seconds)}" if seconds else ""
    return f"harembed {result.harembed}{when}, seed{'s' if len(result.seeds) > 1 else ''} {seeds}{took}"


def _hours(seconds: float) -> str:
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min"


def print_result(result: Result, metric: str, console: Console) -> None:
    """The table and its notes."""
    header, rows = grid(result, metric)
    table = Table(box=None, header_style="bold")
    for i, title in enumerate(header):
        table.add_column(title.replace(", ", ",\n"), justify="left" if i == 0 else "right", vertical="bottom")
    for cells in rows:
        table.add_row(*map(escape, cells))
    console.print(f"\n[bold]{escape(result.title)}: {escape(result.subject)}[/bold]", highlight=False)
    width = console.width
    # In a narrow terminal lines that wrap are better than figures cut short.
    console.width = max(width, console.measure(table, options=console.options.update(max_width=_WIDEST)).maximum)
    console.print(table)
    console.width = width
    for line in notes(result):
        console.print(f"[dim]{escape(line)}[/dim]", highlight=False)


def markdown(result: Result, metric: str) -> str:
    """The same for a README: a heading line, the table, its notes, and the command."""
    header, rows = grid(result, metric)
    lines = [f"**{result.title}: {result.subject}.** `{result.command}` ({origin(result)}).", ""]
    lines += [_line(header), _line(["---"] * len(header)), *map(_line, rows), ""]
    return "\n".join([*lines, " ".join(notes(result))]) + "\n"


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"
