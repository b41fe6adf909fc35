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
    """round(a * b / 2^31), ties away from zero; the one overflow (both INT32_MIN) saturates."""
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
