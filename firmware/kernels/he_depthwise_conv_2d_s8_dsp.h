/* SPDX-License-Identifier: Apache-2.0
 *
 * Depthwise convolution, int8, one output channel per input channel: the form for the DSP instructions, equal to
 * he_depthwise_conv_2d_s8.c bit for bit.
 *
 * Four neighbouring channels of one position at a time: a tap is one word of input, widened to two pairs while the
 * zero_point is subtracted, and one pair of weights for each; what is left of channels goes one by one. Taps outside
 * the input are left out. Sums are int32 and wrap.
 *
 * Weights: for each four channels [c0..c3], for each tap, the pairs (c0, c2), (c1, c3) of int16; then for each
 * channel that is left its taps, each in a word.
 */
#ifndef HE_DEPTHWISE_CONV_2D_S8_DSP_H
#define HE_DEPTHWISE_CONV_2D_S8_DSP_H

#include "he_dsp.h"

#if HE_USE_DSP

#include <stdbool.h>
#include <stddef.h>

#include "he_depthwise_two_asm.h"
#include "he_requantize_dsp.h"

/* Field names as in DepthwiseConv2DDspParams (harembed/ir/ops/depthwise_dsp.py). */
typedef struct {
    int32_t input_h, input_w, channels;
    int32_t filter_h, filter_w;
    int32_t output_h, output_w;
    int32_t stride_h, stride_w;
    int32_t dilation_h, dilation_w;
    int32_t pad_top, pad_left;
    int32_t inner_top, inner_rows; /* outputs all of whose taps lie inside the input */
    int32_t inner_left, inner_columns;
    int32_t layout;                /* 0: there is one */
    int32_t input_zero_point;
    const uint32_t *weights;
    const int32_t *channel;        /* [channels][HE_CHANNEL_WORDS]; the bias without the input's zero_point */
    /* Both count with constant params only; results are the same. */
    const uint32_t *two;           /* of he_depthwise_two; NULL if that does not compute it */
    int32_t own_border;            /* 1: at most the last row and column reach beyond the input, which have own code */
    he_requantize_s8 requantize;
} he_depthwise_conv_2d_s8_dsp_params;

/* The taps of one output that lie inside the input: filter rows and columns from the first on, and where the first
 * one is read. */
typedef struct {
    int32_t first_row, rows, first_column, columns;
    const int8_t *x;
} he_depthwise_taps;

/* One tap of four channels: four bytes of input, two pairs of weights. */
HE_ALWAYS_INLINE void he_depthwise_tap(uint32_t offset, const int8_t *x, const uint32_t **w, int32_t *s)
{
    const uint32_t bytes = he_load_4(x);
    const uint32_t even = he_sxtab16(offset, bytes), odd = he_sxtab16_ror8(offset, bytes);
    const he_words pair = he_next_two(w);
    s[0] = he_smlabb(even, pair.first, s[0]);
    s[2] = he_smlatt(even, pair.first, s[2]);
    s[1] = he_smlabb(odd, pair.second, s[1]);
    s[3] = he_smlatt(odd, pair.second, s[3]);
}

