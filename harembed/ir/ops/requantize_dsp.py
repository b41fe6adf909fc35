"""How the DSP kernels turn sums into int8: the form, and the four words of each output channel.

Twin of firmware/include/he_requantize_dsp.h. With y = sum * multiplier / 2^31, TFLite rounds twice: Y = floor(y +
1/2), then Y / 2^right to an integer, ties away from zero. A tie is Y = T, T an odd multiple of 2^(right - 1): for
sum >= 0 the result steps up at Y >= T, that is y >= T - 1/2, for sum < 0 at Y > T, that is y >= T + 1/2.

Let the sum be shifted left by s = d + 1 >= 2 bits first. SMMLA then computes Z = floor(2^d y), and as T and 2^d / 2
are integers, y >= T - 1/2 exactly if Z >= 2^d T - 2^(d - 1). So (Z + 2^(R - 1) + 2^(d - 1)) >> R with R = right + d
is the doubly rounded result for sum >= 0, and for sum < 0 it is that with 2^d less. For right <= 0 there is one
rounding only, floor(2^-right y + 1/2), which is (Z + 2^(R - 1)) >> R for all sums. The zero_point is added before the
shift. Either one R serves all channels of a layer, as an immediate of SSAT, which clamps as well, and d and s belong
to the channel; or all channels have one s, and R belongs to the channel, which takes an instruction more unless it
spares the shift of the sums: joined weights (dot_dsp.py) make them 2^8 times as large.

All this needs that nothing overflows, which is checked for the sums that the weights of the channel can reach.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from harembed.ir.fixedpoint import requantize

UPWARD, AWAY, TWICE = range(3)  # HE_UPWARD, HE_AWAY, HE_TWICE
LEAST_SUM_SHIFT = 2
WEIGHT_SHIFT = 8  # any int8 weight times 2^8 fits int16
JOINED_SHIFT = 8  # joined weights make 2^8 times the sum
_NO_BOUND = 2**62 - 1
_TRIED = 64  # multipliers to either side of the nearest
_NEAR = 3  # sums around the real-valued one at which a value is reached
MAX_RIGHT_SHIFT = 22  # 128 * 2^22 and the halves stay within int32


@dataclass(frozen=True)
class RequantizeS8:
    """Field names as in he_requantize_s8."""

    form: int
    shifted: int
    sum_shift: int
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
    fine : [O] int64          what the start of a joined sum has on top, once it is shifted; None is nothing
    """

    requantize: RequantizeS8
    weights: np.ndarray
    words: np.ndarray
    fine: np.ndarray | None = None


def reach(weights: np.ndarray, bias: np.ndarray, zero_point: int,
          inputs: tuple[int, int] = (-128, 127)) -> tuple[np.ndarray, np.ndarray]:
    """Least and largest sum of each output channel over all inputs, taps outside counting as 0; int64 [O]."""
    w = weights.astype(np.int64)
    low, high = inputs[0] - zero_point, inputs[1] - zero_point
    positive, negative = np.maximum(w, 0).sum(axis=1), np.minimum(w, 0).sum(axis=1)
    return bias + positive * low + negative * high, bias + positive * high + negative * low


@dataclass(frozen=True, eq=False)
class _Layer:
    """What decides how the sums of a layer become int8; arrays are [O]."""

    weights: np.ndarray  # [O, K] int64, zero where a channel is settled
    start: np.ndarray  # int64: of the sums, input zero_point folded in
    low: np.ndarray  # int64: the least sum
    high: np.ndarray
    multiplier: np.ndarray  # int64
    right: np.ndarray  # int64: TFLite's shift, positive to the right
    settled: np.ndarray  # bool
    result: np.ndarray  # int64: of settled channels
    zero_point: int
    act_min: int
    act_max: int

    @property
    def largest(self) -> np.ndarray:
        return np.maximum(np.abs(self.low), np.abs(self.high))

    def form(self) -> int:
        """UPWARD or AWAY, or TWICE where negative values would need both."""
        if self.act_min >= self.zero_point or (self.low >= 0)[~self.settled].all():
            return UPWARD
        return AWAY if (self.right >= 1)[~self.settled].all() else TWICE


