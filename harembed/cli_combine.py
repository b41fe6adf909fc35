"""`harembed combine`: the best way to make a network small."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from harembed.cli_options import ProcessesOption, RootOption

console = Console()
EPILOG = ("Examples:  harembed combine runs/uci-har-nucleo_l552ze_q\n\n"
          "harembed combine runs/uci --bytes 4096,16384 --epochs 80 --seeds 0,1,2")


def combine(
    run: Annotated[Path, typer.Argument(help="Folder of a finished search.", metavar="RUN")],
    most: Annotated[str, typer.Option("--bytes", help="Of constants, at most; a network of each form for each.")]
    = "2048,4096,8192,16384",
    out: Annotated[Path | None, typer.Option("--out", help="Folder. Default: <RUN>-combined.")] = None,
    epochs: Annotated[int, typer.Option(min=1, help="Of each float training.")] = 40,
    qat_epochs: Annotated[int, typer.Option(min=1, help="Of quantisation-aware training.")] = 8,
    teachers: Annotated[int, typer.Option(min=1, help="Networks of RUN's own width that teach.")] = 3,
    seeds: Annotated[str, typer.Option(help="Trainings of each network, with commas between them.")] = "0",
    processes: ProcessesOption = None,
    data_root: RootOption = None,
) -> None:
    """Find what is most accurate in so many bytes: int8, Lego filters or XNOR, alone or with teachers.

    RUN's network is made as wide in each form as the bytes allow. A third of the
    training people is kept from all trainings and says which is best.
    A killed command goes on where it stopped.
    """
    from harembed import sweep
    from harembed.compress import combinations
    from harembed.search.settings import SearchSettings

    effort = combinations.Effort(epochs, qat_epochs, teachers, tuple(sweep.numbers(seeds, int, "--seeds")))
    folder = out or run.with_name(f"{run.name}-combined")
    combinations.combine(run, sweep.numbers(most, int, "--bytes"), effort, folder,
                         processes or SearchSettings.processes, data_root, console)
