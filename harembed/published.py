"""The networks that Zhou et al. ("NAS meets pruning", the SFTNAS paper) prune, at their full size.

All three begin with four individual convolutions of 5 samples and 64 filters without padding; behind them stands the
tail of the original publication. Which sizes those are, no paper says in one place: they are read from the originals
and settled by the parameters and MACs of Zhou et al.'s tables I to III, nine rows in all.

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
"""

from harembed.errors import SearchError, unknown_name
from harembed.space import (
    Architecture,
    AttendTail,
    DeepConvLstmTail,
    RecurrentTail,
    TemporalConv,
    TinyHarTail,
)

_CONV, _STRIDED = TemporalConv(5, 1, 64), TemporalConv(5, 2, 64)
PUBLISHED: dict[str, tuple[tuple[TemporalConv, ...], RecurrentTail]] = {
    "deepconvlstm": ((_CONV,) * 4, DeepConvLstmTail(128, layers=1)),
    "tinyhar": ((_CONV, _STRIDED) * 2, TinyHarTail(128)),
    "attend": ((_CONV,) * 4, AttendTail(128)),
}


def published(name: str, window: int, sensors: int, classes: int) -> Architecture:
    """One of the three networks, for a dataset.

    Parameters
    ----------
    name : "deepconvlstm", "tinyhar" or "attend" (in the paper's tables DCL, TinyHAR, Attend)
    window : samples; 17 or more, for TinyHAR 25
    sensors : channels; all are used

    Raises
    ------
    SearchError    there is no network of that name
    """
    if name not in PUBLISHED:
        raise SearchError(unknown_name("published network", name, list(PUBLISHED)), f"Known: {', '.join(PUBLISHED)}.")
    convs, tail = PUBLISHED[name]
    return Architecture(window, tuple(range(sensors)), "valid", convs, tail, classes)
