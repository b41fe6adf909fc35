"""The sizes of a network's operators, before the network exists.

Every field is a Number: an int, or a 0-d tensor that carries gradients to the gates and choices of a search
(Zhou et al., section IV-C). The cost formulas in live_sets.py and macs.py are plain arithmetic over them, so
that the cost which a search minimises and the cost of what it finds are one and the same text.
"""

from dataclasses import dataclass
from typing import Any

from harembed.cost.branches import branch_live_sets
from harembed.feature_graph import GraphConv
from harembed.ir.ops.lego_dsp import lego_scratch_bytes
from harembed.ir.ops.xnor_dsp import xnor_scratch_bytes
from harembed.space import (
    AttendTail,
    ConvTail,
    DeepConvLstmTail,
    FlatTail,
    GraphArchitecture,
    Network,
    RecurrentTail,
    ResNetTail,
    TemporalConv,
    TinyHarTail,
    is_xnor,
    lego_parts,
    temporal_length,
)

Number = Any  # whatever has + and *


@dataclass(frozen=True)
class LegoDims:
    """Of a convolution whose filters are put together from bricks."""

    fragments: int
    bricks: int
    scratch_bytes: int


@dataclass(frozen=True)
class XnorDims:
    """Of a convolution of signs by signs."""

    scratch_bytes: int


@dataclass(frozen=True)
class ConvDims:
    """A convolution on [1, rows, length, filters]; rows are sensors in the first stage and 1 behind fusion."""

    present: Number  # 1; 0 for a layer that became an identity and leaves no operator behind
    rows_in: Number
    length_in: Number
    filters_in: Number
    rows_out: Number
    length_out: Number
    filters_out: Number
    kernel_elements: Number  # height times width of the filter
    lego: LegoDims | None = None
    xnor: XnorDims | None = None


@dataclass(frozen=True)
class ConvTailDims:
    """Fusion over the sensors and convolutions over time (fusion first), average over time, linear."""

    convs: tuple[ConvDims, ...]
    length: Number  # samples that the average sees
    features: Number
    classes: int
    present: Number = 1


class ResNetTailDims(ConvTailDims):
    """A convolution of all sensors, then pairs of convolutions with what goes past them, average, linear."""


@dataclass(frozen=True)
class RecurrentTailDims:
    """What every tail with recurrent layers has: sensors times filters in, and one number of hidden features."""

    sensors: Number
    length: Number
    filters: Number
    hidden: Number
    classes: int
    lstm_layers: int
    present: Number = 1


class TinyHarTailDims(RecurrentTailDims):
    """Attention across sensors at every time step, fusion, LSTM, weighted temporal aggregation, linear."""


class DeepConvLstmTailDims(RecurrentTailDims):
    """Sensors side by side, LSTM layers, last step, linear."""


class AttendTailDims(RecurrentTailDims):
    """Attention across sensors at every time step, two GRU layers, weighted sum over time, linear."""


class FlatTailDims(RecurrentTailDims):
    """All features in a row, linear: hidden features are those of the convolutions."""


RECURRENT_DIMS: dict[type[RecurrentTail], type[RecurrentTailDims]] = {
    TinyHarTail: TinyHarTailDims, DeepConvLstmTail: DeepConvLstmTailDims, AttendTail: AttendTailDims}


@dataclass(frozen=True)
class NetDims:
    """
    Attributes
    ----------
    convs : of the first stage
    stage_bytes : live bytes of the operators of a first stage with branches; None: it is a chain of `convs`
    """

    convs: tuple[ConvDims, ...]
    tail: ConvTailDims | RecurrentTailDims
    stage_bytes: tuple[int, ...] | None = None