def requantize_channels(weights: np.ndarray, bias: np.ndarray | None, input_zero_point: int, multiplier: np.ndarray,
                        shift: np.ndarray, output_zero_point: int, act_min: int, act_max: int,
                        shift_weights: bool, inputs: tuple[int, int] = (-128, 127)) -> Channels:
    """Choose the quickest form that is equal to the definition for every reachable sum.

    Parameters
    ----------
    weights : [O, K] int8
    bias : [O] int32
    multiplier, shift : [O] int32    Q0.31; a positive shift is to the left
    shift_weights : bool             fold the shift of the sums into the weights where those then fit int16
    inputs : the least and the largest
    """
    layer = _layer(weights, bias, input_zero_point, multiplier, shift, output_zero_point, act_min, act_max, inputs)
    found = _one_right_shift(layer, shift_weights)
    if shift_weights and (found is None or not found.requantize.shifted):
        room = 31 - int(layer.largest[~layer.settled].max(initial=1)).bit_length()
        found = _fitted(layer, min(WEIGHT_SHIFT, room), True) or found
    found = found or _one_sum_shift(layer, LEAST_SUM_SHIFT, shift_weights)
    if found is not None:
        return found
    return defined_channels(weights, bias, input_zero_point, multiplier, shift, output_zero_point, act_min, act_max)


def defined_channels(weights: np.ndarray, bias: np.ndarray | None, input_zero_point: int, multiplier: np.ndarray,
                     shift: np.ndarray, output_zero_point: int, act_min: int, act_max: int) -> Channels:
    """Requantisation by its definition, which holds for any sum."""
    w = weights.astype(np.int64)
    start = (0 if bias is None else bias.astype(np.int64)) - input_zero_point * w.sum(axis=1)
    return Channels(RequantizeS8(TWICE, 0, 0, 1, output_zero_point, act_min, act_max), w.astype(np.int32),
                    _words(start, multiplier, np.zeros(len(w)), shift))


def joined_channels(weights: np.ndarray, bias: np.ndarray | None, input_zero_point: int, multiplier: np.ndarray,
                    shift: np.ndarray, output_zero_point: int, act_min: int, act_max: int,
                    prefer_alike: bool = False) -> Channels | None:
    """The same for joined weights, whose sums come 2^JOINED_SHIFT times as large; None if these cannot be.

    `words` and `weights` are those of the plain sums.

    prefer_alike: where it can be, only start and multiplier differ between channels
    """
    if weights.min(initial=0) == -128:
        return None
    layer = _layer(weights, bias, input_zero_point, multiplier, shift, output_zero_point, act_min, act_max)
    found = _fitted(layer, JOINED_SHIFT, False, alike=True) if prefer_alike else None
    found = found or _fitted(layer, JOINED_SHIFT, False) or _one_sum_shift(layer, JOINED_SHIFT, False)
    return None if found is None else replace(found, requantize=replace(found.requantize, shifted=1))


def sign_channels(weights: np.ndarray, bias: np.ndarray | None, multiplier: np.ndarray, shift: np.ndarray,
                  output_zero_point: int, act_min: int, act_max: int) -> Channels:
    """The same for sums of signs by signs; sums come shifted, by one shift for all channels where that can be."""
    scales = (weights, bias, 0, multiplier, shift, output_zero_point, act_min, act_max)
    layer = _layer(*scales, (-1, 1))
    room = 31 - int(layer.largest[~layer.settled].max(initial=1) + 1).bit_length()
    for alike in (True, False):
        if (found := _fitted(layer, min(WEIGHT_SHIFT, room), True, alike)) is not None:
            return found
    return requantize_channels(*scales, shift_weights=True, inputs=(-1, 1))


def are_alike(channels: Channels) -> bool:
    """Whether start and multiplier are all that channels differ in."""
    r = channels.requantize
    same = bool((channels.words[:, 2] == channels.words[0, 2]).all())
    return r.form == UPWARD and r.shifted == 1 and r.sum_shift == 0 and same


