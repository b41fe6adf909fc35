"""What a network of this project can be: an Architecture, a chain of convolutions and a tail, or a GraphArchitecture,
where convolutions branch; a point of a search space, plain data.

It says shapes and operators, never weights. Models are built from it (harembed/models), costs computed from
it (harembed/cost), searches propose it (harembed/search).
"""

from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from typing import Any, Literal

from harembed.errors import SearchError
from harembed.feature_graph import FeatureGraph, LayerShape, leaves, shapes, side_by_side
from harembed.lego import Lego

Padding = Literal["same", "valid"]
# Input channels from which signs are worth it: the bits of a tap fill whole words, and 16 bytes are four words.
XNOR_CHANNELS = 16
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


@dataclass(frozen=True)
class FlatTail:
    """No more than a dense layer over all features of all samples and sensors, as behind plain convolutions. Only
    published networks have it (harembed/published.py)."""

    kind: Literal["flat"] = "flat"

    def describe(self) -> str:
        return "dense"


@dataclass(frozen=True)
class ResNetTail:
    """A whole residual network over time: a convolution of all sensors, blocks of two convolutions with what goes
    past them, average over time, classification (Shen's thesis, sec. 3.2). Only published networks have it."""

    filters: int  # of every convolution; the thesis has 64
    blocks: int  # 3 + 4 + 4 + 5
    kernel: int = 15  # samples
    kind: Literal["resnet"] = "resnet"

    def describe(self) -> str:
        return f"{self.kernel}x{self.filters} {self.blocks} residual blocks"


RecurrentTail = TinyHarTail | DeepConvLstmTail | AttendTail
RECURRENT_TAILS: dict[str, type[RecurrentTail]] = {
    "tinyhar": TinyHarTail, "deepconvlstm": DeepConvLstmTail, "attend": AttendTail}
Tail = ConvTail | RecurrentTail | FlatTail | ResNetTail
_UNSEARCHED: dict[str, type[FlatTail | ResNetTail]] = {"flat": FlatTail, "resnet": ResNetTail}
# Those that a search can choose.
TAILS: dict[str, type[ConvTail | RecurrentTail]] = {"conv": ConvTail, **RECURRENT_TAILS}


@dataclass(frozen=True)
class Architecture:
    window: int  # samples
    channels: tuple[int, ...]  # indices of the raw sensor channels that the network uses
    padding: Padding
    convs: tuple[TemporalConv, ...]
    tail: Tail
    classes: int
    lego: Lego | None = None  # of all convolutions but the first
    xnor: bool = False  # convolutions of XNOR_CHANNELS and more are of signs by signs

    @property
    def rows(self) -> int:
        """How many sequences go through the first stage side by side: one of each sensor channel."""
        return len(self.channels)

    def to_dict(self) -> dict[str, Any]:
        """Only networks with Lego filters or signs say so, so that files and ids of those without stay as they
        are."""
        return {k: v for k, v in asdict(self).items() if k not in ("lego", "xnor") or v}

    @staticmethod
    def from_dict(d: dict[str, Any]) -> "Architecture":
        """Rebuild from to_dict's result (JSON turns tuples into lists, which is accepted)."""
        return Architecture(
            window=d["window"], channels=tuple(d["channels"]), padding=d["padding"],
            convs=tuple(TemporalConv(**c) for c in d["convs"]), tail=_tail_from_dict(d["tail"]),
            classes=d["classes"], lego=Lego(**d["lego"]) if d.get("lego") else None,
            xnor=d.get("xnor", False),
        )

    def describe(self) -> str:
        """One line for tables: '6ch · 5/2x4 3/1x8 · conv 24+3x24'."""
        form = f" · Lego {self.lego.text}" if self.lego else " · XNOR" if self.xnor else ""
        return f"{len(self.channels)}ch · {self.padding} · {_describe(self.convs)} · {self.tail.describe()}{form}"


SensorUse = Literal["mixed", "shared"]


@dataclass(frozen=True)
class GraphArchitecture:
    """A network with branches (see harembed.feature_graph) and a tail behind them.

    Attributes
    ----------
    sensors : "mixed": the sensor channels are the filters of the input, so every convolution sees all of them.
        "shared": each channel goes through the graph on its own, weights shared by all, as in this project's other
        networks and in DeepConvLSTM (Ordonez and Roggen 2016). Pellatt and Roggen's table 2 has the parameters of
        DeepConvLSTM with "shared", 3,965,778; but the operations in their table 6 are those of "mixed", to the last
        digit (5.3 M; "shared" has 174 M). So that is what they measured, and the default.
    """

    window: int  # samples
    channels: tuple[int, ...]  # indices of the raw sensor channels that the network uses
    features: FeatureGraph
    tail: ConvTail | RecurrentTail  # the paper has DeepConvLstmTail(128)
    classes: int
    sensors: SensorUse = "mixed"
    kind: Literal["graph"] = "graph"

    @property
    def padding(self) -> Padding:
        return "same"

    @property
    def rows(self) -> int:
        """How many sequences go through the graph side by side."""
        return 1 if self.sensors == "mixed" else len(self.channels)

    @property
    def filters_in(self) -> int:
        """Of the graph's input."""
        return len(self.channels) if self.sensors == "mixed" else 1

    def shapes(self) -> tuple[LayerShape, ...]:
        """Of the input and every layer.

        Raises
        ------
        SearchError    a layer cannot be made
        """
        made = shapes(self.features, self.window, self.filters_in)
        if isinstance(made, str):
            raise SearchError(f"This is no network: {made}.", f"It has the layers {self.features.describe()}.")
        return made

    def joined(self) -> LayerShape:
        """What the tail reads: all leaves side by side."""
        made = self.shapes()
        return side_by_side([made[i] for i in leaves(self.features)])

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @staticmethod
    def from_dict(d: dict[str, Any]) -> "GraphArchitecture":
        """Rebuild from to_dict's result (JSON turns tuples into lists, which is accepted)."""
        values = d | {"channels": tuple(d["channels"]), "features": FeatureGraph.from_dict(d["features"]),
                      "tail": _tail_from_dict(d["tail"])}
        return GraphArchitecture(**values)

    def describe(self) -> str:
        """One line for tables: '6ch mixed · C5x64(0) P2(1) C1x32(0) 2+3 · LSTM+LSTM 128'."""
        return f"{len(self.channels)}ch {self.sensors} · {self.features.describe()} · {self.tail.describe()}"


