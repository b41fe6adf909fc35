"""`harembed search` and `harembed sweep`: from recordings."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from harembed.cli_options import (
    AddressOption,
    BoardOption,
    DeviceOption,
    ExecutorOption,
    LegoOption,
    OptimizeOption,
    OutOption,
    PretrainOption,
    ProcessesOption,
    RootOption,
    RotationOption,
    TeacherWidthOption,
    ToolchainOption,
    TrainEpochsOption,
    TrainHopOption,
    XnorOption,
)

console = Console()

SEARCH_EPILOG = ("Examples:  harembed search --board nucleo_l552ze_q\n\n"
                 "harembed search --board nucleo_l552ze_q --dataset uci-har --macs 150000 --out runs/uci\n\n"
                 "harembed search --strategy evolution --train-epochs 2400 --out runs/evolution\n\n"
                 "harembed search --board host --dataset csv:recordings/ --window 128 --hop 64\n\n"
                 "On several machines: `ray start --head --disable-usage-stats` on the first, `ray start "
                 "--address HOST:6379` on the others, then on any of them\n\n"
                 "harembed search --executor ray --address HOST:6379")
SWEEP_EPILOG = ("Examples:  harembed sweep --beta1 0.03,0.1,0.3,1 --seeds 0,1,2 --dataset uci-har\n\n"
                "harembed sweep --strategies sftnas,random,evolution --train-epochs 2400 --seeds 0,1,2")


def search(
    board: BoardOption = "nucleo_l552ze_q",
    dataset: Annotated[str | None, typer.Option(help="watch, uci-har, motionsense, hapt, dsads, ..., csv:PATH: "
                                                     "`harembed datasets` lists all. Default: watch.")] = None,
    out: OutOption = None,
    strategy: Annotated[str | None, typer.Option(help="sftnas: super-net, random networks, neighbours of the best. "
                                                      "random: random networks alone. evolution: NSGA-II over macro "
                                                      "F1 and MACs. dqn: deep Q-learning of networks with "
                                                      "branches. autoslim, pas: filters of a published "
                                                      "network are pruned. published: the network of --tail as "
                                                      "its authors have it. Default: sftnas.")] = None,
    seed: Annotated[int | None, typer.Option(help="Everything random follows from it. Default: 0.")] = None,
    ram: Annotated[int | None, typer.Option(help="Bytes of arena at most. Default: the board's budget.")] = None,
    macs: Annotated[int | None, typer.Option(help="Multiply-accumulates at most. Default: 200000.")] = None,
    parameters: Annotated[int | None, typer.Option(help="Weights and biases at most. Default: no limit.")] = None,
    channels: Annotated[int | None, typer.Option(help="Sensor channels at most, of sftnas, random and evolution. "
                                                      "Default: no limit.")] = None,
    latency: Annotated[float | None, typer.Option(help="Milliseconds at most, estimated. Default: no limit.")] = None,
    beta1: Annotated[float | None, typer.Option(help="Weight of the complexity loss, of sftnas and pas. "
                                                     "Default: 0.3.")] = None,
    beta2: Annotated[float | None, typer.Option(help="Weight of the memory loss; 0: no limit. Default: 1.")] = None,
    tail: Annotated[str | None, typer.Option(help="conv, or one as published: tinyhar (attention, LSTM, weighted "
                                                  "aggregation), deepconvlstm (LSTM), attend (attention, two GRU, "
                                                  "centre loss); of published also flat and resnet. Default: conv or "
                                                  "tinyhar, whichever is better.")] = None,
    backbone: Annotated[float | None, typer.Option(help="What autoslim and pas prune: this share of the filters of "
                                                        "the published network with that tail; 1 is its full size. "
                                                        "Default: 0.25. What published has; default: 1.")] = None,
    blocks: Annotated[int | None, typer.Option(min=1, max=16, help="Of published with --tail resnet: residual "
                                                                   "blocks. Default: 16.")] = None,
    train_epochs: TrainEpochsOption = None,
    search_epochs: Annotated[int | None, typer.Option(help="Epochs of the super-net of sftnas, and of each network "
                                                           "that autoslim or pas prunes. Default: 24.")] = None,
    search_windows: Annotated[int | None, typer.Option(help="Training windows that the search learns from, at most, "
                                                            "evenly spread; the last training takes all. Default: "
                                                            "2000.")] = None,
    space: Annotated[str | None, typer.Option(help="Of dqn: general, or feedforward (no branches).")] = None,
    filters: Annotated[str | None, typer.Option(help="Of dqn's convolutions. Default: 4,8,16,32.")] = None,
    episodes: Annotated[int | None, typer.Option(help="Of dqn, at most. Default: 20000.")] = None,
    price: Annotated[float | None, typer.Option(help="Of dqn: weight of RAM, flash, latency and MACs, in shares of "
                                                     "their limits, in the reward. Default: 0.")] = None,
    predictor: Annotated[str | None, typer.Option(help="Of dqn: predictors.json of `harembed predictor fit`, to "
                                                       "predict scores from early epochs.")] = None,
    predict_at: Annotated[int | None, typer.Option(help="Epochs that it reads. Default: 5.")] = None,
    float_epochs: Annotated[int | None, typer.Option(help="Epochs of the final float training.")] = None,
    qat_epochs: Annotated[int | None, typer.Option(help="Epochs of quantisation-aware training.")] = None,
    lego: LegoOption = None,
    xnor: XnorOption = None,
    pretrain: PretrainOption = None,
    teachers: Annotated[int | None, typer.Option(help="Networks of the same architecture that are trained first; the "
                                                      "final one learns their average opinion besides the labels "
                                                      "(distillation). Default: none.")] = None,
    teacher_width: TeacherWidthOption = None,
    calibrate: Annotated[bool | None, typer.Option("--calibrate/--no-calibrate", help="Let the firmware say how sure "
                                                   "it is, in probabilities fitted on people that are held out of "
                                                   "a second training. Default: yes.")] = None,
    window: Annotated[int | None, typer.Option(help="Samples in a window. Default: the dataset's.")] = None,
    hop: Annotated[int | None, typer.Option(help="Samples between windows. Default: the dataset's.")] = None,
    train_hop: TrainHopOption = None,
    rotation: RotationOption = None,
    split: Annotated[str | None, typer.Option(help="Another split; loso=SUBJECT leaves one person out.")] = None,
    optimize: OptimizeOption = None,
    device: DeviceOption = None,
    executor: ExecutorOption = None,
    address: AddressOption = None,
    processes: ProcessesOption = None,
    settings: Annotated[Path | None, typer.Option(help="TOML file with settings; options win over it.")] = None,
    data_root: RootOption = None,
    toolchain: ToolchainOption = None,
) -> None:
    """Search a network for a board and your data, and carry it to a verified firmware.

    Stages that a run folder already holds are not run again: a killed run resumes with the same command.
    """
    from harembed import pipeline
    from harembed.settings import load_settings

    given: dict[str, Any] = {
        "board": board, "dataset": dataset, "seed": seed, "ram": ram, "macs": macs,
        "parameters": parameters, "channels": channels, "latency_us": latency * 1e3 if latency is not None else None,
        "beta1": beta1, "beta2": beta2, "tail": tail,
        "strategy": strategy, "backbone": backbone, "blocks": blocks, "train_epochs": train_epochs,
        "search_epochs": search_epochs,
        "search_windows": search_windows, "space": space, "filters": filters, "episodes": episodes, "price": price,
        "predictor": predictor, "predict_at": predict_at,
        "float_epochs": float_epochs, "qat_epochs": qat_epochs, "lego": lego, "xnor": xnor, "pretrain": pretrain,
        "teachers": teachers, "teacher_width": teacher_width, "calibrate": calibrate,
        "window": window, "hop": hop, "train_hop": train_hop, "rotation": rotation, "split": split,
        "optimize": optimize and optimize.value, "device": device, "executor": executor, "address": address,
        "processes": processes,
    }
    asked = load_settings(settings, given)
    pipeline.search(asked, out or pipeline.default_folder(asked.dataset, asked.board), data_root, console, toolchain)


def sweep(
    board: BoardOption = "nucleo_l552ze_q",
    dataset: Annotated[str | None, typer.Option(help="As for `search`. Default: watch.")] = None,
    out: Annotated[Path | None, typer.Option("--out", help="Folder with a run folder for each search. Default: "
                                                           "runs/sweep-<dataset>-<board>.")] = None,
    strategies: Annotated[str, typer.Option(help="With commas between them.")] = "sftnas",
    beta1: Annotated[str | None, typer.Option(help="Weights of the complexity loss, with commas between them; of "
                                                   "sftnas and pas. Default: 0.3.")] = None,
    seeds: Annotated[str, typer.Option(help="With commas between them.")] = "0",
    ram: Annotated[int | None, typer.Option(help="Bytes of arena at most. Default: the board's budget.")] = None,
    macs: Annotated[int | None, typer.Option(help="Multiply-accumulates at most. Default: 200000.")] = None,
    train_epochs: TrainEpochsOption = None,
    device: DeviceOption = None,
    executor: ExecutorOption = None,
    address: AddressOption = None,
    processes: ProcessesOption = None,
    settings: Annotated[Path | None, typer.Option(help="TOML file with any other settings of the searches.")] = None,
    data_root: RootOption = None,
    toolchain: ToolchainOption = None,
) -> None:
    """Search with several strategies, weights of the complexity loss and seeds: a run folder each, and one table.

    The table is also in sweep.json, with means over seeds. A killed sweep goes on with the same command.
    """
    from harembed import pipeline
    from harembed import sweep as sweeps
    from harembed.settings import load_settings

    wanted = sweeps.points([s.strip() for s in strategies.split(",")],
                           sweeps.numbers(beta1, float, "--beta1") if beta1 else [],
                           sweeps.numbers(seeds, int, "--seeds"))
    given = {"board": board, "dataset": dataset, "ram": ram, "macs": macs, "train_epochs": train_epochs,
             "device": device, "executor": executor, "address": address, "processes": processes}
    folder = out or pipeline.default_folder(f"sweep-{load_settings(settings, given).dataset}", board)
    found = sweeps.sweep(wanted, settings, given, folder, data_root, console, toolchain)
    sweeps.print_sweep(found, folder, console)
    if any("error" in row for row in found["runs"]):
        raise typer.Exit(1)