def _layer(weights: np.ndarray, bias: np.ndarray | None, input_zero_point: int, multiplier: np.ndarray,
           shift: np.ndarray, zero_point: int, act_min: int, act_max: int,
           inputs: tuple[int, int] = (-128, 127)) -> _Layer:
    w = weights.astype(np.int64)
    start = np.zeros(len(w), np.int64) if bias is None else bias.astype(np.int64)
    low, high = reach(w, start, input_zero_point, inputs)
    settled, result = _settled(low, high, multiplier, shift, zero_point, act_min, act_max)
    w[settled], start[settled] = 0, 0
    return _Layer(w, start - input_zero_point * w.sum(axis=1), low, high, np.where(settled, 0, multiplier),
                  -shift.astype(np.int64), settled, result.astype(np.int64), zero_point, act_min, act_max)


def _one_right_shift(layer: _Layer, shift_weights: bool) -> Channels | None:
    """R for all channels, s for each; None if something may leave int32 or one s would be too large."""
    live = ~layer.settled
    right_shift = max(1, int(layer.right[live].max(initial=0)) + 1)
    d = np.where(live, right_shift - layer.right, 1)
    s, form = d + 1, layer.form()
    if form == TWICE or right_shift > MAX_RIGHT_SHIFT or s.max() > 31 or not _fits(layer, s, right_shift)[live].all():
        return None
    rounding = np.where(live, _rounding(layer, d, right_shift), layer.result << right_shift)
    w, start = layer.weights, layer.start
    shifted = shift_weights and bool((np.abs(w).max(axis=1) << s <= 2**15 - 1).all())
    if shifted:
        w, start = w << s[:, np.newaxis], start << s
    requantize = RequantizeS8(form, int(shifted), 0, right_shift, layer.zero_point, layer.act_min, layer.act_max)
    return Channels(requantize, w.astype(np.int32), _words(start, layer.multiplier, rounding, s))


def _one_sum_shift(layer: _Layer, s: int, shift_weights: bool) -> Channels | None:
    """s for all channels, R for each."""
    live = ~layer.settled
    d = s - 1
    right_shift = np.where(live, layer.right + d, 1)
    form = layer.form()
    if form == TWICE or right_shift.min() < 1 or right_shift.max() > MAX_RIGHT_SHIFT \
            or not _fits(layer, np.full(len(live), s), right_shift)[live].all():
        return None
    rounding = np.where(live, _rounding(layer, d, right_shift), layer.result << right_shift)
    w, start = layer.weights, layer.start
    if shift_weights:
        w, start = w << s, start << s
    requantize = RequantizeS8(form, int(shift_weights), s, 0, layer.zero_point, layer.act_min, layer.act_max)
    return Channels(requantize, w.astype(np.int32), _words(start, layer.multiplier, rounding, right_shift))


def _fitted(layer: _Layer, s: int, shift_weights: bool, alike: bool = False) -> Channels | None:
    """One s and one R for all channels: multipliers and roundings that step up at the same sums as the definition.

    Let m fit the common R = min(right) + s - 1. (floor((2^s sum + e) m / 2^32) + r) >> R reaches t from the sum S
    on exactly if (2^s (S - 1) + e) m < 2^32 (2^R t - r) <= (2^s S + e) m. For each t that is an interval of
    2^32 r + e m; what lies in all of them is equal for every sum that the channel can reach. So a multiplier may
    lack a few bits of the definition's: the sums are whole numbers, which leaves room.

    alike: r is the middle for all channels, and e alone fits.
    """
    live = ~layer.settled
    if s < 1 or not live.any():
        return None
    right_shift = int(layer.right[live].min()) + s - 1
    first = _first_sums(layer, values := np.arange(layer.act_min + 1, layer.act_max + 1))
    if not 1 <= right_shift <= MAX_RIGHT_SHIFT or first is None or layer.largest[live].max() >= 2 ** (31 - s) - 1:
        return None
    middle = (layer.zero_point << right_shift) + (1 << right_shift >> 1)
    multiplier = np.zeros(len(live), np.int64)
    fine, rounding = multiplier.copy(), layer.result << right_shift
    if alike:
        rounding = np.full(len(live), middle)
        if (np.clip(middle >> right_shift, layer.act_min, layer.act_max) != layer.result[layer.settled]).any():
            return None
    for o in np.flatnonzero(live):
        nearest = round(int(layer.multiplier[o]) / 2 ** (int(layer.right[o]) + s - 1 - right_shift))
        bounds = first[o], values << right_shift, int(layer.low[o]), int(layer.high[o])
        for m in sorted(range(max(nearest - _TRIED, 0), nearest + _TRIED + 1), key=lambda m: abs(m - nearest)):
            if (found := _rounding_within(m, s, *bounds, middle if alike else None)) is not None:
                multiplier[o], (fine[o], rounding[o]) = m, found
                break
        else:
            return None
    z_largest = ((layer.largest + 1 << s) * multiplier >> 32) + 1
    if (z_largest + np.abs(rounding) >= 2**31).any():
        return None
    w, start = layer.weights, layer.start
    if shift_weights:
        w, start = w << s, (start << s) + fine
    requantize = RequantizeS8(UPWARD, int(shift_weights), 0, right_shift, layer.zero_point, layer.act_min,
                              layer.act_max)
    return Channels(requantize, w.astype(np.int32), _words(start, multiplier, rounding, np.full(len(live), s)), fine)


