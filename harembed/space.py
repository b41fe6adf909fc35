"""What a network of this project can be: an Architecture is a point of the search space, plain data.

It says shapes and operators, never weights. Models are built from it (harembed/models), costs computed from
it (harembed/cost), searches propose it (harembed/search).
"""

from dataclasses import asdict, dataclass
from typing import Any, Literal

from harembed.errors import SearchError

Padding = Literal["same", "valid"]
PADDINGS: tuple[Padding, ...] = ("same", "valid")


@dataclass(frozen=True)
class TemporalConv:
    """One individual convolution of the first stage: a (1, kernel) filter, weights shared by all sensors."""

    kernel: int  # 1, 3, 5 or 7 samples
    stride: int  # 1 or 2 samples
    filters: int


@dataclass(frozen=True)
class ConvTail:
    """The cheaper tail: fuse sensors, convolve over time, average over time, classify."""

    fusion: int  # filters of the (sensors, 1) convolution that mixes all sensor channels
    convs: tuple[TemporalConv, ...] = ()  # over the fused features; stride may be 1 or 2
    kind: Literal["conv"] = "conv"

    def describe(self) -> str:
        return f"fuse {self.fusion} {_describe(self.convs)}".strip()


@dataclass(frozen=True)
class TinyHarTail:
    """TinyHAR's original tail (Zhou et al., ISWC 2022): self-attention across sensor channels at every time
    step, fusion by a dense layer with ReLU, LSTM, weighted temporal aggregation, classification."""

    hidden: int  # features after fusion, and of the LSTM; the paper takes twice the filters of stage one
    kind: Literal["tinyhar"] = "tinyhar"

    def describe(self) -> str:
        return f"attention+LSTM {self.hidden}"


@dataclass(frozen=True)
class DeepConvLstmTail:
    """DeepConvLSTM's tail (Ordonez and Roggen, Sensors 2016): the features of all sensors side by side at every time
    step, LSTM layers, the last step, classification."""

    hidden: int  # of every layer; the paper has 128
    layers: int = 2  # 1 or 2; the paper has 2, Bock et al. (ISWC 2021) have 1, and so by its size has Zhou et al.'s
    kind: Literal["deepconvlstm"] = "deepconvlstm"

    def describe(self) -> str:
        return f"{'+'.join(['LSTM'] * self.layers)} {self.hidden}"


@dataclass(frozen=True)
class AttendTail:
    """The tail of Attend-and-Discriminate (Abedin et al., IMWUT 2021): self-attention across sensor channels at every
    time step, two GRU layers, attention over time, classification; trained with centre loss."""

    hidden: int  # of both layers; the paper has 128
    kind: Literal["attend"] = "attend"

    def describe(self) -> str:
        return f"attention+GRU+GRU {self.hidden}"


RecurrentTail = TinyHarTail | DeepConvLstmTail | AttendTail
RECURRENT_TAILS: dict[str, type[RecurrentTail]] = {
    "tinyhar": TinyHarTail, "deepconvlstm": DeepConvLstmTail, "attend": AttendTail}
TAILS: dict[str, type[ConvTail | RecurrentTail]] = {"conv": ConvTail, **RECURRENT_TAILS}


@dataclass(frozen=True)
class Architecture:
    window: int  # samples
    channels: tuple[int, ...]  # indices of the raw sensor channels that the network uses
    padding: Padding
    convs: tuple[TemporalConv, ...]
    tail: ConvTail | RecurrentTail
    classes: int

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @staticmethod
    def from_dict(d: dict[str, Any]) -> "Architecture":
        """Rebuild from to_dict's result (JSON turns tuples into lists, which is accepted)."""
        tail = dict(d["tail"])
        if tail["kind"] not in TAILS:
            raise SearchError(f"There is no tail {tail['kind']!r}.", f"Known: {', '.join(TAILS)}.")
        if "convs" in tail:
            tail["convs"] = tuple(TemporalConv(**c) for c in tail["convs"])
        return Architecture(
            window=d["window"], channels=tuple(d["channels"]), padding=d["padding"],
            convs=tuple(TemporalConv(**c) for c in d["convs"]), tail=TAILS[tail["kind"]](**tail),
            classes=d["classes"],
        )

    def describe(self) -> str:
        """One line for tables: '6ch · 5/2x4 3/1x8 · conv 24+3x24'."""
        return f"{len(self.channels)}ch · {self.padding} · {_describe(self.convs)} · {self.tail.describe()}"


def _describe(convs: tuple[TemporalConv, ...]) -> str:
    return " ".join(f"{c.kernel}/{c.stride}x{c.filters}" for c in convs)


def temporal_length(length: int, kernel: int, stride: int, padding: Padding) -> int:
    """Samples after one convolution, as TFLite counts them; 0 if a valid kernel does not fit."""
    if padding == "same":
        return -(-length // stride)
    return (length - kernel) // stride + 1 if length >= kernel else 0
