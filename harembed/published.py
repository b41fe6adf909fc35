"""Networks as published, at their full size: those that Zhou et al. ("NAS meets pruning", the SFTNAS paper) prune,
and the one that Tang et al. (Lego filters with local loss) make smaller.

The three of Zhou et al. begin with four individual convolutions of 5 samples and 64 filters without padding; behind
them stands the tail of the original publication. Which sizes those are, no paper says in one place: they are read
from the originals and settled by the parameters and MACs of their tables I to III, nine rows in all.

DeepConvLSTM (Ordonez and Roggen, Sensors 2016)    no strides, LSTM of 128. The original has two LSTM layers; the
    tables' 424.26 k parameters on UCI-HAR are those of one (a second adds 131 k).
Attend-and-Discriminate (Abedin et al., IMWUT 2021)    the same convolutions; two GRU layers of 128, as published.
TinyHAR (Zhou et al., ISWC 2022)    every second convolution has stride 2: so the authors' code, and so the tables'
    MACs (their text says every one, which would come to a third). The code's default is 20 filters, the tables' sizes
    are those of 64. Hidden features are twice the filters, as published.

What agrees: the parameters of all nine rows, to the last printed digit, once what the tables count and a deployed
network has no more is added: PyTorch's second bias of an LSTM, batch norm (TinyHAR's; the other two have none in the
original, and ours is folded away), the gain of the attention, the bias of the attention over time, which the softmax
takes away again.
What does not: the tables' MMACs are 0.9 to 1.0 % above the multiply-accumulates, TinyHAR's 2.3 to 2.4 %. That is
three operations for every output of a convolution (five with batch norm) and those on the gates of the recurrence, so
theirs is a counter that includes more than products.

Flat (Tang et al., their baseline on UCI-HAR)    convolutions of 128, 256 and 384 filters, then a dense layer.
    Kernels, strides and padding are not printed; memory and FLOPs of their table III tell of them, as MiB of float32
    and as multiply-accumulates. Kernels have 6 samples: bricks of o=2, m=0.5 take a quarter of the last two layers'
    weights, and those come out as printed (3.55 to 1.30 MiB). The three layers have about 276, 163 and 62 outputs a
    filter. With "same" padding and strides of 4, 2 and 2 these are 288, 144 and 72: 3.64 MiB and 71.2 M, 2 % more
    than printed. Their 0.69 MiB of o=4, m=0.25 contradicts their other rows, from which 0.74 follow.

ResNet (Shen's thesis)    "ResNet-16" has 33 convolutions of 64 filters and 15 samples: one, and two in each of
    3 + 4 + 4 + 5 blocks. These and a dense layer of two classes, without batch norm, make its table 3.1 to the last
    digit: 1,974,850 from 9 channels, 2,040,130 from 77, 2,016,130 from 52. Its operations are these over 64, 31 and
    16 samples. "ResNet-64" has four times the parameters. From 52 to 77 channels it grows as by 256 filters, but 33
    layers of 256 filters have 31.5 M: what its blocks are is not told, and it is not here.
"""

from harembed.errors import SearchError, unknown_name
from harembed.space import (
    Architecture,
    AttendTail,
    DeepConvLstmTail,
    FlatTail,
    Padding,
    ResNetTail,
    Tail,
    TemporalConv,
    TinyHarTail,
)

_CONV, _STRIDED = TemporalConv(5, 1, 64), TemporalConv(5, 2, 64)
PUBLISHED: dict[str, tuple[Padding, tuple[TemporalConv, ...], Tail]] = {
    "deepconvlstm": ("valid", (_CONV,) * 4, DeepConvLstmTail(128, layers=1)),
    "tinyhar": ("valid", (_CONV, _STRIDED) * 2, TinyHarTail(128)),
    "attend": ("valid", (_CONV,) * 4, AttendTail(128)),
    "flat": ("same", (TemporalConv(6, 4, 128), TemporalConv(6, 2, 256), TemporalConv(6, 2, 384)), FlatTail()),
    "resnet": ("same", (), ResNetTail(64, 3 + 4 + 4 + 5)),
}


def published(name: str, window: int, sensors: int, classes: int) -> Architecture:
    """One of these networks, for a dataset.

    Parameters
    ----------
    name : "deepconvlstm", "tinyhar" or "attend" (in Zhou et al.'s tables DCL, TinyHAR, Attend), "flat", "resnet"
    window : samples; 17 or more, for TinyHAR 25
    sensors : channels; all are used

    Raises
    ------
    SearchError    there is no network of that name
    """
    if name not in PUBLISHED:
        raise SearchError(unknown_name("published network", name, list(PUBLISHED)), f"Known: {', '.join(PUBLISHED)}.")
    padding, convs, tail = PUBLISHED[name]
    return Architecture(window, tuple(range(sensors)), padding, convs, tail, classes)