Network = Architecture | GraphArchitecture


def with_lego(arch: Network, lego: Lego) -> Architecture:
    """The same network with Lego filters.

    Raises
    ------
    SearchError    no convolution can have them
    """
    chain = chain_of(arch, "Lego filters are")
    widths = _widths(chain)
    if not any(lego.parts(*pair) for pair in pairwise(widths)):
        raise SearchError(f"No convolution of this network can be put together from bricks with {lego.text}: behind "
                          f"each other they have {', '.join(map(str, widths[1:]))} filters.",
                          "The channels in front of a convolution must have a divisor up to o.")
    return replace(chain, lego=lego)


def with_xnor(arch: Network) -> Architecture:
    """The same network with convolutions of signs by signs (Rastegari et al., XNOR-Net): those of enough channels,
    never the first. Its last layer stays dense, too.

    Raises
    ------
    SearchError    it has no such convolution
    """
    chain = chain_of(arch, "Signs are")
    if not any(is_xnor(replace(chain, xnor=True), inputs) for inputs in _widths(chain)[:-1]):
        raise SearchError(f"This network has no convolution of {XNOR_CHANNELS} input channels or more; with fewer "
                          "they stay int8.", "Take a wider one.")
    return replace(chain, xnor=True)


def with_form(arch: Network, lego: Lego | None, xnor: bool) -> Network:
    """The same network with Lego filters, with signs, or as it is.

    Raises
    ------
    SearchError    it has no convolution that could be made so
    """
    if lego:
        return with_lego(arch, lego)
    return with_xnor(arch) if xnor else arch


def dense(arch: Network) -> Network:
    """The same network without Lego filters and signs."""
    return replace(arch, lego=None, xnor=False) if isinstance(arch, Architecture) else arch


def is_xnor(arch: Network, inputs: int) -> bool:
    """Whether a convolution of so many input channels is of signs."""
    return isinstance(arch, Architecture) and arch.xnor and inputs >= XNOR_CHANNELS


def lego_parts(arch: Network, inputs: int, filters: int) -> tuple[int, int] | None:
    """(fragments, bricks) of a convolution; None if it is dense."""
    lego = arch.lego if isinstance(arch, Architecture) else None
    return lego.parts(inputs, filters) if lego else None


def chain_of(arch: Network, what: str) -> Architecture:
    """It is one.

    Raises
    ------
    SearchError    it has branches; `what` begins the sentence: "Lego filters are"
    """
    if isinstance(arch, GraphArchitecture):
        raise SearchError(f"{what} for chains of convolutions, and this network has branches.",
                          "Take one of another strategy than dqn.")
    return arch


def _widths(arch: Architecture) -> list[int]:
    """Channels in front of the first convolution and behind each."""
    widths = [1, *(c.filters for c in arch.convs)]
    if isinstance(arch.tail, ConvTail):
        widths += [arch.tail.fusion, *(c.filters for c in arch.tail.convs)]
    if isinstance(arch.tail, ResNetTail):
        widths += [arch.tail.filters] * (2 * arch.tail.blocks + 1)
    return widths


def network_from_dict(d: dict[str, Any]) -> Network:
    """Rebuild what either kind's to_dict said. Only networks with branches name their kind, so that files of those
    without stay as they are."""
    return GraphArchitecture.from_dict(d) if d.get("kind") == "graph" else Architecture.from_dict(d)


def _tail_from_dict(d: dict[str, Any]) -> Any:
    if d["kind"] in _UNSEARCHED:
        return _UNSEARCHED[d["kind"]](**d)
    if d["kind"] not in TAILS:
        raise SearchError(f"There is no tail {d['kind']!r}.", f"Known: {', '.join(TAILS)}.")
    values = dict(d)
    if "convs" in values:
        values["convs"] = tuple(TemporalConv(**c) for c in values["convs"])
    return TAILS[values["kind"]](**values)


def _describe(convs: tuple[TemporalConv, ...]) -> str:
    return " ".join(f"{c.kernel}/{c.stride}x{c.filters}" for c in convs)


def temporal_length(length: int, kernel: int, stride: int, padding: Padding) -> int:
    """Samples after one convolution, as TFLite counts them; 0 if a valid kernel does not fit."""
    if padding == "same":
        return -(-length // stride)
    return (length - kernel) // stride + 1 if length >= kernel else 0
