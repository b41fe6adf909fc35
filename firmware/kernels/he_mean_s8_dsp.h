/* SPDX-License-Identifier: Apache-2.0
 *
 * Mean over neighbouring axes, int8, rescaled: the form for the DSP instructions, equal to he_mean_s8.c bit for bit.
 * Four elements at a time, two sums of int16 in a word, which 255 summands cannot overflow. Behind the reduced axes
 * are at least four elements, or there is one: then four of those that are reduced are taken at a time.
 */
#ifndef HE_MEAN_S8_DSP_H
#define HE_MEAN_S8_DSP_H

#include "he_dsp.h"

#if HE_USE_DSP

#include "he_requantize_dsp.h"

/* Field names as in MeanDspParams (harembed/ir/ops/mean_dsp.py). */
typedef struct {
    int32_t layout; /* 0: there is one */
    int32_t outer, reduced, inner;
    int32_t start; /* of each sum: the zero_point's share */
    he_scale_s8 scale;
} he_mean_s8_dsp_params;

/* Adds `count` times four int8, `step` bytes apart, to sums. */
HE_ALWAYS_INLINE void he_mean_add(int32_t sums[4], const int8_t *x, int32_t step, int32_t count)
{
    while (count > 0) {
        uint32_t even = 0, odd = 0;
        int32_t left = count > 255 ? 255 : count;
        count -= left;
        HE_UNROLL_SOME
        for (; left > 0; --left) {
            const uint32_t bytes = he_load_4(x);
            even = he_sxtab16(even, bytes);
            odd = he_sxtab16_ror8(odd, bytes);
            x += step;
        }
        sums[0] += (int16_t)even;
        sums[1] += (int16_t)odd;
        sums[2] += (int32_t)even >> 16;
        sums[3] += (int32_t)odd >> 16;
    }
}

HE_ALWAYS_INLINE int32_t he_mean_run(const int8_t *x, int32_t count)
{
    int32_t sums[4] = {0, 0, 0, 0};
    he_mean_add(sums, x, 4, count >> 2);
    int32_t sum = sums[0] + sums[1] + sums[2] + sums[3];
    for (int32_t i = count & ~3; i < count; ++i) {
        sum += x[i];
    }
    return sum;
}

/* With constant params everything folds that does not depend on the data. */
HE_ALWAYS_INLINE void he_mean_s8_dsp_inline(const he_mean_s8_dsp_params *p, int32_t layout, const int8_t *input,
                                            int8_t *output)
{
    (void)layout;
    for (int32_t left = p->outer; left > 0; --left) {
        if (p->inner == 1) {
            *output = he_scale_s8_sum(&p->scale, p->start + he_mean_run(input, p->reduced));
        } else {
            for (int32_t i = 0; i < p->inner; i += 4) {
                i = i > p->inner - 4 ? p->inner - 4 : i; /* some are computed once more */
                int32_t sums[4] = {p->start, p->start, p->start, p->start};
                he_mean_add(sums, input + i, p->inner, p->reduced);
                output[i] = he_scale_s8_sum(&p->scale, sums[0]);
                output[i + 1] = he_scale_s8_sum(&p->scale, sums[1]);
                output[i + 2] = he_scale_s8_sum(&p->scale, sums[2]);
                output[i + 3] = he_scale_s8_sum(&p->scale, sums[3]);
            }
        }
        input += p->reduced * p->inner;
        output += p->inner;
    }
}

/* The same for any params: one copy in a program. input [outer,reduced,inner], output [outer,inner]. */
void he_mean_s8_dsp(const he_mean_s8_dsp_params *params, const int8_t *input, int8_t *output);

#endif
#endif