def dims_of(arch: Network) -> NetDims:
    """The integer sizes of an architecture."""
    stage_bytes = None
    if isinstance(arch, GraphArchitecture):
        convs, (length, filters) = _branches(arch), arch.joined()
        stage_bytes = tuple(branch_live_sets(arch))
    else:
        convs, length, filters = _chain(arch, arch.convs, arch.rows, arch.window, 1)
    tail: ConvTailDims | RecurrentTailDims
    if isinstance(arch.tail, ConvTail):
        tail = _conv_tail(arch.tail, arch, length, filters)
    elif isinstance(arch.tail, ResNetTail):
        tail = _resnet(arch.tail, arch)
    elif isinstance(arch.tail, FlatTail):
        tail = FlatTailDims(arch.rows, length, filters, arch.rows * length * filters, arch.classes, 0)
    else:
        tail = recurrent_dims(arch.tail, arch.rows, length, filters, arch.tail.hidden, arch.classes)
    return NetDims(convs, tail, stage_bytes)


def _branches(arch: GraphArchitecture) -> tuple[ConvDims, ...]:
    """Sizes of a feature graph's convolutions."""
    made = arch.shapes()
    return tuple(ConvDims(1, arch.rows, *made[layer.source], arch.rows, *made[number], layer.kernel)
                 for number, layer in enumerate(arch.features.layers, start=1) if isinstance(layer, GraphConv))


def recurrent_dims(tail: RecurrentTail, sensors: Number, length: Number, filters: Number, hidden: Number,
                   classes: int, present: Number = 1) -> RecurrentTailDims:
    """Sizes of a tail; `hidden` may be a tensor where the tail's own is an integer."""
    lstm_layers = tail.layers if isinstance(tail, DeepConvLstmTail) else 1 if isinstance(tail, TinyHarTail) else 0
    return RECURRENT_DIMS[type(tail)](sensors, length, filters, hidden, classes, lstm_layers, present)


def _conv_tail(tail: ConvTail, arch: Network, length: int, filters: int) -> ConvTailDims:
    fusion = ConvDims(1, arch.rows, length, filters, 1, length, tail.fusion, arch.rows,
                      _lego(arch, filters, tail.fusion, (arch.rows, 1), 1),
                      _xnor(arch, filters, arch.rows * length, arch.rows, False))
    convs, length, features = _chain(arch, tail.convs, 1, length, tail.fusion)
    return ConvTailDims((fusion, *convs), length, features, arch.classes)


def _resnet(tail: ResNetTail, arch: Network) -> ResNetTailDims:
    n, t = tail.filters, arch.window
    first = ConvDims(1, 1, t, len(arch.channels), 1, t, n, tail.kernel)
    layers = (TemporalConv(tail.kernel, 1, n),) * (2 * tail.blocks)
    return ResNetTailDims((first, *_chain(arch, layers, 1, t, n)[0]), t, n, arch.classes)


def _chain(arch: Network, layers: tuple[TemporalConv, ...], rows: int, length: int,
           filters: int) -> tuple[tuple[ConvDims, ...], int, int]:
    """Sizes of consecutive temporal convolutions, and what they leave: (dims, length, filters)."""
    dims = []
    for layer in layers:
        after = temporal_length(length, layer.kernel, layer.stride, arch.padding)
        parts = _lego(arch, filters, layer.filters, (1, layer.kernel), layer.stride)
        cut = arch.padding == "same" and (after - 1) * layer.stride + layer.kernel > length
        dims.append(ConvDims(1, rows, length, filters, rows, after, layer.filters, layer.kernel, parts,
                             _xnor(arch, filters, rows * length, layer.kernel, cut)))
        length, filters = after, layer.filters
    return tuple(dims), length, filters


def _lego(arch: Network, inputs: int, filters: int, kernel: tuple[int, int], stride: int) -> LegoDims | None:
    parts = lego_parts(arch, inputs, filters)
    if parts is None:
        return None
    fragments, bricks = parts
    return LegoDims(*parts, lego_scratch_bytes((bricks, *kernel, inputs // fragments), fragments, stride, 1))


def _xnor(arch: Network, inputs: int, positions: int, taps: int, cut: bool) -> XnorDims | None:
    return XnorDims(xnor_scratch_bytes(positions, inputs, taps, cut)) if is_xnor(arch, inputs) else None
