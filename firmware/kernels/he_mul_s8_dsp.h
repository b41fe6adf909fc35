/* SPDX-License-Identifier: Apache-2.0
 *
 * Product of two int8 tensors with broadcasting: the form for the DSP instructions, equal to he_mul_s8.c bit for bit.
 */
#ifndef HE_MUL_S8_DSP_H
#define HE_MUL_S8_DSP_H

#include "he_dsp.h"

#if HE_USE_DSP

#include "he_requantize_dsp.h"

/* Field names as in MulDspParams (harembed/ir/ops/elementwise_dsp.py). */
typedef struct {
    int32_t layout;                 /* 0: there is one */
    int32_t shape[5];               /* of the output, with as few axes as tell all */
    int32_t stride1[5], stride2[5]; /* elements between neighbours of an input along each axis; 0 repeats it */
    int32_t input1_zero_point, input2_zero_point;
    he_scale_s8 scale; /* of the doubled product */
} he_mul_s8_dsp_params;

HE_ALWAYS_INLINE int8_t he_mul_one(const he_mul_s8_dsp_params *p, int8_t x1, int8_t x2)
{
    const int32_t a = x1 - p->input1_zero_point, b = 2 * x2 - 2 * p->input2_zero_point;
    return he_scale_s8_sum(&p->scale, a * b);
}

/* With constant params everything folds that does not depend on the data. */
HE_ALWAYS_INLINE void he_mul_s8_dsp_inline(const he_mul_s8_dsp_params *p, int32_t layout, const int8_t *input1,
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
                        *output++ = he_mul_one(p, *a, *b);
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
void he_mul_s8_dsp(const he_mul_s8_dsp_params *params, const int8_t *input1, const int8_t *input2, int8_t *output);

#endif
#endif