/* Four channels from `channel` on; constant rows and columns become straight code. */
HE_ALWAYS_INLINE void he_depthwise_four(const he_depthwise_conv_2d_s8_dsp_params *p, he_depthwise_taps taps,
                                        int32_t rows, int32_t columns, const int32_t *channel, const uint32_t *w,
                                        int8_t *y)
{
    const int32_t *const c1 = channel + HE_CHANNEL_WORDS, *const c2 = c1 + HE_CHANNEL_WORDS,
                  *const c3 = c2 + HE_CHANNEL_WORDS;
    const uint32_t offset = he_pair(-p->input_zero_point, -p->input_zero_point);
    const int32_t row_step = p->dilation_h * p->input_w * p->channels, column_step = p->dilation_w * p->channels;
    int32_t s[4] = {he_channel_at(channel).bias, he_channel_at(c1).bias, he_channel_at(c2).bias,
                    he_channel_at(c3).bias};
    w += 2 * (taps.first_row * p->filter_w + taps.first_column);
    if (__builtin_constant_p(rows) && __builtin_constant_p(columns)) {
        HE_UNROLL
        for (int32_t i = 0; i < rows; ++i) {
            HE_UNROLL
            for (int32_t j = 0; j < columns; ++j) {
                he_depthwise_tap(offset, taps.x + i * row_step + j * column_step, &w, s);
            }
            w += 2 * (p->filter_w - columns); /* a compiler may know a border's columns, too */
        }
    } else {
        for (int32_t i = 0; i < rows; ++i) {
            const int8_t *x = taps.x + i * row_step;
            const uint32_t *v = w + i * 2 * p->filter_w;
            for (int32_t j = 0; j < columns; ++j) {
                he_depthwise_tap(offset, x, &v, s);
                x += column_step;
            }
        }
    }
    y[0] = he_requantize_s8_sum(&p->requantize, channel, s[0]);
    y[1] = he_requantize_s8_sum(&p->requantize, c1, s[1]);
    y[2] = he_requantize_s8_sum(&p->requantize, c2, s[2]);
    y[3] = he_requantize_s8_sum(&p->requantize, c3, s[3]);
}

/* One channel. */
HE_ALWAYS_INLINE void he_depthwise_one(const he_depthwise_conv_2d_s8_dsp_params *p, he_depthwise_taps taps,
                                       const int32_t *channel, const uint32_t *w, int8_t *y)
{
    int32_t sum = he_channel_at(channel).bias;
    w += taps.first_row * p->filter_w + taps.first_column;
    const int8_t *row = taps.x;
    for (int32_t i = taps.rows; i > 0; --i) {
        const int8_t *x = row;
        for (int32_t j = 0; j < taps.columns; ++j) {
            sum = he_smlabb((uint32_t)(*x - p->input_zero_point), w[j], sum);
            x += p->dilation_w * p->channels;
        }
        row += p->dilation_h * p->input_w * p->channels;
        w += p->filter_w;
    }
    *y = he_requantize_s8_sum(&p->requantize, channel, sum);
}

/* All channels of one output. */
HE_ALWAYS_INLINE void he_depthwise_position(const he_depthwise_conv_2d_s8_dsp_params *p, he_depthwise_taps taps,
                                            int32_t rows, int32_t columns, int8_t *y)
{
    const int32_t size = p->filter_h * p->filter_w;
    const uint32_t *w = p->weights;
    const int32_t *channel = p->channel;
    for (int32_t left = p->channels >> 2; left > 0; --left) {
        he_depthwise_four(p, taps, rows, columns, channel, w, y);
        taps.x += 4;
        w += 2 * size;
        channel += 4 * HE_CHANNEL_WORDS;
        y += 4;
    }
    for (int32_t left = p->channels & 3; left > 0; --left) {
        he_depthwise_one(p, taps, channel, w, y);
        ++taps.x;
        w += size;
        channel += HE_CHANNEL_WORDS;
        ++y;
    }
}

/* Along one axis: the taps that lie inside the input for the output that starts at `start`. */
HE_ALWAYS_INLINE void he_depthwise_inside(int32_t start, int32_t dilation, int32_t filter_length,
                                          int32_t input_length, int32_t *first, int32_t *count)
{
    *first = start >= 0 ? 0 : (dilation - 1 - start) / dilation;
    const int32_t room = input_length - start;
    const int32_t fitting = room <= 0 ? 0 : (room + dilation - 1) / dilation;
    const int32_t end = fitting < filter_length ? fitting : filter_length;
    *count = *first < end ? end - *first : 0;
}

