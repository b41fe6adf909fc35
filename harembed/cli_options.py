"""Options that several verbs of the command line share."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:  # numpy would slow down --help
    from harembed.backends import BackendName
    from harembed.ir.ops.base import Goal

OutOption = Annotated[Path | None, typer.Option("--out", help="Folder of the run. Default: runs/<dataset>-<board>.")]
BoardOption = Annotated[str, typer.Option(help="A board by name (see `harembed boards`) or a TOML file.")]
ToolchainOption = Annotated[str | None, typer.Option(help="gcc, platformio or zig. Default: the first found.")]
RootOption = Annotated[Path | None, typer.Option("--data-root", envvar="HAREMBED_DATA",
                                                 help="Folder with dataset archives.")]
PortOption = Annotated[str | None, typer.Option("--port", help="Serial port of a real board, or socket://HOST:PORT.")]


class Target(StrEnum):
    """Where the firmware runs."""

    l552 = "l552"
    qemu = "qemu"
    renode = "renode"
    host = "host"


class Optimize(StrEnum):
    """What the C is made for."""

    speed = "speed"
    balanced = "balanced"
    size = "size"


class BackendChoice(StrEnum):
    """What computes the model."""

    own = "own"
    cmsis_nn = "cmsis_nn"
    tflm = "tflm"


BACKENDS: "dict[BackendChoice, BackendName]" = {
    BackendChoice.own: "own", BackendChoice.cmsis_nn: "cmsis_nn", BackendChoice.tflm: "tflm"}
GOALS: "dict[Optimize, Goal]" = {Optimize.speed: "speed", Optimize.balanced: "balanced", Optimize.size: "size"}
OptimizeOption = Annotated[Optimize | None, typer.Option(help="Make the C fast or small. Default: balanced.")]
BackendOption = Annotated[BackendChoice | None, typer.Option(help="What computes the model on the board: our own "
                                                                  "kernels, CMSIS-NN or TFLite Micro. Default: own.")]
OnOption = Annotated[Target | None, typer.Option("--on", help="A simulator or the host; l552 runs the image of the "
                                                              "board. Default: what the board has.")]
TrainEpochsOption = Annotated[int | None, typer.Option(help="Epochs that a search may train in all, to compare "
                                                            "strategies at equal effort. Default: as many as sftnas "
                                                            "takes.")]
LegoOption = Annotated[str | None, typer.Option(metavar="o=4,m=0.25", help="Lego filters: all convolutions but "
                                                "the first are put together from bricks of an o-th of the input "
                                                "channels, m times as many as filters (Tang et al. 2020). Default: "
                                                "none.")]
XnorOption = Annotated[bool | None, typer.Option("--xnor", help="Binary convolutions, those of 16 channels and "
                                                 "more: signs of the inputs by signs of the weights (Rastegari et "
                                                 "al. 2016). Default: int8.")]
TrainHopOption = Annotated[int | None, typer.Option(metavar="SAMPLES", help="Between training windows alone: more of "
                                                    "them, which overlap more; test windows stay as they are. An "
                                                    "epoch is as much longer. Default: --hop.")]
RotationOption = Annotated[float | None, typer.Option(metavar="RADIANS", help="How far sensors are turned at random "
                                                      "in training, standard deviation about each axis: as much as "
                                                      "they sit differently on other people. Default: 0.2.")]
TeacherWidthOption = Annotated[float | None, typer.Option(metavar="FACTOR", help="Of --teachers: so many times the "
                                                          "filters of the network. Default: 1.")]
PretrainOption = Annotated[str | None, typer.Option(metavar="DATASET", help="The network learns these recordings "
                                                    "first, from the channels there that match its own by kind, axis "
                                                    "and place. Default: none.")]
DeviceOption = Annotated[str | None, typer.Option(help="Of all trainings: cpu, cuda, or auto, which is a GPU where "
                                                       "there is one. Default: auto.")]
ExecutorOption = Annotated[str | None, typer.Option(help="What trains candidates, with the same result. local: "
                                                         "processes of this machine. ray: workers of Ray, on one "
                                                         "machine or many. Default: local.")]
AddressOption = Annotated[str | None, typer.Option(metavar="HOST:PORT", help="Of a Ray cluster that this machine is "
                                                                             "part of; each machine needs the same "
                                                                             "harembed, none but this one the data. "
                                                                             "Default: start Ray here alone.")]
ProcessesOption = Annotated[int | None, typer.Option(help="That train candidates on this machine; any number gives "
                                                          "the same result. Default: 2.")]
RunArgument = Annotated[Path, typer.Argument(help="Folder of a finished run.", metavar="RUN")]
