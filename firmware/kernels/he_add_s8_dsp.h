/* SPDX-License-Identifier: Apache-2.0
 *
 * Sum or difference of two int8 tensors with broadcasting: the form for the DSP instructions, equal to he_add_s8.c
 * bit for bit.
 *
 * Inputs are scaled to twice what the portable form has, so that the sum is doubled as he_scale_s8 wants it. That
 * with the larger scale is only shifted.
 */
#ifndef HE_ADD_S8_DSP_H
#define HE_ADD_S8_DSP_H

#include "he_dsp.h"

#if HE_USE_DSP

#include "he_requantize_dsp.h"

/* Field names as in AddDspParams (harembed/ir/ops/elementwise_dsp.py). */
typedef struct {
    int32_t layout;                 /* 0: there is one */
    int32_t shape[5];               /* of the output, with as few axes as tell all */
    int32_t stride1[5], stride2[5]; /* elements between neighbours of an input along each axis; 0 repeats it */
    int32_t input2_sign;            /* 1 adds, -1 subtracts */
    int32_t input1_start, input1_left, input1_multiplier, input1_right; /* 2^left * input + start, then scaled */
    int32_t input2_start, input2_left, input2_multiplier, input2_right; /* unless the multiplier is 0 */
    he_scale_s8 scale;
} he_add_s8_dsp_params;

HE_ALWAYS_INLINE int32_t he_add_scaled(int32_t x, int32_t start, int32_t left, int32_t multiplier, int32_t right)
{
    const int32_t shifted = start + (int32_t)((uint32_t)x << left);
    if (multiplier == 0) {
        return shifted;
    }
    if (right == 0) {
        return he_smmulr(shifted, multiplier) * 2;
    }
    return (he_smmlar(shifted, multiplier, (int32_t)(UINT32_C(1) << (right - 1)) + (shifted >> 31)) >> right) * 2;
}

HE_ALWAYS_INLINE int8_t he_add_one(const he_add_s8_dsp_params *p, int8_t x1, int8_t x2)
{
    const int32_t a = he_add_scaled(x1, p->input1_start, p->input1_left, p->input1_multiplier, p->input1_right);
    const int32_t b = he_add_scaled(x2, p->input2_start, p->input2_left, p->input2_multiplier, p->input2_right);
    return he_scale_s8_sum(&p->scale, p->input2_sign > 0 ? a + b : a - b);
}

/* With constant params everything folds that does not depend on the data. */
HE_ALWAYS_INLINE void he_add_s8_dsp_inline(const he_add_s8_dsp_params *p, int32_t layout, const int8_t *input1,
                                           const int8_t *input2, int8_t *output)
{
    const int32_t *const n = p->shape, *const s1 = p->stride1, *const s2 = p->stride2;
    (void)layout;
    for (int32_t i = 0; i < n[0]; ++i) {
        for (int32_t j = 0; j < n[1]; ++j) {
            for (int32_t k = 0; k < n[2]; ++k) {
                for (int32_t l = 0; l < n[3]; ++l) {
                    const int8_t *a = input1 + i * s1[0] + j * s1[1] + k * s1[2] + l * s1[3];
                    const int8_t *b = input2 + i * s2[0] + j * s2[1] + k * s2[2] + l * s2[3];
                    for (int32_t left = n[4]; left > 0; --left) {
                        *output++ = he_add_one(p, *a, *b);
                        a += s1[4];
                        b += s2[4];
                    }
                }
            }
        }
    }
}

/* The same for any params: one copy in a program. input1 and input2 broadcast to output [shape]; an input of that
 * very shape may be the output too. */
void he_add_s8_dsp(const he_add_s8_dsp_params *params, const int8_t *input1, const int8_t *input2, int8_t *output);

#endif
#endif
