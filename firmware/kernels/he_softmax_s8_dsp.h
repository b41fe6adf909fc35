/* SPDX-License-Identifier: Apache-2.0
 *
 * Softmax, int8, for cores with DSP instructions, equal to he_softmax_s8.c bit for bit: exponentials come from a
 * table of all 256 differences to the maximum, 0 where the difference does not count.
 */
#ifndef HE_SOFTMAX_S8_DSP_H
#define HE_SOFTMAX_S8_DSP_H

#include "he_dsp.h"

#if HE_USE_DSP

#include "he_fixedpoint.h"

/* Field names as in SoftmaxDspParams (harembed/ir/ops/softmax_dsp.py). */
typedef struct {
    int32_t layout; /* 0: there is one */
    int32_t rows, depth;
    const int32_t *exponentials; /* [256] Q0.31 of the differences 0, -1, ... */
} he_softmax_s8_dsp_params;

HE_ALWAYS_INLINE void he_softmax_row(const int32_t *exponentials, int32_t depth, const int8_t *x, int8_t *y)
{
    int32_t max = x[0];
    for (int32_t i = 1; i < depth; ++i) {
        max = x[i] > max ? x[i] : max;
    }
    uint32_t sum = 0; /* Q12.19, each term rounded */
    for (int32_t i = 0; i < depth; ++i) {
        sum += ((uint32_t)exponentials[max - x[i]] + (1U << 11)) >> 12;
    }
    /* sum = (1 + f) * 2^(12 - zeros), f in [0, 1). */
    const int32_t zeros = (int32_t)__builtin_clz(sum);
    const int32_t reciprocal = he_one_over_one_plus_x((int32_t)((sum << zeros) & UINT32_C(0x7FFFFFFF)));
    /* Twice rounded, of a product that is not negative: both halves are added to it, then it is shifted once, by 31
     * and by 35 - zeros bits, which are at least 23. */
    const int32_t shift = 34 - zeros; /* of the high word */
    const int32_t half = INT32_C(1) << (shift - 1);
    for (int32_t i = 0; i < depth; ++i) {
        const int32_t e = exponentials[max - x[i]];
        y[i] = (int8_t)he_ssat8_asr((he_smlal_high(reciprocal, e, UINT32_C(1) << 30, half) >> shift) - 128, 0);
    }
}

/* With constant params everything folds that does not depend on the data. */
HE_ALWAYS_INLINE void he_softmax_s8_dsp_inline(const he_softmax_s8_dsp_params *p, int32_t layout, const int8_t *input,
                                               int8_t *output)
{
    (void)layout;
    for (int32_t left = p->rows; left > 0; --left) {
        he_softmax_row(p->exponentials, p->depth, input, output);
        input += p->depth;
        output += p->depth;
    }
}

/* The same for any params: one copy in a program. input and output [rows, depth], depth 1..511; output scale 1/256,
 * zero point -128. Both may be the same memory. */
void he_softmax_s8_dsp(const he_softmax_s8_dsp_params *params, const int8_t *input, int8_t *output);

#endif
#endif
