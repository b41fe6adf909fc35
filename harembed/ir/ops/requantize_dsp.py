"""How the DSP kernels turn sums into int8: the form, and the four words of each output channel.

Twin of firmware/include/he_requantize_dsp.h. With y = sum * multiplier / 2^31, TFLite rounds twice: Y = floor(y +
1/2), then Y / 2^right to an integer, ties away from zero. A tie is Y = T, T an odd multiple of 2^(right - 1): for
sum >= 0 the result steps up at Y >= T, that is y >= T - 1/2, for sum < 0 at Y > T, that is y >= T + 1/2.

Let the sum be shifted left by s = d + 1 >= 2 bits first. SMMLA then computes Z = floor(2^d y), and as T and 2^d / 2
are integers, y >= T - 1/2 exactly if Z >= 2^d T - 2^(d - 1). So (Z + 2^(R - 1) + 2^(d - 1)) >> R with R = right + d
is the doubly rounded result for sum >= 0, and for sum < 0 it is that with 2^d less. For right <= 0 there is one
rounding only, floor(2^-right y + 1/2), which is (Z + 2^(R - 1)) >> R for all sums. The zero_point is added before the
shift. One R serves all channels of a layer, as an immediate of SSAT, which clamps as well; d and s belong to the
channel.

All this needs that nothing overflows, which is checked for the sums that the weights of the channel can reach.
"""

from dataclasses import dataclass

import numpy as np

from harembed.ir.fixedpoint import requantize

UPWARD, AWAY, TWICE = range(3)  # HE_UPWARD, HE_AWAY, HE_TWICE
MAX_RIGHT_SHIFT = 22  # 128 * 2^22 and the halves stay within int32


@dataclass(frozen=True)
class RequantizeS8:
    """Field names as in he_requantize_s8."""

    form: int
    shifted: int
    right_shift: int
    zero_point: int
    act_min: int
    act_max: int


@dataclass(frozen=True)
class ScaleS8:
    """Field names as in he_scale_s8."""

    multiplier: int
    rounding: int
    left_shift: int
    right_shift: int
    zero_point: int
    act_min: int
    act_max: int


def scale_s8(multiplier: int, shift: int, largest: int, zero_point: int, act_min: int = -128, act_max: int = 127,
             doubled: bool = False) -> ScaleS8 | None:
    """One multiplier for a whole tensor; None if something leaves int32.

    A doubled sum makes SMMULR compute Y = floor(sum * multiplier / 2^31 + 1/2), TFLite's first rounding; the second
    is Y plus a half, one unit less if the sum is negative, shifted.

    Parameters
    ----------
    shift : int        positive: to the left
    largest : int      magnitude of a sum, not doubled
    doubled : bool     sums come doubled already; else the left shift doubles them
    """
    left, right = max(shift, 0), max(-shift, 0)
    half = 1 << right >> 1
    product = ((largest << left) * multiplier >> 31) + 1
    if largest << (left + 1) >= 2**31 or product + half + 1 >= 2**31:
        return None
    room = right > 0 and product + half + 1 + (abs(zero_point) << right) < 2**31
    return ScaleS8(multiplier, half + (zero_point << right) if room else half, left if doubled else left + 1, right,
                   0 if room else zero_point, act_min, act_max)


@dataclass(frozen=True, eq=False)
class Channels:
    """
    Attributes
    ----------
    requantize : RequantizeS8
    weights : [O, K] int32    shifted if requantize.shifted; then they fit int16, else int8
    words : [O, 4] int32      the fields of he_channel_s8
    """

    requantize: RequantizeS8
    weights: np.ndarray
    words: np.ndarray


def reach(weights: np.ndarray, bias: np.ndarray, zero_point: int) -> tuple[np.ndarray, np.ndarray]:
    """Least and largest sum of each output channel over all int8 inputs, taps outside counting as 0; int64 [O]."""
    w = weights.astype(np.int64)
    low, high = -128 - zero_point, 127 - zero_point
    positive, negative = np.maximum(w, 0).sum(axis=1), np.minimum(w, 0).sum(axis=1)
    return bias + positive * low + negative * high, bias + positive * high + negative * low