def _rounding_within(m: int, s: int, first: np.ndarray, targets: np.ndarray, low: int, high: int,
                     given: int | None = None) -> tuple[int, int] | None:
    """(e, r) with which each value is reached from its first sum on, e as small as it can be; None if there is none.

    A value that even the least sum exceeds, or that the largest does not reach, binds at that end alone.
    """
    if m >= 2**31:
        return None
    up, down = first <= high, first > low
    least = ((targets << 32) - (np.maximum(first, low) << s) * m)[up].max(initial=-_NO_BOUND)
    most = ((targets << 32) - (np.minimum(first - 1, high) << s) * m)[down].min(initial=_NO_BOUND) - 1
    e = np.arange(1 << s) * m
    r = -((e - least) >> 32) if given is None else np.full(len(e), given)  # rounded up
    fits = ((r << 32) + e >= least) & ((r << 32) + e <= most)
    at = int(fits.argmax())
    return (at, int(r[at])) if fits[at] else None


def _first_sums(layer: _Layer, values: np.ndarray) -> np.ndarray | None:
    """[O, values] int64: the least sum that becomes each value or more, whether the channel can reach it or not. Of
    settled channels, anything. None if it lies where it is not expected."""
    m = np.where(layer.settled, 1, layer.multiplier)[:, np.newaxis]
    right = np.where(layer.settled, 0, layer.right)[:, np.newaxis]
    near = np.ceil((values - layer.zero_point - 0.5) * 2.0 ** (31 + right) / m)
    if np.abs(near).max(initial=0) >= 2**62:
        return None
    guess = near.astype(np.int64) - _NEAR
    below = np.zeros(guess.shape, np.int64)
    for step in range(2 * _NEAR + 1):
        below += _defined(layer, guess + step, m, right) < values
    if ((below == 0) | (below == 2 * _NEAR + 1))[~layer.settled].any():
        return None
    return guess + below


def _defined(layer: _Layer, sums: np.ndarray, m: np.ndarray, right: np.ndarray) -> np.ndarray:
    """What TFLite makes of sums, before it clamps them; nothing wraps."""
    y = (sums << np.maximum(-right, 0)) * m
    once = (y + (1 << 30)) >> 31
    half = np.where(right > 0, 1 << np.maximum(right - 1, 0), 0)
    return np.sign(once) * ((np.abs(once) + half) >> np.maximum(right, 0)) + layer.zero_point


def _rounding(layer: _Layer, d: Any, right_shift: Any) -> np.ndarray:
    """Both halves and the zero_point, in units of 2^-right_shift."""
    first_half = np.where(layer.right >= 1, 1 << np.maximum(d - 1, 0), 0)
    return (1 << (right_shift - 1)) + first_half + (layer.zero_point << right_shift)


def _fits(layer: _Layer, s: np.ndarray, right_shift: Any) -> np.ndarray:
    """bool [O]: no sum leaves int32 on its way, s being what it is shifted by to the left."""
    largest = layer.largest
    small = largest < 2.0 ** (31 - s)
    z_largest = ((np.where(small, largest, 0) << s) * layer.multiplier >> 32) + 1
    return small & (z_largest + np.abs(_rounding(layer, s - 1, right_shift)) + (1 << (s - 1)) < 2**31)


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
