"""The network that a pruning strategy starts from: one for each tail.

For the published tails it is the published network (harembed/published.py), with a share of its filters and hidden
features. Full size is the paper's (105 M MACs for DeepConvLSTM on UCI-HAR); the default, a quarter, is trained in
minutes on two cores, because an epoch costs a sixteenth, and still has 12 to 39 times the MACs of the usual limit
there.

No publication has the cheap tail, `conv`. There the widest chain of our super-net is pruned: as many layers as the
window allows, stride 2 and 1 in turn, kernels of 5 as in all published ones, filters growing twofold with depth,
then fusion and two convolutions. At full size the last has 64 filters, as theirs have; the default, a quarter, is the
very width of the super-net. The strides are in it although pruning could not find them: without them no more than two
or three filters a layer would be left within the limits, so with them the comparison is kind to pruning.
"""

from dataclasses import replace

from harembed.errors import SearchError
from harembed.models.supernet import SuperSpace, strides
from harembed.models.widths import scaled
from harembed.published import published
from harembed.space import Architecture, ConvTail, TemporalConv, temporal_length

KERNEL = 5  # samples; of the three published networks
FIRST, LAST, FUSION = 32, 64, 128  # filters of the chain at full size


def backbone(tail: str, window: int, sensors: int, classes: int, scale: float) -> Architecture:
    """The network to prune.

    Parameters
    ----------
    tail : kind, see harembed.space.TAILS
    window : samples
    scale : float    share of the filters and hidden features; 1 is full size

    Raises
    ------
    SearchError    its kernels do not fit the window
    """
    full = _chain(window, sensors, classes) if tail == "conv" else published(tail, window, sensors, classes)
    length = window
    for c in full.convs:
        length = temporal_length(length, c.kernel, c.stride, full.padding)
    if length < 1:
        raise SearchError(f"Windows of {window} samples are too short for the published network {tail}: four kernels "
                          f"of {KERNEL} samples without padding.", "Use a longer --window or --tail conv.")
    return scaled(full, scale)


def _chain(window: int, sensors: int, classes: int) -> Architecture:
    stride_of = strides(window)
    last = max(len(stride_of) // 2 - 1, 1)
    convs = tuple(TemporalConv(KERNEL, stride, FIRST + (LAST - FIRST) * (i // 2) // last)
                  for i, stride in enumerate(stride_of))
    behind = tuple(replace(convs[0], stride=1, filters=FUSION) for _ in range(SuperSpace.tail_layers))
    return Architecture(window, tuple(range(sensors)), "same", convs, ConvTail(FUSION, behind), classes)
