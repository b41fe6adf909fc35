"""Multiply-accumulates and parameters of a network before it exists (Zhou et al., eq. 11, without its square).

Plain arithmetic, like live_sets.py: integers and gradient-carrying tensors alike.
"""

from harembed.cost.dims import ConvDims, ConvTailDims, NetDims, Number, TinyHarTailDims


def layer_macs(net: NetDims) -> list[Number]:
    """MACs of every convolution of the first stage, then of the operators of the tail; 0 for an identity."""
    tail = _conv_tail(net.tail) if isinstance(net.tail, ConvTailDims) else _tinyhar_tail(net.tail)
    return [_conv(c) for c in net.convs] + [net.tail.present * m for m in tail]


def total_macs(net: NetDims) -> Number:
    return sum(layer_macs(net))


def _conv(c: ConvDims) -> Number:
    return c.present * c.rows_out * c.length_out * c.filters_out * c.filters_in * c.kernel_elements


def _conv_tail(t: ConvTailDims) -> list[Number]:
    return [*(_conv(c) for c in t.convs), t.features * t.classes]


def _tinyhar_tail(t: TinyHarTailDims) -> list[Number]:
    x = t.sensors * t.length * t.filters
    steps = t.length * t.hidden
    attention = [3 * x * t.filters, 2 * x * t.sensors]  # query, key, value; scores, weighted values
    recurrent = [x * t.hidden, 4 * steps * (t.hidden + t.hidden)]
    aggregation = [steps * t.hidden, 2 * steps]  # fc_1; fc_2, weighted sum
    return [*attention, *recurrent, *aggregation, t.hidden * t.classes]


def parameters(net: NetDims) -> Number:
    """Weights and biases after batch-norm folding."""
    count = sum(_conv_parameters(c) for c in net.convs)
    t = net.tail
    if isinstance(t, ConvTailDims):
        return count + sum(_conv_parameters(c) for c in t.convs) + t.classes * (t.features + 1)
    attention = 3 * t.filters * t.filters
    fusion = t.hidden * (t.sensors * t.filters + 1)
    lstm = 4 * t.hidden * (2 * t.hidden + 1)
    aggregation = t.hidden * (t.hidden + 1) + t.hidden + 1  # fc_1, fc_2, gamma
    return count + attention + fusion + lstm + aggregation + t.classes * (t.hidden + 1)


def _conv_parameters(c: ConvDims) -> Number:
    """Weights and one bias per filter."""
    return c.present * c.filters_out * (c.filters_in * c.kernel_elements + 1)


REQUANTIZE_BYTES = 8  # per filter: multiplier and shift, int32 each


def constant_bytes(net: NetDims) -> Number:
    """Flash for the constants of the int8 network: weights of one byte, biases of four, requantisation.

    An estimate before the network exists: tables of activations and the structures of parameters are not in it.
    """
    t = net.tail
    if isinstance(t, ConvTailDims):
        wide = sum(c.present * c.filters_out for c in (*net.convs, *t.convs)) + t.classes
    else:
        wide = sum(c.present * c.filters_out for c in net.convs) + 6 * t.hidden + t.classes
    return parameters(net) + (3 + REQUANTIZE_BYTES) * wide
