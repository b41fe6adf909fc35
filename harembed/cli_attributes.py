"""`harembed attributes`: an example of several tasks in one network."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from harembed.cli_options import RootOption

console = Console()
EPILOG = "Examples:  harembed attributes\n\nharembed attributes --folds 24 --epochs 20 --out runs/attributes-loso"


def attributes(
    out: Annotated[Path, typer.Option("--out", help="Folder for attributes.json.")] = Path("runs/attributes"),
    folds: Annotated[int, typer.Option(min=2, max=24, help="How often a part of the people is held out.")] = 6,
    epochs: Annotated[int, typer.Option(min=1, help="Of each training.")] = 10,
    seed: Annotated[int, typer.Option(min=0, help="Of people's parts and trainings.")] = 0,
    data_root: RootOption = None,
) -> None:
    """Learn activity, sex and age of people from their gait in MotionSense by one network, with and without GradNorm.

    An example of how one network learns several tasks. Every person is held out once.
    """
    from harembed.compress import attributes as example

    example.run(out, folds, epochs, seed, data_root, console)
