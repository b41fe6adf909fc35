/* SPDX-License-Identifier: Apache-2.0
 *
 * The only rounding code in C; the twin of harembed/ir/fixedpoint.py. Semantics: TFLite's double-rounding
 * reference (gemmlowp), which TFLM computes.
 */
#ifndef HE_FIXEDPOINT_H
#define HE_FIXEDPOINT_H

#include <stdint.h>

static inline int32_t he_clamp(int32_t x, int32_t low, int32_t high)
{
    return x < low ? low : (x > high ? high : x);
}

/* round(a * b / 2^31), ties away from zero, saturating the one overflow (both INT32_MIN). */
static inline int32_t he_saturating_rounding_doubling_high_mul(int32_t a, int32_t b)
{
    if (a == INT32_MIN && b == INT32_MIN) {
        return INT32_MAX;
    }
    const int64_t product = (int64_t)a * (int64_t)b;
    const int64_t nudge = product >= 0 ? (INT64_C(1) << 30) : (1 - (INT64_C(1) << 30));
    /* Division truncates toward zero, a shift would not. */
    return (int32_t)((product + nudge) / (INT64_C(1) << 31));
}

/* round(x / 2^exponent), ties away from zero; exponent 0..31. */
static inline int32_t he_rounding_divide_by_pot(int32_t x, int32_t exponent)
{
    const int32_t mask = (int32_t)((UINT32_C(1) << exponent) - 1U);
    const int32_t remainder = x & mask;
    const int32_t threshold = (mask >> 1) + (x < 0 ? 1 : 0);
    return (x >> exponent) + (remainder > threshold ? 1 : 0);
}

/* x * multiplier / 2^31 * 2^shift; multiplier in [2^30, 2^31) or 0, shift in [-31, 30]. */
static inline int32_t he_multiply_by_quantized_multiplier(int32_t x, int32_t multiplier, int32_t shift)
{
    const int32_t left = shift > 0 ? shift : 0;
    const int32_t right = shift > 0 ? 0 : -shift;
    const int32_t shifted = (int32_t)((uint32_t)x << left);
    return he_rounding_divide_by_pot(he_saturating_rounding_doubling_high_mul(shifted, multiplier), right);
}

#endif
