/* SPDX-License-Identifier: Apache-2.0
 *
 * Sum or difference of two int8 tensors with broadcasting: the readable portable form.
 */
#include "he_add_s8.h"

#include "he_fixedpoint.h"

/* The value at one pair of elements. */
static int8_t combine(const he_add_s8_params *p, int8_t a, int8_t b)
{
    const int32_t a_scaled = he_multiply_by_quantized_multiplier((a - p->input1_zero_point) * (1 << p->left_shift),
                                                                 p->input1_multiplier, p->input1_shift);
    const int32_t b_scaled = he_multiply_by_quantized_multiplier((b - p->input2_zero_point) * (1 << p->left_shift),
                                                                 p->input2_multiplier, p->input2_shift);
    const int32_t q = p->output_zero_point
        + he_multiply_by_quantized_multiplier(a_scaled + p->input2_sign * b_scaled, p->output_multiplier, p->output_shift);
    return (int8_t)he_clamp(q, p->act_min, p->act_max);
}

void he_add_s8(const he_add_s8_params *params, const int8_t *input1, const int8_t *input2, int8_t *output)
{
    const he_add_s8_params *p = params;
    const int32_t *n = p->shape;
    const int32_t *s1 = p->stride1;
    const int32_t *s2 = p->stride2;
    for (int32_t i = 0; i < n[0]; ++i) {
        for (int32_t j = 0; j < n[1]; ++j) {
            for (int32_t k = 0; k < n[2]; ++k) {
                for (int32_t l = 0; l < n[3]; ++l) {
                    const int8_t *a = input1 + i * s1[0] + j * s1[1] + k * s1[2] + l * s1[3];
                    const int8_t *b = input2 + i * s2[0] + j * s2[1] + k * s2[2] + l * s2[3];
                    for (int32_t m = 0; m < n[4]; ++m) {
                        *output++ = combine(p, a[m * s1[4]], b[m * s2[4]]);
                    }
                }
            }
        }
    }
}