/* Output (oy, ox), any of whose taps may lie outside. */
HE_ALWAYS_INLINE void he_depthwise_border(const he_depthwise_conv_2d_s8_dsp_params *p, const int8_t *input,
                                          int32_t oy, int32_t ox, int8_t *y)
{
    const int32_t top = oy * p->stride_h - p->pad_top, left = ox * p->stride_w - p->pad_left;
    he_depthwise_taps taps = {0, 0, 0, 0, input};
    he_depthwise_inside(top, p->dilation_h, p->filter_h, p->input_h, &taps.first_row, &taps.rows);
    he_depthwise_inside(left, p->dilation_w, p->filter_w, p->input_w, &taps.first_column, &taps.columns);
    if (taps.rows > 0 && taps.columns > 0) {
        taps.x += ((top + taps.first_row * p->dilation_h) * p->input_w + left + taps.first_column * p->dilation_w)
            * p->channels;
    } else {
        taps.rows = taps.columns = taps.first_row = taps.first_column = 0;
    }
    he_depthwise_position(p, taps, taps.rows, taps.columns, y);
}

/* One row where at most the last column reaches beyond the input, and `rows` of the taps do not, from x on. */
HE_ALWAYS_INLINE void he_depthwise_row(const he_depthwise_conv_2d_s8_dsp_params *p, int32_t rows, const int8_t *x,
                                       int8_t *y)
{
    const int32_t step = p->stride_w * p->channels;
    int32_t left = p->inner_columns;
#if HE_TILE_S8_ASM
    if (__builtin_constant_p(p->channels) && p->two != NULL && rows == p->filter_h) {
        const he_two_steps steps = {p->dilation_h * p->input_w * p->channels, p->dilation_w * p->channels, step,
                                    p->channels, p->channels, p->requantize.right_shift};
        for (; left > 1; left -= 2) {
            he_depthwise_two(steps, x, p->two, y);
            x += 2 * step;
            y += 2 * p->channels;
        }
    }
#endif
    for (; left > 0; --left) {
        const he_depthwise_taps taps = {0, rows, 0, p->filter_w, x};
        he_depthwise_position(p, taps, rows, p->filter_w, y);
        x += step;
        y += p->channels;
    }
    if (p->inner_columns < p->output_w) {
        const int32_t columns = p->input_w - (p->output_w - 1) * p->stride_w;
        const he_depthwise_taps taps = {0, rows, 0, columns, x};
        he_depthwise_position(p, taps, rows, columns, y);
    }
}

/* With constant params everything folds that does not depend on the data. */
HE_ALWAYS_INLINE void he_depthwise_conv_2d_s8_dsp_inline(const he_depthwise_conv_2d_s8_dsp_params *p, int32_t layout,
                                                         const int8_t *input, int8_t *output)
{
    (void)layout;
    if (__builtin_constant_p(p->own_border) && p->own_border) {
        for (int32_t left = p->inner_rows; left > 0; --left) {
            he_depthwise_row(p, p->filter_h, input, output);
            input += p->stride_h * p->input_w * p->channels;
            output += p->output_w * p->channels;
        }
        if (p->inner_rows < p->output_h) {
            he_depthwise_row(p, p->input_h - (p->output_h - 1) * p->stride_h, input, output);
        }
        return;
    }
    const int32_t step = p->stride_w * p->channels;
    for (int32_t oy = 0; oy < p->output_h; ++oy) {
        const int32_t top = oy * p->stride_h - p->pad_top;
        const bool inner_row = (uint32_t)(oy - p->inner_top) < (uint32_t)p->inner_rows;
        const int8_t *x = input + (top * p->input_w + p->inner_left * p->stride_w - p->pad_left) * p->channels;
        for (int32_t ox = 0; ox < p->output_w; ++ox) {
            if (inner_row && (uint32_t)(ox - p->inner_left) < (uint32_t)p->inner_columns) {
                const he_depthwise_taps taps = {0, p->filter_h, 0, p->filter_w, x};
                he_depthwise_position(p, taps, p->filter_h, p->filter_w, output);
                x += step;
            } else {
                he_depthwise_border(p, input, oy, ox, output);
            }
            output += p->channels;
        }
    }
}

/* The same for any params: one copy in a program. input [H,W,C], output [OH,OW,C]. */
void he_depthwise_conv_2d_s8_dsp(const he_depthwise_conv_2d_s8_dsp_params *params, const int8_t *input,
                                 int8_t *output);

#endif
#endif
