"""A searchable first stage, a chain (Zhou et al., "NAS meets pruning") or with branches (Pellatt and Roggen), and
behind it the tail of a published network, or the cheaper convolutional one.

Input of every model: [N, 1, S, T] float, S the sensor channels that the architecture keeps, T its window, each
channel normalised to mean 0 and deviation 1. Output: logits [N, classes].
"""

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from torch import nn

from harembed.errors import SearchError
from harembed.nn.attention import SensorAttention, SensorFusion, TemporalAggregation, TemporalAttention
from harembed.nn.branches import Branches
from harembed.nn.centres import Centres
from harembed.nn.gru import Gru
from harembed.nn.lego import LegoConvNorm
from harembed.nn.lstm import Lstm
from harembed.nn.residual import Residual
from harembed.nn.steps import Flatten, JoinSensors, LastStep, SensorsAsFilters, TimeFirst
from harembed.nn.temporal import ConvNorm, MeanOverTime
from harembed.nn.xnor import XnorConvNorm
from harembed.space import (
    AttendTail,
    ConvTail,
    DeepConvLstmTail,
    FlatTail,
    GraphArchitecture,
    Network,
    Padding,
    RecurrentTail,
    ResNetTail,
    TemporalConv,
    TinyHarTail,
    is_xnor,
    lego_parts,
    temporal_length,
)

Layers = OrderedDict[str, nn.Module]


def conv_norm(arch: Network, inputs: int, filters: int, kernel: tuple[int, int], stride: int = 1,
              padding: Padding = "valid", relu: bool = True) -> ConvNorm | LegoConvNorm | XnorConvNorm:
    """Of signs, or with Lego filters, where that is asked for and possible; the first convolution, of one input, has
    neither."""
    if is_xnor(arch, inputs):
        return XnorConvNorm(inputs, filters, kernel, stride, padding, relu)
    parts = lego_parts(arch, inputs, filters)
    if parts is None:
        return ConvNorm(inputs, filters, kernel, stride, padding, relu)
    return LegoConvNorm(inputs, filters, kernel, *parts, stride, padding, relu)


def add_convs(layers: Layers, arch: Network, prefix: str, convs: tuple[TemporalConv, ...], filters: int,
              length: int) -> tuple[int, int]:
    """Append (1, k) convolutions; returns (filters, samples) behind them.

    Raises
    ------
    SearchError    names the convolution whose kernel is longer than what is left of the window
    """
    for i, c in enumerate(convs):
        shorter = temporal_length(length, c.kernel, c.stride, arch.padding)
        if shorter < 1:
            raise SearchError(f"{prefix}{i}: a kernel of {c.kernel} samples does not fit into the {length} that are "
                              "left of the window.", "Use padding 'same', a longer window or fewer strides of 2.")
        layers[f"{prefix}{i}"] = conv_norm(arch, filters, c.filters, (1, c.kernel), c.stride, arch.padding)
        filters, length = c.filters, shorter
    return filters, length


def add_conv_tail(layers: Layers, arch: Network, tail: ConvTail, filters: int, length: int) -> None:
    """Fuse sensors, convolve over time, average, classify."""
    layers["fusion"] = conv_norm(arch, filters, tail.fusion, (arch.rows, 1))
    filters, _ = add_convs(layers, arch, "tail", tail.convs, tail.fusion, length)
    layers["mean"] = MeanOverTime()
    layers["dropout"] = nn.Dropout(0.0)
    layers["classifier"] = nn.Linear(filters, arch.classes)


def add_tinyhar_tail(layers: Layers, arch: Network, tail: TinyHarTail, filters: int) -> None:
    """Attention across sensors, fusion, LSTM, weighted aggregation over time, classification."""
    layers["attention"] = SensorAttention(filters)
    layers["dropout"] = nn.Dropout(0.0)
    layers["fusion"] = SensorFusion(arch.rows, filters, tail.hidden)
    layers["lstm"] = Lstm(tail.hidden, tail.hidden)
    layers["aggregation"] = TemporalAggregation(tail.hidden)
    layers["classifier"] = nn.Linear(tail.hidden, arch.classes)


