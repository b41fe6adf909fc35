"""`harembed reproduce`: the papers' tables again, and README's tables out of the results."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

console = Console()

EPILOG = ("Examples:  harembed reproduce sftnas-2 --budget desk\n\n"
          "harembed reproduce sftnas-1 --only tinyhar,tinyhar-sftnas --seeds 3 --json results/sftnas-1.json\n\n"
          "harembed reproduce pellatt-figure-4-watch --out runs/figure && harembed reproduce dqn-against-random "
          "--database runs/figure/database\n\n"
          "harembed reproduce --readme README.md")


class BudgetName(StrEnum):
    """How much training."""

    paper = "paper"
    desk = "desk"


def reproduce(
    table: Annotated[str | None, typer.Argument(help="A table by name. Without one: the list of tables.",
                                                metavar="[TABLE]")] = None,
    budget: Annotated[BudgetName, typer.Option(help="paper: the paper's epochs, 5 seeds; for a GPU. desk: at most "
                                                    "two hours on two cores; what is shortened is said.")]
    = BudgetName.desk,
    only: Annotated[str | None, typer.Option(help="Rows, with commas between them. Default: all.")] = None,
    seeds: Annotated[int | None, typer.Option(min=1, help="How many. Default: the budget's.")] = None,
    out: Annotated[Path | None, typer.Option("--out", help="Folder with a run folder for each row and seed. Default: "
                                                           "runs/reproduce-<table>-<budget>.")] = None,
    json_out: Annotated[Path | None, typer.Option("--json", help="Write the result here, too; README's tables are "
                                                                 "made of results/*.json.")] = None,
    database: Annotated[Path | None, typer.Option(help="Of tables with predictors: go on with this folder of "
                                                       "`predictor database`, or of another table. Default: "
                                                       "database, in the folder of --out.")] = None,
    settings: Annotated[Path | None, typer.Option(help="TOML file with settings that win over the budget's.")] = None,
    readme: Annotated[Path | None, typer.Option(help="Write this README's tables anew, from the folder results "
                                                     "beside it.")] = None,
    data_root: Annotated[Path | None, typer.Option("--data-root", envvar="HAREMBED_DATA",
                                                   help="Folder with dataset archives.")] = None,
    toolchain: Annotated[str | None, typer.Option(help="gcc, platformio or zig. Default: the first found.")] = None,
) -> None:
    """Make a table of a paper again: our figures beside the paper's, and those on new people.

    Every row and seed is a run folder of its own; a killed command goes on where it stopped.
    """
    if readme is not None:
        from harembed.reproduce.readme import write_readme

        console.print(f"{readme}: {'written' if write_readme(readme) else 'up to date'}", highlight=False)
    if table is not None:
        rows = [name.strip() for name in only.split(",")] if only else []
        _reproduce(table, budget.value, rows, seeds, out, json_out, settings, database, data_root, toolchain)
    elif readme is None:
        _list_tables()


def _reproduce(name: str, budget: str, only: list[str], seeds: int | None, out: Path | None, json_out: Path | None,
               settings: Path | None, database: Path | None, data_root: Path | None, toolchain: str | None) -> None:
    from harembed import pipeline
    from harembed.reproduce import find_table
    from harembed.reproduce.page import write_pages
    from harembed.reproduce.results import save
    from harembed.reproduce.run import RESULT_FILE, Asked, reproduce
    from harembed.reproduce.show import print_result

    table = find_table(name)
    folder = out or pipeline.default_folder(f"reproduce-{table.name}", budget)
    result = reproduce(Asked(table, budget, only, seeds, settings, database), folder, data_root, console,
                       toolchain)
    print_result(result, table.metric, console)
    for path in (folder / RESULT_FILE, *write_pages(result, table, folder)):
        console.print(f"wrote {path}", highlight=False)
    if json_out is not None:
        console.print(f"wrote {save(result, json_out)}", highlight=False)
    if any(row.failures for row in result.rows):
        raise typer.Exit(1)


def _list_tables() -> None:
    from harembed.reproduce import TABLES

    table = Table(box=None, header_style="bold")
    for title in ("table", "what it is", "data", "rows"):
        table.add_column(title, no_wrap=title == "table", overflow="fold")
    for t in TABLES.values():
        table.add_row(t.name, t.title, t.subject, ", ".join(row.key for row in t.rows) or "predictors")
    console.print(table)
