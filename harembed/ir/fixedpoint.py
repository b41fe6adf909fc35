"""TFLite's fixed-point arithmetic: the only rounding code in Python, twin of firmware/include/he_fixedpoint.h.

Semantics: the double-rounding reference kernels of TFLite (gemmlowp), which TFLM computes. All functions are
vectorised over NumPy integers; they compute in int64 and wrap to int32 exactly where the C code does.
"""

import math

import numpy as np

INT32_MIN = -(2**31)
INT32_MAX = 2**31 - 1


def quantize_multiplier(real: float) -> tuple[int, int]:
    """Split a positive real factor into (multiplier Q0.31, shift): real = multiplier / 2^31 * 2^shift.

    As TFLite's QuantizeMultiplier: the mantissa is rounded half away from zero; factors under 2^-32 become 0.
    """
    if real == 0.0:
        return 0, 0
    mantissa, shift = math.frexp(real)
    multiplier = math.floor(abs(mantissa) * 2**31 + 0.5) * (1 if mantissa > 0 else -1)
    if multiplier == 2**31:
        multiplier //= 2
        shift += 1
    if shift < -31:
        return 0, 0
    return multiplier, shift


def saturating_rounding_doubling_high_mul(a, b):
    """round(a * b / 2^31), ties towards +infinity; the one overflow (both INT32_MIN) saturates."""
    a = np.asarray(a, np.int64)
    b = np.asarray(b, np.int64)
    product = a * b
    nudged = product + np.where(product >= 0, np.int64(1 << 30), np.int64(1 - (1 << 30)))
    # C's division truncates toward zero; >> would floor.
    result = np.where(nudged >= 0, nudged >> 31, -((-nudged) >> 31))
    return np.where((a == INT32_MIN) & (b == INT32_MIN), np.int64(INT32_MAX), result)


def rounding_divide_by_pot(x, exponent):
    """round(x / 2^exponent), ties away from zero; exponent 0..31."""
    x = np.asarray(x, np.int64)
    exponent = np.asarray(exponent, np.int64)
    mask = (np.int64(1) << exponent) - 1
    threshold = (mask >> 1) + (x < 0)
    return (x >> exponent) + ((x & mask) > threshold)


def wrap_int32(x):
    """Reduce to two's complement 32 bit, as unsigned arithmetic in C does."""
    return ((np.asarray(x, np.int64) + 2**31) & 0xFFFFFFFF) - 2**31


def multiply_by_quantized_multiplier(x, multiplier, shift):
    """x * multiplier / 2^31 * 2^shift, rounded twice (TFLite's MultiplyByQuantizedMultiplier).

    Parameters
    ----------
    x : int or array of int32 values
    multiplier, shift : int or array that broadcasts against x    Q0.31; shift > 0 is to the left

    Returns
    -------
    int64 array of int32 values
    """
    shift = np.asarray(shift, np.int64)
    left = np.maximum(shift, 0)
    right = np.maximum(-shift, 0)
    shifted = wrap_int32(np.asarray(x, np.int64) << left)
    return rounding_divide_by_pot(saturating_rounding_doubling_high_mul(shifted, multiplier), right)


def requantize(acc, multiplier, shift, zero_point: int, act_min: int, act_max: int, dtype=np.int8):
    """Scale an int32 accumulator into an output tensor: the end of every convolution-like kernel."""
    scaled = multiply_by_quantized_multiplier(acc, multiplier, shift) + zero_point
    return np.clip(scaled, act_min, act_max).astype(dtype)


def saturating_left_shift(x, bits: int):
    """x * 2^bits, clamped to int32 (gemmlowp's SaturatingRoundingMultiplyByPOT for a positive exponent)."""
    return np.clip(np.asarray(x, np.int64) << bits, INT32_MIN, INT32_MAX)


_ONE_THIRD = 715827883  # Q0.31
_EXP_MINUS_EIGHTH = 1895147668  # exp(-1/8), Q0.31
_EXP_MINUS_POT = (  # (k, exp(-2^k) in Q0.31)
    (-2, 1672461947), (-1, 1302514674), (0, 790015084), (1, 290630308), (2, 39332535), (3, 720401), (4, 242),
)


def exp_on_negative_values(a, integer_bits: int):
    """exp(a) in Q0.31 for a <= 0 in Q(integer_bits).(31 - integer_bits), 0 <= integer_bits <= 5.

    As gemmlowp: a is split into a multiple of 1/4 and a rest in [-1/4, 0). The rest goes through the Taylor
    polynomial of degree 4 about -1/8, each bit of the multiple through one product by exp(-2^k).
    """
    a = np.asarray(a, np.int64)
    mul = saturating_rounding_doubling_high_mul
    fractional_bits = 31 - integer_bits
    quarter = np.int64(1) << (fractional_bits - 2)
    rest = (a & (quarter - 1)) - quarter
    x = (rest << integer_bits) + (1 << 28)
    x2 = mul(x, x)
    x3 = mul(x2, x)
    x4 = mul(x2, x2)
    tail = rounding_divide_by_pot(mul(rounding_divide_by_pot(x4, 2) + x3, _ONE_THIRD) + x2, 1)
    result = _EXP_MINUS_EIGHTH + mul(_EXP_MINUS_EIGHTH, x + tail)
    multiple = rest - a
    for exponent, factor in _EXP_MINUS_POT:
        if exponent < integer_bits:
            bit = (multiple >> (fractional_bits + exponent)) & 1
            result = np.where(bit == 1, mul(result, factor), result)
    return np.where(a == 0, np.int64(INT32_MAX), result)


