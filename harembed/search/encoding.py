"""The space of networks as a flat list of independent choices, for strategies that breed networks.

It is the super-net's space: as many layers as the window allows with strides 2, 1, 2, 1 …, each a kernel or nothing;
a gate for every sensor channel, numbers of filters, padding and the tail. Filters go up to the most that any
strategy draws. What sftnas's generations alone reach (vary.py: strides in any order, twelve layers, a third
convolution in the tail) is not in it.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from harembed.models.supernet import SuperSpace, strides
from harembed.search.vary import KERNELS, LARGEST_FILTERS
from harembed.space import (
    RECURRENT_TAILS,
    Architecture,
    ConvTail,
    DeepConvLstmTail,
    FlatTail,
    GraphArchitecture,
    Network,
    Padding,
    RecurrentTail,
    ResNetTail,
    TemporalConv,
    temporal_length,
)

NOTHING = 0  # the kernel of a layer that is left out
Value = str | int | bool


@dataclass(frozen=True)
class Choice:
    """One of a few values without an order."""

    options: tuple[Value, ...]

    def allows(self, value: Value) -> bool:
        return value in self.options


@dataclass(frozen=True)
class Count:
    """A whole number from 1 to `most` on a logarithmic scale: from 2 to 4 filters is as large a step as from 24 to
    48. Drawn on an even scale, 1 of 100 networks stays within 200,000 MACs; on this one, 1 of 3."""

    most: int

    def allows(self, value: Value) -> bool:
        return isinstance(value, int) and 1 <= value <= self.most


@dataclass(frozen=True)
class Encoding:
    """The space for one dataset.

    Attributes
    ----------
    window : samples
    sensors : channels of the recording
    """

    window: int
    sensors: int
    classes: int
    paddings: tuple[Padding, ...]
    tails: tuple[str, ...]

    def parameters(self) -> dict[str, Choice | Count]:
        """Every choice by name. Those that another one makes pointless (the filters of a layer that is left out) are
        there all the same: crossing two networks needs one list for all."""
        found: dict[str, Choice | Count] = {"padding": Choice(self.paddings), "tail": Choice(self.tails)}
        found |= {f"channel{i}": Choice((True, False)) for i in range(self.sensors)}
        found |= _layer_parameters("conv", len(strides(self.window)), KERNELS)
        if "conv" in self.tails:
            found["fusion"] = Count(LARGEST_FILTERS)
            found |= _layer_parameters("tail", SuperSpace.tail_layers, SuperSpace.tail_kernels)
        if set(self.tails) & set(RECURRENT_TAILS):
            found["hidden"] = Count(LARGEST_FILTERS)
        if "deepconvlstm" in self.tails:
            found["lstm_layers"] = Choice((1, 2))
        return found

    def decode(self, values: Mapping[str, Value]) -> Architecture | str:
        """The network of these values, or in words why there is none."""
        channels = tuple(i for i in range(self.sensors) if values[f"channel{i}"])
        if not channels:
            return "no sensor channel is used"
        convs = _decode_layers(values, "conv", strides(self.window))
        if not convs:
            return "the first stage is empty"
        tail: ConvTail | RecurrentTail
        if values["tail"] == "conv":
            tail = ConvTail(int(values["fusion"]), _decode_layers(values, "tail", (1,) * SuperSpace.tail_layers))
        elif values["tail"] == "deepconvlstm":
            tail = DeepConvLstmTail(int(values["hidden"]), int(values["lstm_layers"]))
        else:
            tail = RECURRENT_TAILS[str(values["tail"])](int(values["hidden"]))
        padding: Padding = "same" if values["padding"] == "same" else "valid"
        length = self.window
        for c in (*convs, *(tail.convs if isinstance(tail, ConvTail) else ())):
            shorter = temporal_length(length, c.kernel, c.stride, padding)
            if shorter < 1:
                return f"a kernel of {c.kernel} does not fit into {length} samples"
            length = shorter
        return Architecture(self.window, channels, padding, convs, tail, self.classes)

    def encode(self, arch: Network) -> dict[str, Value] | None:
        """Values that decode to this network; None if it is outside the space, as all with branches are. Choices that
        it does not make are made like its neighbouring ones, so that a child which makes them is like its parent."""
        if isinstance(arch, GraphArchitecture) or isinstance(arch.tail, (FlatTail, ResNetTail)):
            return None
        tail = arch.tail
        width = tail.fusion if isinstance(tail, ConvTail) else tail.hidden
        behind = tail.convs if isinstance(tail, ConvTail) else ()
        values: dict[str, Value] = {"padding": arch.padding, "tail": tail.kind, "fusion": width, "hidden": width}
        values["lstm_layers"] = tail.layers if isinstance(tail, DeepConvLstmTail) else DeepConvLstmTail.layers
        values |= {f"channel{i}": i in arch.channels for i in range(self.sensors)}
        values |= _encode_layers("conv", arch.convs, strides(self.window), arch.convs[0].filters)
        values |= _encode_layers("tail", behind, (1,) * SuperSpace.tail_layers, width)
        found = {name: values[name] for name in self.parameters()}
        allowed = all(p.allows(found[name]) for name, p in self.parameters().items())
        return found if allowed and self.decode(found) == arch else None


def _layer_parameters(prefix: str, count: int, kernels: tuple[int, ...]) -> dict[str, Choice | Count]:
    found: dict[str, Choice | Count] = {}
    for i in range(count):
        found |= {f"{prefix}{i}_kernel": Choice((NOTHING, *kernels)), f"{prefix}{i}_filters": Count(LARGEST_FILTERS)}
    return found


def _decode_layers(values: Mapping[str, Value], prefix: str, stride_of: tuple[int, ...]) -> tuple[TemporalConv, ...]:
    return tuple(TemporalConv(int(values[f"{prefix}{i}_kernel"]), stride, int(values[f"{prefix}{i}_filters"]))
                 for i, stride in enumerate(stride_of) if values[f"{prefix}{i}_kernel"] != NOTHING)


def _encode_layers(prefix: str, convs: tuple[TemporalConv, ...], stride_of: tuple[int, ...],
                   filters: int) -> dict[str, Value]:
    """Each convolution in the next place that has its stride."""
    values: dict[str, Value] = {}
    left = list(convs)
    for i, stride in enumerate(stride_of):
        kernel = NOTHING
        if left and left[0].stride == stride:
            conv = left.pop(0)
            kernel, filters = conv.kernel, conv.filters
        values |= {f"{prefix}{i}_kernel": kernel, f"{prefix}{i}_filters": filters}
    return values
