/* SPDX-License-Identifier: Apache-2.0
 *
 * Blocks of outputs with the DSP instructions: dot products of int8 runs, requantised and stored. The common
 * core of convolution and fully connected.
 *
 * A block is two neighbouring output channels at one or two positions. Four taps of two positions take 4
 * loads, 8 widenings and 8 SMLAD for 16 multiply-accumulates; more sums would not fit the registers. An input
 * value counts as x - zero_point, subtracted while it is widened (SXTAB16), so that a tap left out counts as
 * zero. Sums are int32 and wrap, as in the portable kernels. Only the bytes of taps are read.
 */
#ifndef HE_BLOCK_S8_DSP_H
#define HE_BLOCK_S8_DSP_H

#include "he_dsp.h"

#if HE_USE_DSP

#include <stdbool.h>
#include <stddef.h>

#include "he_requantize_dsp.h"

/* What the blocks of one channel pair share. Steps are in bytes; the taps are rows >= 1 runs of quads + rest
 * bytes. */
typedef struct {
    int32_t rows;
    int32_t quads, rest;                    /* quads is a multiple of 4 */
    int32_t x_step, w_step;                 /* from the end of a run to the start of the next */
    int32_t x_position_step, y_position_step;
    int32_t w_channel_step, y_channel_step; /* 0: the second channel is the first once more */
    const int8_t *w;                        /* first tap of the first channel */
    int32_t input_zero_point;
    uint32_t minus_input_zero_point;        /* a pair */
    int32_t output_zero_point, act_min, act_max;
    bool narrow;                            /* act_min or act_max cuts more than int8 does */
    bool quick;                             /* both shifts allow he_requantize_s8_quick */
    int32_t bias[2], multiplier[2], shift[2];
} he_block_s8;

/* Fill in what all blocks of a kernel share. */
static inline void he_block_s8_init(he_block_s8 *block, int32_t input_zero_point, int32_t output_zero_point,
                                    int32_t act_min, int32_t act_max)
{
    block->input_zero_point = input_zero_point;
    block->minus_input_zero_point = he_pair(-input_zero_point, -input_zero_point);
    block->output_zero_point = output_zero_point;
    block->act_min = act_min;
    block->act_max = act_max;
    block->narrow = act_min > -128 || act_max < 127;
}

/* Fill in everything about output channels o and o + 1; w is the filter of channel 0, the next one lies
 * filter_size bytes further. The last of an odd number of channels is computed twice. */
static inline void he_block_s8_select(he_block_s8 *block, int32_t o, int32_t output_c, const int8_t *w,
                                      int32_t filter_size, const int32_t *bias, const int32_t *multiplier,
                                      const int32_t *shift)
{
    const int32_t step = o + 1 < output_c ? 1 : 0;
    block->w = w + o * filter_size;
    block->w_channel_step = step * filter_size;
    block->y_channel_step = step;
    block->bias[0] = bias == NULL ? 0 : bias[o];
    block->bias[1] = bias == NULL ? 0 : bias[o + step];
    block->multiplier[0] = multiplier[o];
    block->multiplier[1] = multiplier[o + step];
    block->shift[0] = shift[o];
    block->shift[1] = shift[o + step];
    block->quick = he_requantize_s8_is_quick(block->shift[0]) && he_requantize_s8_is_quick(block->shift[1]);
}

/* From here on fields are read anew: without it the compiler loads all of them first and spills the sums. */
#define HE_BLOCK_READ_LATE() __asm__ volatile("" ::: "memory")

