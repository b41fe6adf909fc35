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

/* Compute and store two outputs of one position at y from the inputs at x. */
void he_block_s8_one(const he_block_s8 *block, const int8_t *x, int8_t *y);

/* As he_block_s8_one, for two positions. */
void he_block_s8_two(const he_block_s8 *block, const int8_t *x, int8_t *y);

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
