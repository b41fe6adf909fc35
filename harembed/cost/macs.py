"""Multiply-accumulates and parameters of a network before it exists (Zhou et al., eq. 11, without its square).

Plain arithmetic, like live_sets.py: integers and gradient-carrying tensors alike.
"""

from collections.abc import Callable
from dataclasses import dataclass

from harembed.cost.dims import (
    AttendTailDims,
    ConvDims,
    ConvTailDims,
    DeepConvLstmTailDims,
    FlatTailDims,
    NetDims,
    Number,
    RecurrentTailDims,
    TinyHarTailDims,
)


def layer_macs(net: NetDims) -> list[Number]:
    """MACs of every convolution of the first stage, then of the operators of the tail; 0 for an identity."""
    t = net.tail
    tail = _conv_tail(t) if isinstance(t, ConvTailDims) else _RECURRENT_TAILS[type(t)].macs(t)
    return [_conv(c) for c in net.convs] + [t.present * m for m in tail]


def total_macs(net: NetDims) -> Number:
    return sum(layer_macs(net))


def _conv(c: ConvDims) -> Number:
    """Of Lego filters every brick meets every fragment: as if there were as many filters as bricks."""
    filters = c.lego.bricks if c.lego else c.filters_out
    return c.present * c.rows_out * c.length_out * filters * c.filters_in * c.kernel_elements


def _conv_tail(t: ConvTailDims) -> list[Number]:
    return [*(_conv(c) for c in t.convs), t.features * t.classes]


def _attention(t: RecurrentTailDims) -> list[Number]:
    """Query, key, value; scores, weighted values."""
    x = t.sensors * t.length * t.filters
    return [3 * x * t.filters, 2 * x * t.sensors]


def _tinyhar_tail(t: RecurrentTailDims) -> list[Number]:
    x = t.sensors * t.length * t.filters
    steps = t.length * t.hidden
    recurrent = [x * t.hidden, 4 * steps * (t.hidden + t.hidden)]
    aggregation = [steps * t.hidden, 2 * steps]  # fc_1; fc_2, weighted sum
    return [*_attention(t), *recurrent, *aggregation, t.hidden * t.classes]


def _deepconvlstm_tail(t: RecurrentTailDims) -> list[Number]:
    steps = t.length * t.hidden
    return [*(4 * steps * (inputs + t.hidden) for inputs in _lstm_inputs(t)), t.hidden * t.classes]


def _lstm_inputs(t: RecurrentTailDims) -> list[Number]:
    """Of each layer."""
    return [t.sensors * t.filters, *[t.hidden] * (t.lstm_layers - 1)]


def _attend_tail(t: RecurrentTailDims) -> list[Number]:
    steps = t.length * t.hidden
    first, second = (3 * steps * (inputs + t.hidden) for inputs in (t.sensors * t.filters, t.hidden))
    return [*_attention(t), first, second, 2 * steps, t.hidden * t.classes]  # 2: scores over time, weighted sum


def parameters(net: NetDims) -> Number:
    """Weights and biases after batch-norm folding."""
    count = sum(_conv_parameters(c) for c in net.convs)
    t = net.tail
    if isinstance(t, ConvTailDims):
        return count + sum(_conv_parameters(c) for c in t.convs) + t.classes * (t.features + 1)
    return count + _RECURRENT_TAILS[type(t)].parameters(t) + t.classes * (t.hidden + 1)


def _conv_parameters(c: ConvDims) -> Number:
    """Weights, of filters or of bricks, and one bias per filter; where inputs become signs, thresholds."""
    if c.xnor:
        return c.filters_out * (c.filters_in * c.kernel_elements + 1) + c.filters_in
    if c.lego:
        return c.lego.bricks * c.filters_in // c.lego.fragments * c.kernel_elements + c.filters_out
    return c.present * c.filters_out * (c.filters_in * c.kernel_elements + 1)


def _tinyhar_parameters(t: RecurrentTailDims) -> Number:
    attention = 3 * t.filters * t.filters
    fusion = t.hidden * (t.sensors * t.filters + 1)
    aggregation = t.hidden * (t.hidden + 1) + t.hidden + 1  # fc_1, fc_2, gamma
    return attention + fusion + _lstm_parameters(t.hidden, t.hidden) + aggregation


def _deepconvlstm_parameters(t: RecurrentTailDims) -> Number:
    return sum(_lstm_parameters(inputs, t.hidden) for inputs in _lstm_inputs(t))


def _lstm_parameters(inputs: Number, hidden: Number) -> Number:
    return 4 * hidden * (inputs + hidden + 1)


def _attend_parameters(t: RecurrentTailDims) -> Number:
    attention = 3 * t.filters * t.filters
    recurrent = _gru_parameters(t.sensors * t.filters, t.hidden) + _gru_parameters(t.hidden, t.hidden)
    return attention + recurrent + t.hidden


def _gru_parameters(inputs: Number, hidden: Number) -> Number:
    return 3 * hidden * (inputs + hidden + 2)


REQUANTIZE_BYTES = 8  # per filter: multiplier and shift, int32 each


def constant_bytes(net: NetDims) -> Number:
    """Flash for the constants of the int8 network: weights and indices of one byte, or of one bit, biases of four,
    requantisation.

    An estimate before the network exists: tables of activations and the structures of parameters are not in it.
    """
    t = net.tail
    if isinstance(t, ConvTailDims):
        wide = sum(c.present * c.filters_out for c in (*net.convs, *t.convs)) + t.classes
    else:
        biases = (_RECURRENT_TAILS[type(t)].biases + 4 * t.lstm_layers) * t.hidden
        wide = sum(c.present * c.filters_out for c in net.convs) + biases + t.classes
    convs = (*net.convs, *(t.convs if isinstance(t, ConvTailDims) else ()))
    indices = sum(c.lego.fragments * c.filters_out for c in convs if c.lego)
    return parameters(net) + (3 + REQUANTIZE_BYTES) * wide + indices - sum(_saved_by_bits(c) for c in convs if c.xnor)


def _saved_by_bits(c: ConvDims) -> Number:
    """Bytes, where 32 weights of a tap fill a word."""
    return c.filters_out * c.kernel_elements * (c.filters_in - 4 * -(-c.filters_in // 32))


@dataclass(frozen=True)
class _Formulas:
    macs: Callable[[RecurrentTailDims], list[Number]]
    parameters: Callable[[RecurrentTailDims], Number]  # without the classifier's
    biases: int  # for each hidden feature, those of LSTM layers apart


_RECURRENT_TAILS: dict[type[RecurrentTailDims], _Formulas] = {
    TinyHarTailDims: _Formulas(_tinyhar_tail, _tinyhar_parameters, 2),
    DeepConvLstmTailDims: _Formulas(_deepconvlstm_tail, _deepconvlstm_parameters, 0),
    AttendTailDims: _Formulas(_attend_tail, _attend_parameters, 12),
    FlatTailDims: _Formulas(lambda t: [t.hidden * t.classes], lambda t: 0, 0),
}
