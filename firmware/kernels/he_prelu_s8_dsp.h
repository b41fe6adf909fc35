/* SPDX-License-Identifier: Apache-2.0
 *
 * ReLU with a slope below 0 that is a tensor, int8: the form for the DSP instructions, equal to he_prelu_s8.c bit for
 * bit.
 */
#ifndef HE_PRELU_S8_DSP_H
#define HE_PRELU_S8_DSP_H

#include "he_dsp.h"

#if HE_USE_DSP

#include "he_requantize_dsp.h"

/* Field names as in PreluDspParams (harembed/ir/ops/prelu_dsp.py). */
typedef struct {
    int32_t layout;          /* 0: there is one */
    int32_t shape[5];        /* of input and output, with as few axes as tell all */
    int32_t alpha_stride[5]; /* elements between neighbours of alpha along each axis; 0 repeats it */
    int32_t input_zero_point, alpha_zero_point;
    he_scale_s8 positive, negative; /* of x >= 0; of alpha * x where x < 0 */
} he_prelu_s8_dsp_params;

/* The value at one element. */
HE_ALWAYS_INLINE int8_t he_prelu_one(const he_prelu_s8_dsp_params *p, int8_t x, int8_t alpha)
{
    const int32_t centred = x - p->input_zero_point;
    return centred >= 0 ? he_scale_s8_sum(&p->positive, centred)
                        : he_scale_s8_sum(&p->negative, centred * (alpha - p->alpha_zero_point));
}

/* With constant params everything folds that does not depend on the data. */
HE_ALWAYS_INLINE void he_prelu_s8_dsp_inline(const he_prelu_s8_dsp_params *p, int32_t layout, const int8_t *input,
                                             const int8_t *alpha, int8_t *output)
{
    const int32_t *const n = p->shape, *const s = p->alpha_stride;
    (void)layout;
    for (int32_t i = 0; i < n[0]; ++i) {
        for (int32_t j = 0; j < n[1]; ++j) {
            for (int32_t k = 0; k < n[2]; ++k) {
                for (int32_t l = 0; l < n[3]; ++l) {
                    const int8_t *a = alpha + i * s[0] + j * s[1] + k * s[2] + l * s[3];
                    for (int32_t left = n[4]; left > 0; --left) {
                        *output++ = he_prelu_one(p, *input++, *a);
                        a += s[4];
                    }
                }
            }
        }
    }
}

/* The same for any params: one copy in a program. input [shape] and output [shape] may be the same memory; alpha
 * broadcasts to them. */
void he_prelu_s8_dsp(const he_prelu_s8_dsp_params *params, const int8_t *input, const int8_t *alpha, int8_t *output);

#endif
#endif
