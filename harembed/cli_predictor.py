"""`harembed predictor`: performance predictors for strategy dqn."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

if TYPE_CHECKING:  # torch would slow down --help
    from harembed.search.predictors.curve import Metric


class MetricName(StrEnum):
    """Of a network's score."""

    macro_f1 = "macro_f1"
    weighted_f1 = "weighted_f1"


METRICS: "dict[MetricName, Metric]" = {MetricName.macro_f1: "macro_f1", MetricName.weighted_f1: "weighted_f1"}
console = Console()
app = typer.Typer(no_args_is_help=True, rich_markup_mode="rich",
                  help="Predict what a network will score from its first epochs, for `search --strategy dqn`.\n\n"
                       "First a database of random networks, each trained to the end, then predictors that are "
                       "fitted on it.")


@app.command(epilog="Examples:  harembed predictor database --dataset watch --networks 500 --epochs 40\n\n"
                    "harembed predictor database --networks 20 --twice 10 --epochs 8 --filters 4,8 --out runs/small")
def database(
    networks: Annotated[int, typer.Option(min=1, help="How many.")] = 500,
    twice: Annotated[int | None, typer.Option(min=0, help="How many of them are trained a second time: what two "
                                                          "trainings agree on is the ceiling for a predictor. "
                                                          "Default: a fifth.")] = None,
    epochs: Annotated[int, typer.Option(min=1, help="Of every training.")] = 40,
    out: Annotated[Path | None, typer.Option("--out", help="Folder. Default: runs/predictor-<dataset>-<board>.")]
    = None,
    board: Annotated[str, typer.Option(help="Its limits are those of the networks.")] = "nucleo_l552ze_q",
    dataset: Annotated[str | None, typer.Option(help="As for `search`. Default: watch.")] = None,
    seed: Annotated[int | None, typer.Option(help="Everything random follows from it. Default: 0.")] = None,
    macs: Annotated[int | None, typer.Option(help="Multiply-accumulates at most. Default: 200000.")] = None,
    ram: Annotated[int | None, typer.Option(help="Bytes of arena at most. Default: the board's budget.")] = None,
    space: Annotated[str | None, typer.Option(help="general or feedforward. Default: general.")] = None,
    filters: Annotated[str | None, typer.Option(help="Of convolutions, with commas between them. Default: "
                                                     "4,8,16,32.")] = None,
    tail: Annotated[str | None, typer.Option(help="As for `search`. Default: deepconvlstm.")] = None,
    window: Annotated[int | None, typer.Option(help="Samples in a window. Default: the dataset's.")] = None,
    hop: Annotated[int | None, typer.Option(help="Samples between windows. Default: the dataset's.")] = None,
    processes: Annotated[int | None, typer.Option(min=1, help="Trainings side by side; any number gives the same "
                                                              "database. Default: 2.")] = None,
    settings: Annotated[Path | None, typer.Option(help="TOML file with settings of a search; options win.")] = None,
    data_root: Annotated[Path | None, typer.Option("--data-root", envvar="HAREMBED_DATA",
                                                   help="Folder with dataset archives.")] = None,
) -> None:
    """Train random networks of the space to the end and record every epoch.

    Test people are not touched: of the training people some train, some give the curves, and others say what a
    network is worth in the end. A killed command goes on where it stopped, and more networks can be asked for later.
    """
    from harembed import pipeline, predictor
    from harembed.settings import load_settings

    given: dict[str, Any] = {"board": board, "dataset": dataset, "seed": seed, "macs": macs, "ram": ram,
                             "space": space, "filters": filters, "tail": tail, "window": window, "hop": hop,
                             "strategy": "dqn"}
    asked = load_settings(settings, given)
    folder = out or pipeline.default_folder(f"predictor-{asked.dataset}", asked.board)
    predictor.database(asked, folder, networks, networks // 5 if twice is None else twice, epochs, processes,
                       data_root, console)


@app.command(epilog="Example:  harembed predictor fit runs/predictor-watch-nucleo_l552ze_q --at 5,10,20")
def fit(
    folder: Annotated[Path, typer.Argument(help="Of `harembed predictor database`.", metavar="DIR")],
    at: Annotated[str, typer.Option(help="Epochs after which to predict, with commas between them.")] = "5,10",
    metric: Annotated[MetricName | None, typer.Option(help="Of the scores. Default: the dataset's.")] = None,
) -> None:
    """Fit predictors, print how well they rank networks that they have not seen, by quintile, and write them.

    `harembed search --strategy dqn --predictor DIR/predictors.json --predict-at 5` uses them.
    """
    from harembed import predictor
    from harembed.sweep import numbers

    predictor.fit(folder, numbers(at, int, "--at"), METRICS[metric] if metric else None, console)
