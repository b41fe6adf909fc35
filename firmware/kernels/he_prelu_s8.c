/* SPDX-License-Identifier: Apache-2.0
 *
 * ReLU with a slope below 0 that is a tensor, int8: the readable portable form.
 */
#include "he_prelu_s8.h"

#include "he_fixedpoint.h"

/* The value at one element. */
static int8_t bend(const he_prelu_s8_params *p, int8_t x, int8_t alpha)
{
    const int32_t centred = x - p->input_zero_point;
    int32_t q = p->output_zero_point;
    if (centred >= 0) {
        q += he_multiply_by_quantized_multiplier(centred, p->positive_multiplier, p->positive_shift);
    } else {
        q += he_multiply_by_quantized_multiplier(centred * (alpha - p->alpha_zero_point), p->negative_multiplier,
                                                 p->negative_shift);
    }
    return (int8_t)he_clamp(q, INT8_MIN, INT8_MAX);
}

void he_prelu_s8(const he_prelu_s8_params *params, const int8_t *input, const int8_t *alpha, int8_t *output)
{
    const he_prelu_s8_params *p = params;
    const int32_t *n = p->shape;
    const int32_t *s = p->alpha_stride;
    for (int32_t i = 0; i < n[0]; ++i) {
        for (int32_t j = 0; j < n[1]; ++j) {
            for (int32_t k = 0; k < n[2]; ++k) {
                for (int32_t l = 0; l < n[3]; ++l) {
                    const int8_t *a = alpha + i * s[0] + j * s[1] + k * s[2] + l * s[3];
                    for (int32_t m = 0; m < n[4]; ++m) {
                        *output++ = bend(p, *input++, a[m * s[4]]);
                    }
                }
            }
        }
    }
}