def add_deepconvlstm_tail(layers: Layers, arch: Network, tail: DeepConvLstmTail, filters: int) -> None:
    """Sensors side by side, LSTM layers, last step, classification."""
    layers["steps"] = TimeFirst()
    layers["joined"] = JoinSensors()
    inputs = arch.rows * filters
    for i in range(tail.layers):
        layers[f"lstm{i}"] = Lstm(inputs if i == 0 else tail.hidden, tail.hidden)
    layers["last"] = LastStep()
    layers["dropout"] = nn.Dropout(0.0)
    layers["classifier"] = nn.Linear(tail.hidden, arch.classes)


def add_attend_tail(layers: Layers, arch: Network, tail: AttendTail, filters: int) -> None:
    """Attention across sensors, two GRU layers, attention over time, classification."""
    layers["attention"] = SensorAttention(filters)
    layers["joined"] = JoinSensors()
    layers["gru0"] = Gru(arch.rows * filters, tail.hidden)
    layers["gru1"] = Gru(tail.hidden, tail.hidden)
    layers["temporal"] = TemporalAttention(tail.hidden)
    layers["centres"] = Centres(arch.classes, tail.hidden)
    layers["dropout"] = nn.Dropout(0.0)
    layers["classifier"] = nn.Linear(tail.hidden, arch.classes)


RECURRENT: dict[type[RecurrentTail], Callable[[Layers, Network, Any, int], None]] = {
    TinyHarTail: add_tinyhar_tail, DeepConvLstmTail: add_deepconvlstm_tail, AttendTail: add_attend_tail}


def add_branches(layers: Layers, arch: GraphArchitecture) -> tuple[int, int]:
    """Append a feature graph; returns (filters, samples) behind it."""
    if arch.sensors == "mixed":
        layers["mixed"] = SensorsAsFilters()
    layers["features"] = Branches(arch.features, arch.shapes())
    joined = arch.joined()
    return joined.filters, joined.samples


def add_resnet(layers: Layers, arch: Network, tail: ResNetTail) -> None:
    """All sensors as filters of a first convolution, residual blocks, average, classification."""
    def conv(relu: bool) -> nn.Module:
        return conv_norm(arch, tail.filters, tail.filters, (1, tail.kernel), 1, "same", relu)

    layers["mixed"] = SensorsAsFilters()
    layers["first"] = ConvNorm(len(arch.channels), tail.filters, (1, tail.kernel), 1, "same")
    for i in range(tail.blocks):
        layers[f"block{i}"] = Residual(conv(True), conv(False))
    layers["mean"] = MeanOverTime()
    layers["dropout"] = nn.Dropout(0.0)
    layers["classifier"] = nn.Linear(tail.filters, arch.classes)


def build_network(arch: Network) -> nn.Sequential:
    """A chain of named layers; dropout is 0 until a training recipe sets it."""
    layers: Layers = OrderedDict()
    if isinstance(arch, GraphArchitecture):
        filters, length = add_branches(layers, arch)
    else:
        filters, length = add_convs(layers, arch, "conv", arch.convs, 1, arch.window)
    if isinstance(arch.tail, ConvTail):
        add_conv_tail(layers, arch, arch.tail, filters, length)
    elif isinstance(arch.tail, ResNetTail):
        add_resnet(layers, arch, arch.tail)
    elif isinstance(arch.tail, FlatTail):
        layers["flat"] = Flatten()
        layers["dropout"] = nn.Dropout(0.0)
        layers["classifier"] = nn.Linear(arch.rows * length * filters, arch.classes)
    else:
        RECURRENT[type(arch.tail)](layers, arch, arch.tail, filters)
    return nn.Sequential(layers)
