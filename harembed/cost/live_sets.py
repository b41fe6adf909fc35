"""Bytes that are live while each operator of a network runs.

Zhou et al., eq. 12: mem(op) = mem(input) + mem(output) + extra(op), extra(op) being its scratch. The peak is the
largest over all operators; eq. 13 punishes it. The operators are those that export/lower.py emits, and what they
compute in place needs no memory of its own, so for a derived network the peak equals the planner's lower bound
(cost/memory.py) exactly, which a test holds.
"""

from collections.abc import Callable
from functools import reduce

from harembed.cost.dims import (
    AttendTailDims,
    ConvDims,
    ConvTailDims,
    DeepConvLstmTailDims,
    FlatTailDims,
    NetDims,
    Number,
    RecurrentTailDims,
    ResNetTailDims,
    TinyHarTailDims,
)
from harembed.ir.ops.conv_dsp import conv_scratch_bytes
from harembed.ir.ops.dense_dsp import dense_scratch_bytes
from harembed.ir.ops.gru_dsp import gru_scratch_bytes
from harembed.ir.ops.lstm_dsp import lstm_scratch_bytes
from harembed.ir.ops.matmul_dsp import matmul_scratch_bytes

LSTM_STATE_BYTES = 3  # per hidden unit: output int8, cell int16


def live_sets(net: NetDims) -> list[Number]:
    """Live bytes of every operator, in order of execution; 0 where a layer became an identity.

    Serves integers and 0-d tensors alike.
    """
    t = net.tail
    stage = [_conv(c) for c in net.convs] if net.stage_bytes is None else list(net.stage_bytes)
    if isinstance(t, ConvTailDims):
        return stage + [t.present * live for live in _conv_tail(t)]
    state = t.lstm_layers * LSTM_STATE_BYTES * t.hidden  # survives the inference, so it is live from first to last
    present = [c.present for c in net.convs] if net.stage_bytes is None else [1] * len(stage)
    stage = [p * (live + t.present * state) for p, live in zip(present, stage, strict=True)]
    return stage + [t.present * (live + state) for live in _RECURRENT_TAILS[type(t)](t)]


def peak_bytes(net: NetDims, maximum: Callable[[Number, Number], Number] = max) -> Number:
    """PMem of eq. 13: the largest live set. `maximum` is torch.maximum when the sizes are tensors."""
    return reduce(maximum, live_sets(net))


def _conv(c: ConvDims) -> Number:
    input_bytes = c.rows_in * c.length_in * c.filters_in
    output_bytes = c.rows_out * c.length_out * c.filters_out
    return c.present * (input_bytes + output_bytes + _conv_scratch(c))


def _conv_scratch(c: ConvDims) -> Number:
    if c.xnor:
        return c.xnor.scratch_bytes
    return c.lego.scratch_bytes if c.lego else conv_scratch_bytes(c.kernel_elements, c.filters_in)


def _conv_tail(t: ConvTailDims) -> list[Number]:
    average = t.length * t.features + t.features
    linear = t.features + t.classes + dense_scratch_bytes(1, t.features)
    convs = _blocks(t) if isinstance(t, ResNetTailDims) else [_conv(c) for c in t.convs]
    return [*convs, average, linear]


def _blocks(t: ResNetTailDims) -> list[Number]:
    """What goes past a pair of convolutions is live beside the second one; the sum is computed in place."""
    x = t.length * t.features
    first, *pairs = (_conv(c) for c in t.convs)
    blocks = zip(pairs[::2], pairs[1::2], strict=True)
    return [first, *(live for before, behind in blocks for live in (before, behind + x, x + x))]


def _attention(t: RecurrentTailDims) -> list[Number]:
    """Across sensors; where two numbers are added, the first outlives the operator."""
    x = t.sensors * t.length * t.filters
    scores = t.length * t.sensors * t.sensors
    projection = conv_scratch_bytes(1, t.filters)
    return [
        x + x * (t.sensors != 1),  # transpose; of one sensor a view
        x + x + projection,  # query
        x + 2 * x + projection,  # key, beside the query
        x + 3 * x + projection,  # value
        x + 3 * x + scores + matmul_scratch_bytes(t.sensors, t.sensors, t.filters),  # keys times queries
        2 * x + scores,  # softmax, in place, beside the values
        2 * x + x + scores + matmul_scratch_bytes(t.sensors, t.filters, t.sensors),  # weights times values
        x + x,  # residual sum, in place
    ]


def _tinyhar_tail(t: RecurrentTailDims) -> list[Number]:
    """In the order of export/lower.py."""
    x = t.sensors * t.length * t.filters
    steps = t.length * t.hidden
    fusion = x + steps + conv_scratch_bytes(t.sensors, t.filters)
    # fusion, reshape (a view), LSTM
    recurrent = [fusion, steps, steps + steps + lstm_scratch_bytes(t.hidden, t.hidden)]
    aggregation = [
        steps + steps + dense_scratch_bytes(t.length, t.hidden),  # fc_1
        steps + steps,  # tanh, in place
        steps + steps + t.length + dense_scratch_bytes(t.length, t.hidden),  # fc_2
        steps + t.length,  # reshape (a view)
        steps + t.length,  # softmax over time, in place
        steps + t.length + t.hidden + matmul_scratch_bytes(1, t.hidden, t.length),  # weighted sum
        steps + t.hidden,  # times gamma, in place
        steps + t.hidden,  # reshape (a view)
        steps + 2 * t.hidden,  # last step
        2 * t.hidden,  # sum of both, in place
    ]
    return [*_attention(t), *recurrent, *aggregation, _classifier(t)]


def _deepconvlstm_tail(t: RecurrentTailDims) -> list[Number]:
    """In the order of export/lower.py."""
    x = t.sensors * t.length * t.filters
    steps = t.length * t.hidden
    return [
        x + x * (t.sensors != 1),  # transpose; of one sensor a view
        x,  # reshape (a view)
        x + steps + lstm_scratch_bytes(t.sensors * t.filters, t.hidden),
        *[steps + steps + lstm_scratch_bytes(t.hidden, t.hidden)] * (t.lstm_layers - 1),
        steps + t.hidden,  # last step
        _classifier(t),
    ]


def _attend_tail(t: RecurrentTailDims) -> list[Number]:
    """In the order of export/lower.py."""
    x = t.sensors * t.length * t.filters
    steps = t.length * t.hidden
    recurrent = [
        x,  # reshape (a view)
        x + steps + gru_scratch_bytes(t.sensors * t.filters, t.hidden),
        steps + steps + gru_scratch_bytes(t.hidden, t.hidden),
    ]
    over_time = [
        steps + t.length + dense_scratch_bytes(t.length, t.hidden),  # fc
        steps + t.length,  # reshape (a view)
        steps + t.length,  # softmax over time, in place
        steps + t.length + t.hidden + matmul_scratch_bytes(1, t.hidden, t.length),  # weighted sum
        t.hidden,  # reshape (a view)
    ]
    return [*_attention(t), *recurrent, *over_time, _classifier(t)]


def _classifier(t: RecurrentTailDims) -> Number:
    return t.hidden + t.classes + dense_scratch_bytes(1, t.hidden)


_RECURRENT_TAILS: dict[type[RecurrentTailDims], Callable[[RecurrentTailDims], list[Number]]] = {
    TinyHarTailDims: _tinyhar_tail,
    DeepConvLstmTailDims: _deepconvlstm_tail,
    AttendTailDims: _attend_tail,
    FlatTailDims: lambda t: [t.hidden, _classifier(t)],  # reshape (a view)
}