/* Compute and store `positions` (the constant 1 or 2) times two outputs at y from the inputs at x. */
HE_ALWAYS_INLINE void he_block_s8_compute(const he_block_s8 *block, int positions, const int8_t *x, int8_t *y)
{
    const int8_t *w = block->w;
    int32_t s00 = block->bias[0], s10 = s00; /* s<position><channel> */
    int32_t s01 = block->bias[1], s11 = s01;
    int32_t rows = block->rows;
    do {
        const int32_t next_x = block->x_position_step;
        const int32_t next_w = block->w_channel_step;
        const uint32_t offset = block->minus_input_zero_point;
        for (const int8_t *const end = w + block->quads; w != end;) {
            const uint32_t b = positions == 2 ? he_load_4(x + next_x) : 0U;
            const uint32_t a = he_load_4(x);
            x += 4;
            const uint32_t b_even = he_sxtab16(offset, b);
            const uint32_t b_odd = he_sxtab16_ror8(offset, b);
            const uint32_t a_even = he_sxtab16(offset, a);
            const uint32_t a_odd = he_sxtab16_ror8(offset, a);
            const uint32_t v1 = he_load_4(w + next_w);
            const uint32_t v1_even = he_sxtb16(v1);
            const uint32_t v1_odd = he_sxtb16_ror8(v1);
            s01 = he_smlad(a_odd, v1_odd, he_smlad(a_even, v1_even, s01));
            if (positions == 2) {
                s11 = he_smlad(b_odd, v1_odd, he_smlad(b_even, v1_even, s11));
            }
            const uint32_t v0 = he_load_4(w);
            w += 4;
            const uint32_t v0_even = he_sxtb16(v0);
            const uint32_t v0_odd = he_sxtb16_ror8(v0);
            s00 = he_smlad(a_odd, v0_odd, he_smlad(a_even, v0_even, s00));
            if (positions == 2) {
                s10 = he_smlad(b_odd, v0_odd, he_smlad(b_even, v0_even, s10));
            }
        }
        HE_BLOCK_READ_LATE();
        for (const int8_t *const end = w + block->rest; w != end;) {
            const int32_t zero_point = block->input_zero_point;
            const int32_t b = positions == 2 ? x[block->x_position_step] - zero_point : 0;
            const int32_t a = *x++ - zero_point;
            const int32_t v1 = w[block->w_channel_step];
            const int32_t v0 = *w++;
            s00 = he_mla(a, v0, s00);
            s01 = he_mla(a, v1, s01);
            if (positions == 2) {
                s10 = he_mla(b, v0, s10);
                s11 = he_mla(b, v1, s11);
            }
        }
        HE_BLOCK_READ_LATE();
        x += block->x_step;
        w += block->w_step;
    } while (--rows > 0);
    HE_BLOCK_READ_LATE();
    const int32_t m0 = block->multiplier[0], m1 = block->multiplier[1];
    int32_t q00, q01, q10 = 0, q11 = 0;
    if (block->quick) {
        const int32_t halvings0 = -1 - block->shift[0], halvings1 = -1 - block->shift[1];
        const int32_t rounding = 1 + 2 * block->output_zero_point;
        q00 = he_requantize_s8_quick(s00, m0, halvings0, rounding);
        q01 = he_requantize_s8_quick(s01, m1, halvings1, rounding);
        if (positions == 2) {
            q10 = he_requantize_s8_quick(s10, m0, halvings0, rounding);
            q11 = he_requantize_s8_quick(s11, m1, halvings1, rounding);
        }
    } else {
        const int32_t zero_point = block->output_zero_point;
        q00 = he_requantize_s8_general(s00, m0, block->shift[0], zero_point);
        q01 = he_requantize_s8_general(s01, m1, block->shift[1], zero_point);
        if (positions == 2) {
            q10 = he_requantize_s8_general(s10, m0, block->shift[0], zero_point);
            q11 = he_requantize_s8_general(s11, m1, block->shift[1], zero_point);
        }
    }
    if (block->narrow) {
        q00 = he_clamp(q00, block->act_min, block->act_max);
        q01 = he_clamp(q01, block->act_min, block->act_max);
        q10 = he_clamp(q10, block->act_min, block->act_max);
        q11 = he_clamp(q11, block->act_min, block->act_max);
    }
    const int32_t next_channel = block->y_channel_step;
    if (positions == 2) {
        int8_t *const y1 = y + block->y_position_step;
        y1[0] = (int8_t)q10;
        y1[next_channel] = (int8_t)q11;
    }
    y[0] = (int8_t)q00;
    y[next_channel] = (int8_t)q01;
}

/* A function of its own, so that the loop over the taps has all registers. */
__attribute__((noinline)) static void he_block_s8_one(const he_block_s8 *block, const int8_t *x, int8_t *y)
{
    he_block_s8_compute(block, 1, x, y);
}

__attribute__((noinline)) static void he_block_s8_two(const he_block_s8 *block, const int8_t *x, int8_t *y)
{
    he_block_s8_compute(block, 2, x, y);
}

/* A number of positions, two at a time. */
static inline void he_block_s8_run(const he_block_s8 *block, int32_t positions, const int8_t *x, int8_t *y)
{
    for (; positions >= 2; positions -= 2) {
        he_block_s8_two(block, x, y);
        x += 2 * block->x_position_step;
        y += 2 * block->y_position_step;
    }
    if (positions > 0) {
        he_block_s8_one(block, x, y);
    }
}

#endif
#endif
