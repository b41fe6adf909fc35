/* SPDX-License-Identifier: Apache-2.0
 *
 * Matrix product of two int8 activations: the form for the DSP instructions, equal to he_batch_matmul_s8.c bit for
 * bit.
 *
 * One operand gives positions, the other channels of a tile (he_dot_s8_dsp.h): rows of lhs and columns of rhs, or
 * the other way round. Vectors of both are widened to pairs of int16, centred: four positions, and beside them two
 * channels at a time. The last tile starts earlier if fewer than four positions are left, the last two channels if
 * one is, and some are computed once more.
 */
#ifndef HE_BATCH_MATMUL_S8_DSP_H
#define HE_BATCH_MATMUL_S8_DSP_H

#include "he_dsp.h"

#if HE_USE_DSP

#include <stdbool.h>

#include "he_dot_s8_dsp.h"

/* One operand, as vectors of `depth` terms. */
typedef struct {
    int32_t batch_stride[3]; /* elements between neighbours along each leading axis; 0 repeats */
    int32_t count;           /* of vectors */
    int32_t stride;          /* elements between vectors */
    int32_t depth_stride;    /* elements between terms; 1, or else stride is 1 */
    int32_t zero_point;
    int32_t output_stride;   /* elements between the results of neighbouring vectors */
} he_matmul_vectors;

/* Field names as in BatchMatMulDspParams (harembed/ir/ops/matmul_dsp.py). */
typedef struct {
    int32_t layout; /* 0: there is one */
    int32_t batch[3]; /* leading axes of the output */
    int32_t depth;
    int32_t lhs_gives_positions;
    he_matmul_vectors positions, channels; /* at least four positions */
    he_scale_s8 scale;
} he_batch_matmul_s8_dsp_params;

/* Four bytes of the zero_point. */
HE_ALWAYS_INLINE uint32_t he_matmul_nothing(const he_matmul_vectors *v)
{
    return (uint32_t)(v->zero_point & 0xFF) * 0x1010101U;
}

/* `count` (1..4) terms of one vector from x on, then the zero_point. */
HE_ALWAYS_INLINE uint32_t he_matmul_terms(const he_matmul_vectors *v, const int8_t *x, int32_t count)
{
    if (v->depth_stride == 1 && count == 4) {
        return he_load_4(x);
    }
    uint32_t bytes = count < 4 ? he_matmul_nothing(v) : 0;
    HE_UNROLL
    for (int32_t k = count - 1; k >= 0; --k) {
        bytes = (bytes << 8) | (uint8_t)x[k * v->depth_stride];
    }
    return bytes;
}

/* Two terms of four neighbouring vectors, as a pair of each. */
HE_ALWAYS_INLINE void he_matmul_transpose(uint32_t **to, uint32_t centre, uint32_t first, uint32_t second)
{
    const uint32_t even1 = he_sxtab16(centre, first), even2 = he_sxtab16(centre, second);
    const uint32_t odd1 = he_sxtab16_ror8(centre, first), odd2 = he_sxtab16_ror8(centre, second);
    he_put_two(to, he_pair((int32_t)even1, (int32_t)even2), he_pair((int32_t)odd1, (int32_t)odd2));
    he_put_two(to, he_pair_of_highs(even1, even2), he_pair_of_highs(odd1, odd2));
}

/* `count` (1..4) terms of four vectors from x on; the pairs of terms (0, 2) of all, then (1, 3). */
HE_ALWAYS_INLINE void he_matmul_widen_four(const he_matmul_vectors *v, uint32_t **to, const int8_t *x, int32_t count)
{
    const uint32_t centre = he_pair(-v->zero_point, -v->zero_point);
    if (v->depth_stride != 1) { /* the bytes of one term lie side by side */
        const uint32_t nothing = he_matmul_nothing(v);
        const uint32_t t0 = he_load_4(x), t1 = count > 1 ? he_load_4(x + v->depth_stride) : nothing;
        const uint32_t t2 = count > 2 ? he_load_4(x + 2 * v->depth_stride) : nothing;
        const uint32_t t3 = count > 3 ? he_load_4(x + 3 * v->depth_stride) : nothing;
        he_matmul_transpose(to, centre, t0, t2);
        he_matmul_transpose(to, centre, t1, t3);
        return;
    }
    const uint32_t b0 = he_matmul_terms(v, x, count), b1 = he_matmul_terms(v, x + v->stride, count);
    const uint32_t b2 = he_matmul_terms(v, x + 2 * v->stride, count);
    const uint32_t b3 = he_matmul_terms(v, x + 3 * v->stride, count);
    he_put_two(to, he_sxtab16(centre, b0), he_sxtab16(centre, b1));
    he_put_two(to, he_sxtab16(centre, b2), he_sxtab16(centre, b3));
    he_put_two(to, he_sxtab16_ror8(centre, b0), he_sxtab16_ror8(centre, b1));
    he_put_two(to, he_sxtab16_ror8(centre, b2), he_sxtab16_ror8(centre, b3));
}

/* The same for two vectors, `step` elements apart. */
HE_ALWAYS_INLINE void he_matmul_widen_two(const he_matmul_vectors *v, uint32_t **to, const int8_t *x, int32_t step,
                                          int32_t count)
{
    const uint32_t centre = he_pair(-v->zero_point, -v->zero_point);
    const uint32_t b0 = he_matmul_terms(v, x, count), b1 = he_matmul_terms(v, x + step, count);
    he_put_two(to, he_sxtab16(centre, b0), he_sxtab16(centre, b1));
    he_put_two(to, he_sxtab16_ror8(centre, b0), he_sxtab16_ror8(centre, b1));
}

