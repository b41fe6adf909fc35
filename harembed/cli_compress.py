"""`harembed compress`: the network of a finished search, smaller or trained otherwise."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from harembed.cli_options import (
    DeviceOption,
    LegoOption,
    PretrainOption,
    ProcessesOption,
    RootOption,
    RotationOption,
    TeacherWidthOption,
    ToolchainOption,
    TrainHopOption,
    XnorOption,
)

console = Console()

EPILOG = ("Examples:  harembed compress runs/uci --teachers 4\n\n"
          "harembed compress runs/uci --teachers 2 --teacher-width 4 --seeds 0,1,2\n\n"
          "harembed compress runs/uci --width 4 --out runs/wide && harembed compress runs/uci --teacher runs/wide\n\n"
          "harembed compress runs/uci --teachers 5 --born-again --soft-weight 0.5 --soft-temperature 1\n\n"
          "harembed compress runs/uci --lego o=4,m=0.25 --local-loss\n\n"
          "harembed compress runs/uci --xnor --teachers 5 --born-again\n\n"
          "harembed compress runs/uci --seeds 0,1,2,3,4    (the same training five times: how far to trust one)")


def compress(
    run: Annotated[Path, typer.Argument(help="Folder of a finished search.", metavar="RUN")],
    out: Annotated[Path | None, typer.Option("--out", help="Folder of the new run, or of its seeds. Default: "
                                                           "<RUN>-compressed.")] = None,
    network: Annotated[str | None, typer.Option(metavar="ID", help="Another network of that search: the first "
                                                "characters of its id in search.json. Default: the one that was "
                                                "chosen.")] = None,
    width: Annotated[float | None, typer.Option(metavar="FACTOR", help="So many times the filters in every layer: a "
                                                "network to teach others, or one for --xnor. Default: 1.")] = None,
    lego: LegoOption = None,
    xnor: XnorOption = None,
    pretrain: PretrainOption = None,
    teachers: Annotated[int | None, typer.Option(min=1, help="Train so many networks of the same architecture first, "
                                                             "without Lego filters and signs; the network learns "
                                                             "their average opinion besides the labels "
                                                             "(distillation).")] = None,
    teacher_width: TeacherWidthOption = None,
    born_again: Annotated[bool | None, typer.Option("--born-again", help="Of --teachers: each but the first learns "
                                                    "from the one before (Furlanello et al. 2018).")] = None,
    teacher: Annotated[list[Path] | None, typer.Option(metavar="RUN", help="A run whose network teaches; several "
                                                                           "are an ensemble.")] = None,
    soft_weight: Annotated[float | None, typer.Option(help="Of the teachers in the loss. Default: 0.7.")] = None,
    soft_temperature: Annotated[float | None, typer.Option(help="That softens what they say. Default: 2.")] = None,
    local_loss: Annotated[bool | None, typer.Option("--local-loss", help="Train layer by layer: every convolution "
                                                    "learns from a loss of its own (Nøkland and Eidnes 2019), then "
                                                    "fine-tune as a whole.")] = None,
    seed: Annotated[int | None, typer.Option(help="Of the training. Default: that of RUN.")] = None,
    seeds: Annotated[str | None, typer.Option(help="Several, with commas between them: a run folder each, and one "
                                                   "table with means.")] = None,
    board: Annotated[str | None, typer.Option(help="Default: that of RUN.")] = None,
    train_hop: TrainHopOption = None,
    rotation: RotationOption = None,
    float_epochs: Annotated[int | None, typer.Option(help="Of the float training. Default: those of RUN.")] = None,
    qat_epochs: Annotated[int | None, typer.Option(help="Of quantisation-aware training. Default: those of "
                                                        "RUN.")] = None,
    device: DeviceOption = None,
    processes: ProcessesOption = None,
    data_root: RootOption = None,
    toolchain: ToolchainOption = None,
) -> None:
    """Train the network of a search anew: smaller, with teachers, or layer by layer; up to a verified firmware.

    RUN stays as it is. A killed command goes on where it stopped.
    """
    from harembed import pipeline, sweep

    changes: dict[str, Any] = {
        "network": network, "width": width, "lego": lego, "xnor": xnor, "pretrain": pretrain,
        "teachers": teachers, "teacher_width": teacher_width, "born_again": born_again, "soft_weight": soft_weight,
        "soft_temperature": soft_temperature, "local_loss": local_loss, "seed": seed, "board": board,
        "train_hop": train_hop, "rotation": rotation, "float_epochs": float_epochs, "qat_epochs": qat_epochs,
        "device": device, "processes": processes}
    others = teacher or []
    folder = out or run.with_name(f"{run.name}-compressed")
    if seeds is None:
        settings = pipeline.compress_settings(run, changes, others)
        pipeline.compress(run, settings, others, folder, data_root, console, toolchain)
        return
    found = sweep.compress(run, sweep.numbers(seeds, int, "--seeds"), changes, others, folder, data_root, console,
                           toolchain)
    sweep.print_sweep(found, folder, console)
    if any("error" in row for row in found["runs"]):
        raise typer.Exit(1)
