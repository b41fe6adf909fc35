/* SPDX-License-Identifier: Apache-2.0
 *
 * The inputs of one output position (a patch), widened from int8 to pairs of int16, the first in the low half.
 *
 * In NHWC the taps of one filter row are neighbours: a run of filter_w * C bytes (of C bytes if the filter is
 * dilated in width). Four bytes [b0 b1 b2 b3] become the pairs (b0, b2), (b1, b3), two instructions; what is left
 * of a run becomes (b0), (b0, b1) or (b0, b2), (b1). If runs are single bytes, those of two neighbouring taps
 * become a pair. Weights come in the same order, zero where a pair is not full, so that anything may stand there.
 * Only the bytes of taps are read.
 */
#ifndef HE_PATCH_S8_DSP_H
#define HE_PATCH_S8_DSP_H

#include "he_dsp.h"

#if HE_USE_DSP

/* A convolution's geometry. */
typedef struct {
    int32_t input_h, input_w, input_c;
    int32_t output_w;
    int32_t stride_h, stride_w;
    int32_t pad_top, pad_left;
    int32_t rows, row_dilation;       /* of the filter */
    int32_t segments, column_dilation; /* runs in a filter row */
    int32_t columns;                   /* input columns that a run covers */
    int32_t paired;                    /* 1: runs are single bytes along one axis, two form a pair */
    int32_t zero_point;
} he_geometry;

/* Widen one run into every `step`-th word from `to` on; returns behind the last. */
HE_ALWAYS_INLINE uint32_t *he_widen_run(uint32_t *to, int32_t step, const int8_t *x, int32_t run)
{
    for (int32_t quads = run >> 2; quads > 0; --quads) {
        const uint32_t bytes = he_next_4(&x);
        to[0] = he_sxtb16(bytes);
        to[step] = he_sxtb16_ror8(bytes);
        to += 2 * step;
    }
    if (run & 3) {
        const int32_t rest = run & 3;
        to[0] = rest == 1 ? (uint32_t)x[0] : he_pair(x[0], x[rest - 1]);
        to += step;
        if (rest == 3) {
            to[0] = (uint32_t)x[1];
            to += step;
        }
    }
    return to;
}

/* The same for four positions at once: x, x + d1, x + d2, x + d3 into [pairs][4 positions]. */
HE_ALWAYS_INLINE uint32_t *he_widen_four_runs(uint32_t *to, const int8_t *x, int32_t d1, int32_t d2, int32_t d3,
                                              int32_t run)
{
    for (int32_t quads = run >> 2; quads > 0; --quads) {
        const uint32_t b1 = he_load_4(x + d1), b2 = he_load_4(x + d2), b3 = he_load_4(x + d3);
        const uint32_t b0 = he_next_4(&x);
        he_put_two(&to, he_sxtb16(b0), he_sxtb16(b1));
        he_put_two(&to, he_sxtb16(b2), he_sxtb16(b3));
        he_put_two(&to, he_sxtb16_ror8(b0), he_sxtb16_ror8(b1));
        he_put_two(&to, he_sxtb16_ror8(b2), he_sxtb16_ror8(b3));
    }
    if ((run & 3) == 1) {
        he_put_two(&to, (uint32_t)x[0], (uint32_t)x[d1]);
        he_put_two(&to, (uint32_t)x[d2], (uint32_t)x[d3]);
    } else if (run & 3) {
        const int32_t last = (run & 3) - 1;
        he_put_two(&to, he_pair(x[0], x[last]), he_pair(x[d1], x[d1 + last]));
        he_put_two(&to, he_pair(x[d2], x[d2 + last]), he_pair(x[d3], x[d3 + last]));
        if (last == 2) {
            he_put_two(&to, (uint32_t)x[1], (uint32_t)x[d1 + 1]);
            he_put_two(&to, (uint32_t)x[d2 + 1], (uint32_t)x[d3 + 1]);
        }
    }
    return to;
}

/* Taps of one byte each, tap_step bytes apart, two to a pair, of four positions. */
HE_ALWAYS_INLINE void he_widen_four_paired(uint32_t *to, const int8_t *x, int32_t d1, int32_t d2, int32_t d3,
                                           int32_t taps, int32_t tap_step)
{
    for (; taps >= 2; taps -= 2) {
        const int8_t *const next = x + tap_step;
        he_put_two(&to, he_pair(x[0], next[0]), he_pair(x[d1], next[d1]));
        he_put_two(&to, he_pair(x[d2], next[d2]), he_pair(x[d3], next[d3]));
        x = next + tap_step;
    }
    if (taps) {
        he_put_two(&to, (uint32_t)x[0], (uint32_t)x[d1]);
        he_put_two(&to, (uint32_t)x[d2], (uint32_t)x[d3]);
    }
}

/* Widen the patch of one output position, any of whose taps may lie outside the input: those become the zero_point.
 * Pair p goes to to[p * step]. stage: as many bytes as a run has, rounded up to 4. */
void he_widen_border(const he_geometry *g, const int8_t *input, int32_t position, uint32_t *to, int32_t step,
                     int8_t *stage);

#endif
#endif