/* The one channel there is. */
HE_ALWAYS_INLINE void he_matmul_one_channel(const he_batch_matmul_s8_dsp_params *p, const int8_t *c, int8_t *y,
                                            const uint32_t *tile, uint32_t *weights)
{
    const he_matmul_vectors *const w = &p->channels;
    const uint32_t centre = he_pair(-w->zero_point, -w->zero_point);
    const int32_t n = p->positions.output_stride;
    uint32_t *to = weights;
    for (int32_t left = p->depth; left > 0; left -= 4) {
        const uint32_t bytes = he_matmul_terms(w, c, left < 4 ? left : 4);
        he_put_two(&to, he_sxtab16(centre, bytes), he_sxtab16_ror8(centre, bytes));
        c += 4 * w->depth_stride;
    }
    const uint32_t *from = weights;
    const he_sums s = he_tile_s8_taps(1, HE_WEIGHTS_16, 4, (p->depth + 3) / 4 * 2, 0, 0, tile, &from);
    y[0] = he_scale_s8_sum(&p->scale, s.a0);
    y[n] = he_scale_s8_sum(&p->scale, s.a1);
    y[2 * n] = he_scale_s8_sum(&p->scale, s.a2);
    y[3 * n] = he_scale_s8_sum(&p->scale, s.a3);
}

/* Four positions, all channels; x and y stand at the first of each. */
HE_ALWAYS_INLINE void he_matmul_tile(const he_batch_matmul_s8_dsp_params *p, const int8_t *x, const int8_t *channels,
                                     int8_t *y, uint32_t *tile)
{
    const he_matmul_vectors *const v = &p->positions, *const w = &p->channels;
    const int32_t pairs = (p->depth + 3) / 4 * 2, rest = p->depth & 3, n = v->output_stride;
    uint32_t *const weights = tile + 4 * pairs;
    uint32_t *to = tile;
    for (int32_t fours = p->depth >> 2; fours > 0; --fours) {
        he_matmul_widen_four(v, &to, x, 4);
        x += 4 * v->depth_stride;
    }
    if (rest) {
        he_matmul_widen_four(v, &to, x, rest);
    }
    if (__builtin_constant_p(w->count) && w->count == 1) { /* where one copy serves all, two of the same are computed */
        he_matmul_one_channel(p, channels, y, tile, weights);
        return;
    }
    const int32_t step = w->count > 1 ? w->stride : 0, output_step = w->count > 1 ? w->output_stride : 0;
    for (int32_t channel = 0; channel < w->count; channel += 2) {
        if (w->count & 1 && w->count > 1 && channel == w->count - 1) {
            --channel;
        }
        const int8_t *c = channels + channel * w->stride;
        to = weights;
        for (int32_t fours = p->depth >> 2; fours > 0; --fours) {
            he_matmul_widen_two(w, &to, c, step, 4);
            c += 4 * w->depth_stride;
        }
        if (rest) {
            he_matmul_widen_two(w, &to, c, step, rest);
        }
        const uint32_t *from = weights;
        const he_sums s = he_tile_s8_taps(2, HE_WEIGHTS_16, 4, pairs, 0, 0, tile, &from);
        int8_t *const a = y + channel * w->output_stride, *const b = a + output_step;
        a[0] = he_scale_s8_sum(&p->scale, s.a0);
        a[n] = he_scale_s8_sum(&p->scale, s.a1);
        a[2 * n] = he_scale_s8_sum(&p->scale, s.a2);
        a[3 * n] = he_scale_s8_sum(&p->scale, s.a3);
        b[0] = he_scale_s8_sum(&p->scale, s.b0);
        b[n] = he_scale_s8_sum(&p->scale, s.b1);
        b[2 * n] = he_scale_s8_sum(&p->scale, s.b2);
        b[3 * n] = he_scale_s8_sum(&p->scale, s.b3);
    }
}

/* With constant params everything folds that does not depend on the data. */
HE_ALWAYS_INLINE void he_batch_matmul_s8_dsp_inline(const he_batch_matmul_s8_dsp_params *p, int32_t layout,
                                                    const int8_t *lhs, const int8_t *rhs, int8_t *output,
                                                    uint8_t *scratch)
{
    const he_matmul_vectors *const v = &p->positions, *const w = &p->channels;
    const int8_t *const x = p->lhs_gives_positions ? lhs : rhs, *const c = p->lhs_gives_positions ? rhs : lhs;
    (void)layout;
    for (int32_t i = 0; i < p->batch[0]; ++i) {
        for (int32_t j = 0; j < p->batch[1]; ++j) {
            for (int32_t k = 0; k < p->batch[2]; ++k) {
                const int8_t *const xk = x + i * v->batch_stride[0] + j * v->batch_stride[1] + k * v->batch_stride[2];
                const int8_t *const ck = c + i * w->batch_stride[0] + j * w->batch_stride[1] + k * w->batch_stride[2];
                for (int32_t position = 0; position < v->count; position += 4) {
                    position = position > v->count - 4 ? v->count - 4 : position;
                    he_matmul_tile(p, xk + position * v->stride, ck, output + position * v->output_stride,
                                   (uint32_t *)(void *)scratch);
                }
                output += v->count * w->count;
            }
        }
    }
}

/* The same for any params: one copy in a program. output [batch, M, N] = lhs [batch, M, K] times rhs [batch, K, N],
 * each stored as its strides say; scratch starts at a multiple of 4. */
void he_batch_matmul_s8_dsp(const he_batch_matmul_s8_dsp_params *params, const int8_t *lhs, const int8_t *rhs,
                            int8_t *output, uint8_t *scratch);

#endif
#endif