def requantize_channels(weights: np.ndarray, bias: np.ndarray | None, input_zero_point: int, multiplier: np.ndarray,
                        shift: np.ndarray, output_zero_point: int, act_min: int, act_max: int,
                        shift_weights: bool) -> Channels:
    """Choose the quickest form that is equal to the definition for every reachable sum.

    Parameters
    ----------
    weights : [O, K] int8
    bias : [O] int32
    multiplier, shift : [O] int32    Q0.31; a positive shift is to the left
    shift_weights : bool             fold the shift of the sums into the weights where those then fit int16
    """
    w = weights.astype(np.int64)
    bias64 = np.zeros(len(w), np.int64) if bias is None else bias.astype(np.int64)
    low, high = reach(w, bias64, input_zero_point)
    largest = np.maximum(np.abs(low), np.abs(high))
    settled, result = _settled(low, high, multiplier, shift, output_zero_point, act_min, act_max)
    right = -shift.astype(np.int64)
    right_shift = max(1, int(right[~settled].max(initial=0)) + 1)
    right = np.where(settled, right_shift - 1, right)
    form = TWICE
    d = right_shift - right
    s = d + 1
    if right_shift <= MAX_RIGHT_SHIFT and s.max() <= 31 and (largest * (1 << s) < 2**31)[~settled].all():
        first_half = np.where(right >= 1, 1 << (d - 1), 0)
        rounding = (1 << (right_shift - 1)) + first_half + (output_zero_point << right_shift)
        z_largest = ((largest << s) * multiplier.astype(np.int64) >> 32) + 1
        if (z_largest + np.abs(rounding) + (1 << d) < 2**31)[~settled].all():
            if act_min >= output_zero_point or (low >= 0)[~settled].all():
                form = UPWARD
            elif (right >= 1).all():
                form = AWAY
    if form == TWICE:
        return Channels(RequantizeS8(TWICE, 0, 1, output_zero_point, act_min, act_max), w.astype(np.int32),
                        _words(bias64 - input_zero_point * w.sum(axis=1), multiplier, np.zeros(len(w)), shift))
    w[settled], bias64[settled] = 0, 0
    start = bias64 - input_zero_point * w.sum(axis=1)
    shifted = shift_weights and bool((np.abs(w).max(axis=1) << s <= 2**15 - 1).all())
    if shifted:
        w, start = w << s[:, np.newaxis], start << s
    return Channels(RequantizeS8(form, int(shifted), right_shift, output_zero_point, act_min, act_max),
                    w.astype(np.int32), _words(start, np.where(settled, 0, multiplier),
                                               np.where(settled, result << right_shift, rounding), s))


def _settled(low: np.ndarray, high: np.ndarray, multiplier: np.ndarray, shift: np.ndarray, zero_point: int,
             act_min: int, act_max: int) -> tuple[np.ndarray, np.ndarray]:
    """Channels that yield the same whatever the input (bool [O]), and what they yield.

    Training leaves many such: weights of zero, or a bias that saturates. Their multipliers may be far from the
    others', so they must not decide the form of the layer; sum 0 with multiplier 0 serves them.
    """
    ends = [requantize(sums, multiplier, shift, zero_point, act_min, act_max, np.int64) for sums in (low, high)]
    # Requantisation never falls as the sum grows, as long as nothing wraps.
    monotonic = np.maximum(np.abs(low), np.abs(high)) << np.maximum(shift, 0).astype(np.int64) < 2**31
    return (multiplier == 0) | ((ends[0] == ends[1]) & (monotonic | (low == high))), ends[1]


def _words(bias: np.ndarray, multiplier: np.ndarray, rounding: np.ndarray, shift: np.ndarray) -> np.ndarray:
    # The bias may wrap, as the sums that start from it do.
    columns = [c.astype(np.int64) & 0xFFFFFFFF for c in (bias, multiplier, rounding, shift)]
    return np.stack(columns, axis=1).astype(np.uint32).view(np.int32)