def _reciprocal_of_half_sum(x):
    """2 / (1 + x) in Q2.29 for x in [0, 1] in Q0.31: three Newton-Raphson steps from 48/17 - 32/17 d (gemmlowp)."""
    mul = saturating_rounding_doubling_high_mul
    half = (np.asarray(x, np.int64) + INT32_MAX + 1) >> 1
    estimate = 1515870810 + mul(half, -1010580540)
    for _ in range(3):
        estimate = estimate + saturating_left_shift(mul(estimate, (1 << 29) - mul(half, estimate)), 2)
    return estimate


def one_over_one_plus_x(x):
    """1 / (1 + x) in Q0.31 for x in [0, 1] in Q0.31."""
    return saturating_left_shift(_reciprocal_of_half_sum(x), 1)


def logistic(a, integer_bits: int):
    """1 / (1 + exp(-a)) in Q0.31 for a in Q(integer_bits).(31 - integer_bits), as gemmlowp."""
    a = np.asarray(a, np.int64)
    positive = one_over_one_plus_x(exp_on_negative_values(-np.abs(a), integer_bits))
    return np.where(a == 0, np.int64(1 << 30), np.where(a > 0, positive, INT32_MAX - positive))


def tanh(a, integer_bits: int):
    """tanh(a) in Q0.31 for a in Q(integer_bits).(31 - integer_bits), as gemmlowp: (1 - e) / (1 + e), e = exp(-2|a|).

    The doubling moves the binary point: the same integer is read with one integer bit more.
    """
    a = np.asarray(a, np.int64)
    e = exp_on_negative_values(-np.abs(a), integer_bits + 1)
    positive = saturating_left_shift(_reciprocal_of_half_sum(e) - (1 << 29), 2)
    return np.where(a == 0, np.int64(0), np.where(a > 0, positive, -positive))


def sigmoid_table() -> np.ndarray:
    """The 256 knots, uint16 in Q0.16, from which TFLite interpolates sigmoid and tanh of int16.

    Knot i stands for x = i/24. It is not sigmoid(x) but lies h^2 sigmoid''(x) / 16 above the concave curve,
    h = 1/24: this halves the largest error of the interpolation. The last knot is saturation.
    """
    s = 1.0 / (1.0 + np.exp(-np.arange(256) / 24.0))
    knots = np.floor(65536.0 * (s - s * (1.0 - s) * (1.0 - 2.0 * s) / (16.0 * 24.0**2)) + 0.5)
    knots[255] = 65535.0
    return knots.astype(np.uint16)


_SIGMOID_TABLE = sigmoid_table().astype(np.int64)


def _interpolate(magnitude, bits: int, saturated: int):
    """Table at magnitude / 2^bits, linear between knots, in Q0.(16 + bits); `saturated` beyond the table."""
    index = magnitude >> bits
    low = np.minimum(index, 254)
    fraction = magnitude & ((1 << bits) - 1)
    value = (_SIGMOID_TABLE[low] << bits) + fraction * (_SIGMOID_TABLE[low + 1] - _SIGMOID_TABLE[low])
    return np.where(index >= 255, saturated, value)


def sigmoid_s16(x):
    """sigmoid of int16 in Q3.12, int16 in Q0.15, by TFLite's table."""
    scaled = np.asarray(x, np.int64) * 3  # knots are 1/24 apart: 512 units of 1/(3 * 4096)
    value = _interpolate(np.abs(scaled), 9, 0x7FFF << 10)
    return (np.where(scaled >= 0, value + (1 << 9), (1 << 25) - value + (1 << 9) - 1) >> 10).astype(np.int16)


def tanh_s16(x, multiplier: int, shift: int):
    """tanh of int16, int16 in Q0.15, as 2 sigmoid(2x) - 1 by the same table.

    x * multiplier / 2^shift, rounded half up, counts units of 1/12288: multiplier 3 and shift 0 read Q3.12.
    """
    half = 1 << (shift - 1) if shift > 0 else 0
    scaled = (np.asarray(x, np.int64) * multiplier + half) >> shift
    value = _interpolate(np.abs(scaled), 8, 0xFFFF << 8)
    signed = np.where(scaled >= 0, value - (1 << 23) + (1 << 7), -value + (1 << 23) + (1 << 7) - 1)
    return (signed >> 8).astype(np.int16)
