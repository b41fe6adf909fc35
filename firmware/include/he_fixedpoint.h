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

/* round(a * b / 2^31), ties towards +infinity; not for both INT32_MIN. gemmlowp nudges by 1 - 2^30 below zero and
 * truncates toward zero, which is the same. */
static inline int32_t he_rounding_doubling_high_mul(int32_t a, int32_t b)
{
    return (int32_t)(((int64_t)a * (int64_t)b + (INT64_C(1) << 30)) >> 31);
}

/* The same for all, saturating the one overflow. */
static inline int32_t he_saturating_rounding_doubling_high_mul(int32_t a, int32_t b)
{
    return a == INT32_MIN && b == INT32_MIN ? INT32_MAX : he_rounding_doubling_high_mul(a, b);
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
    return he_rounding_divide_by_pot(he_rounding_doubling_high_mul(shifted, multiplier), right);
}

/* x * 2^bits, clamped to int32. */
static inline int32_t he_saturating_left_shift(int32_t x, int32_t bits)
{
    const int32_t limit = INT32_MAX >> bits;
    if (x > limit) {
        return INT32_MAX;
    }
    return x < -limit - 1 ? INT32_MIN : (int32_t)((uint32_t)x << bits);
}

/* exp(a) in Q0.31 for a <= 0 in Q5.26. a is split into a multiple of 1/4 and a rest in [-1/4, 0): the rest goes
 * through the Taylor polynomial of degree 4 about -1/8, each bit of the multiple through one product by exp(-2^k). */
static inline int32_t he_exp_on_negative_values(int32_t a)
{
    static const int32_t exp_minus_pot[7] = { 1672461947, 1302514674, 790015084, 290630308, 39332535, 720401, 242 };
    const int32_t one_third = 715827883;
    const int32_t exp_minus_eighth = 1895147668;
    const int32_t quarter = INT32_C(1) << 24;
    if (a == 0) {
        return INT32_MAX;
    }
    const int32_t rest = (a & (quarter - 1)) - quarter;
    const int32_t x = rest * 32 + (INT32_C(1) << 28);
    const int32_t x2 = he_rounding_doubling_high_mul(x, x);
    const int32_t x3 = he_rounding_doubling_high_mul(x2, x);
    const int32_t x4 = he_rounding_doubling_high_mul(x2, x2);
    const int32_t cubic = he_rounding_doubling_high_mul(he_rounding_divide_by_pot(x4, 2) + x3, one_third);
    const int32_t tail = he_rounding_divide_by_pot(cubic + x2, 1);
    int32_t result = exp_minus_eighth + he_rounding_doubling_high_mul(exp_minus_eighth, x + tail);
    const uint32_t multiple = ((uint32_t)rest - (uint32_t)a) >> 24; /* of 1/4 */
    for (uint32_t k = 0; k < 7U; ++k) {
        if ((multiple >> k) & 1U) {
            result = he_rounding_doubling_high_mul(result, exp_minus_pot[k]);
        }
    }
    return result;
}

/* 1 / (1 + x) in Q0.31 for x in [0, 1] in Q0.31: three Newton-Raphson steps from 48/17 - 32/17 d, d = (1 + x) / 2. */
static inline int32_t he_one_over_one_plus_x(int32_t x)
{
    const int32_t half = (int32_t)(((uint32_t)x + (UINT32_C(1) << 31)) >> 1);
    int32_t estimate = 1515870810 + he_saturating_rounding_doubling_high_mul(half, -1010580540); /* Q2.29 */
    for (int32_t i = 0; i < 3; ++i) {
        const int32_t error = (INT32_C(1) << 29) - he_saturating_rounding_doubling_high_mul(half, estimate);
        estimate += he_saturating_left_shift(he_saturating_rounding_doubling_high_mul(estimate, error), 2);
    }
    return he_saturating_left_shift(estimate, 1);
}

/* sigmoid of x in Q3.12, result in Q0.15, from knots of sigmoid 1/24 apart: uint16 table [256] in Q0.16. */
static inline int16_t he_sigmoid_s16(int16_t x, const uint16_t *table)
{
    const int32_t scaled = x * 3;
    const int32_t magnitude = scaled < 0 ? -scaled : scaled;
    const int32_t index = magnitude >> 9;
    int32_t value = 0x7FFF << 10;
    if (index < 255) {
        value = (table[index] << 9) + (magnitude & 0x1FF) * (table[index + 1] - table[index]);
    }
    value = scaled >= 0 ? value + (1 << 9) : (1 << 25) - value + (1 << 9) - 1;
    return (int16_t)(value >> 10);
}

/* tanh as 2 sigmoid(2x) - 1 by the same table, result in Q0.15. x * multiplier / 2^shift, rounded half up, counts
 * units of 1/12288: multiplier 3 and shift 0 read Q3.12. */
static inline int16_t he_tanh_s16(int16_t x, int32_t multiplier, int32_t shift, const uint16_t *table)
{
    const int32_t half = shift > 0 ? INT32_C(1) << (shift - 1) : 0;
    const int32_t scaled = (x * multiplier + half) >> shift;
    const int32_t magnitude = scaled < 0 ? -scaled : scaled;
    const int32_t index = magnitude >> 8;
    int32_t value = 0xFFFF << 8;
    if (index < 255) {
        value = (table[index] << 8) + (magnitude & 0xFF) * (table[index + 1] - table[index]);
    }
    value = scaled >= 0 ? value - (1 << 23) + (1 << 7) : -value + (1 << 23) + (1 << 7) - 1;
    return (int16_t)(value >> 8);
}

#endif
