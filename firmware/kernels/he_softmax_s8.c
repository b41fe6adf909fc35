/* SPDX-License-Identifier: Apache-2.0
 *
 * Softmax, int8, in TFLite's fixed-point arithmetic: the readable portable form. Exponentials are computed twice
 * rather than kept: they would need 4 bytes of scratch per element.
 */
#include "he_softmax_s8.h"

#include "he_fixedpoint.h"

enum { SUM_INTEGER_BITS = 12 };

/* exp of a difference to the maximum, Q0.31. */
static int32_t exponential(const he_softmax_s8_params *p, int32_t diff)
{
    const int32_t scaled = he_saturating_rounding_doubling_high_mul((int32_t)((uint32_t)diff << p->shift),
                                                                    p->multiplier);
    return he_exp_on_negative_values(scaled);
}

static void softmax_row(const he_softmax_s8_params *p, const int8_t *input, int8_t *output)
{
    int32_t max = input[0];
    for (int32_t i = 1; i < p->depth; ++i) {
        max = input[i] > max ? input[i] : max;
    }
    int32_t sum = 0; /* Q12.19 */
    for (int32_t i = 0; i < p->depth; ++i) {
        const int32_t diff = input[i] - max;
        if (diff >= p->diff_min) {
            sum += he_rounding_divide_by_pot(exponential(p, diff), SUM_INTEGER_BITS);
        }
    }
    /* sum = (1 + x) * 2^(SUM_INTEGER_BITS - zeros), x in [0, 1): drop the leading one and keep x in Q0.31. */
    const int32_t zeros = (int32_t)__builtin_clz((uint32_t)sum);
    const int32_t x = (int32_t)(((uint32_t)sum << zeros) & UINT32_C(0x7FFFFFFF));
    const int32_t reciprocal = he_one_over_one_plus_x(x);
    const int32_t exponent = SUM_INTEGER_BITS - zeros + 31 - 8;
    for (int32_t i = 0; i < p->depth; ++i) {
        const int32_t diff = input[i] - max;
        if (diff >= p->diff_min) {
            const int32_t product = he_saturating_rounding_doubling_high_mul(reciprocal, exponential(p, diff));
            output[i] = (int8_t)he_clamp(he_rounding_divide_by_pot(product, exponent) - 128, -128, 127);
        } else {
            output[i] = -128;
        }
    }
}

void he_softmax_s8(const he_softmax_s8_params *params, const int8_t *input, int8_t *output)
{
    for (int32_t row = 0; row < params->rows; ++row) {
        softmax_row(params, input + row * params->depth, output + row * params->depth);
    }
}
