"""Progress of long work: one line a stage; while it runs a bar with the time left, or lines in a log file."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

# tick(done, total, note): how far the stage is, and a few words
Tick = Callable[[float, float, str], None]

_LOG_EVERY_S = 30.0  # where no terminal shows a bar


@contextmanager
def stage(console: Console, title: str) -> Iterator[Tick]:
    """Show a bar while the body runs, and one line with the last note when it is done.

    Where the console is no terminal (a log file, CI), a line now and then takes the place of the bar.
    """
    bar = Progress(TextColumn("[bold]{task.description:<11}"), BarColumn(bar_width=28),
                   TextColumn("{task.percentage:>3.0f} %"), TimeElapsedColumn(), TextColumn("[dim]left"),
                   TimeRemainingColumn(), TextColumn("{task.fields[note]}"), console=console, transient=True,
                   disable=not console.is_terminal)
    task = bar.add_task(title, total=None, note="")
    started = time.monotonic()
    logged = started
    last_note = ""

    def tick(done: float, total: float, note: str = "") -> None:
        nonlocal last_note, logged
        last_note = note or last_note
        bar.update(task, completed=done, total=total, note=note)
        now = time.monotonic()
        if bar.disable and now - logged >= _LOG_EVERY_S:
            logged = now
            console.print(f"     {title:<11} {now - started:7.1f} s  {100 * done / total:3.0f} %  {note}",
                          highlight=False, soft_wrap=True)

    with bar:
        yield tick
    seconds = time.monotonic() - started
    console.print(f"[green]done[/green] [bold]{title:<11}[/bold] {seconds:7.1f} s  {last_note}", highlight=False,
                  soft_wrap=True)


def skipped(console: Console, title: str, note: str) -> None:
    """A stage that an earlier run of the same folder finished."""
    console.print(f"[dim]kept {title:<11}           {note}[/dim]", highlight=False, soft_wrap=True)
