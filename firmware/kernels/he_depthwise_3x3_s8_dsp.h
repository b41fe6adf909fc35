/* SPDX-License-Identifier: Apache-2.0
 *
 * Depthwise convolution of 3 x 3 taps, int8, one output channel per input channel: a form for the DSP instructions,
 * equal to he_depthwise_conv_2d_s8.c bit for bit.
 *
 * Rows may be those of the image or, of a high and narrow one, its columns: whatever makes lines long.
 *
 * Four channels at a time. Two input rows, one above the other, are widened into a strip of scratch memory: for each
 * of the four channels a line of pairs (upper row, lower row), one per column, the zero_point where there is no input.
 * Two strips hold four rows, from which come two output rows: of the pairs (r0, r1) and (r2, r3) the first takes
 * w0 r0 + w1 r1, w2 r2, the second w0 r1, w1 r2 + w2 r3. Then the lower strip is the upper one of the next two, so
 * that each input is widened once. Sums are int32 and wrap.
 *
 * Weights: for each four channels (the last four may overlap those before), for each channel, for each filter column
 * (w0, w1), (w1, w2): pairs of int16, or one word of the bytes w0 w1 w1 w2.
 */
#ifndef HE_DEPTHWISE_3X3_S8_DSP_H
#define HE_DEPTHWISE_3X3_S8_DSP_H

#include "he_dsp.h"

#if HE_USE_DSP

#include <stdbool.h>

#include "he_depthwise_3x3_asm.h"
#include "he_dot_s8_dsp.h"
#include "he_requantize_dsp.h"

/* Field names as in Depthwise3x3DspParams (harembed/ir/ops/depthwise_3x3_dsp.py). */
typedef struct {
    int32_t channels;                              /* at least four */
    int32_t input_rows, input_columns;
    int32_t input_row_step, input_column_step;     /* bytes */
    int32_t output_rows, output_columns;           /* at least two columns */
    int32_t output_row_step, output_column_step;
    int32_t pad_top, pad_left;
    /* Both count with constant params only, and where the compiler takes that assembly; results are the same. */
    int32_t assembled;                  /* 1: he_strip_3x3 computes it */
    int32_t all_strips;                 /* 1: the scratch has room for those of all rows */
    int32_t line;                       /* columns that the output reads, those outside the input included */
    int32_t layout;                     /* HE_WEIGHTS_16 or _8 */
    int32_t input_zero_point;
    const uint32_t *weights;
    const int32_t *channel;             /* [channels][HE_CHANNEL_WORDS] */
    he_requantize_s8 requantize;
} he_depthwise_3x3_s8_dsp_params;

/* One filter column of one channel: two taps each. */
typedef struct {
    uint32_t upper, lower; /* (w0, w1), (w1, w2) */
} he_column_3;

/* One column of the strip: four pairs, of rows a and b. */
HE_ALWAYS_INLINE void he_strip_column(int32_t line, uint32_t a, uint32_t b, uint32_t *to)
{
    const uint32_t a_even = he_sxtb16(a), b_even = he_sxtb16(b);
    const uint32_t a_odd = he_sxtb16_ror8(a), b_odd = he_sxtb16_ror8(b);
    to[0] = he_pair((int32_t)a_even, (int32_t)b_even);
    to[line] = he_pair((int32_t)a_odd, (int32_t)b_odd);
    to[2 * line] = he_pair_of_highs(a_even, b_even);
    to[3 * line] = he_pair_of_highs(a_odd, b_odd);
}

/* Input rows y and y + 1 of the four channels at `input`, either of which may lie outside, into to [4][line]. */
HE_ALWAYS_INLINE void he_strip_fill(const he_depthwise_3x3_s8_dsp_params *p, const int8_t *input, int32_t y,
                                    uint32_t *to)
{
    const uint32_t outside = (uint32_t)(uint8_t)p->input_zero_point * 0x01010101U;
    const int8_t *const nothing = (const int8_t *)&outside;
    const bool has_a = (uint32_t)y < (uint32_t)p->input_rows, has_b = (uint32_t)(y + 1) < (uint32_t)p->input_rows;
    const int8_t *a = has_a ? input + y * p->input_row_step : nothing;
    const int8_t *b = has_b ? input + (y + 1) * p->input_row_step : nothing;
    const int32_t a_step = has_a ? p->input_column_step : 0, b_step = has_b ? p->input_column_step : 0;
    const int32_t room = p->line - p->pad_left, inside = p->input_columns < room ? p->input_columns : room;
    for (int32_t n = p->pad_left; n > 0; --n) {
        he_strip_column(p->line, outside, outside, to++);
    }
    for (int32_t n = inside; n > 0; --n) {
        he_strip_column(p->line, he_load_4(a), he_load_4(b), to++);
        a += a_step;
        b += b_step;
    }
    for (int32_t n = room - inside; n > 0; --n) {
        he_strip_column(p->line, outside, outside, to++);
    }
}

HE_ALWAYS_INLINE he_column_3 he_column_of(int32_t layout, const uint32_t **w)
{
    he_column_3 column;
    if (layout == HE_WEIGHTS_16) {
        const he_words words = he_next_two(w);
        column.upper = words.first;
        column.lower = words.second;
    } else {
        const uint32_t bytes = he_next_word(w);
        column.upper = he_sxtb16(bytes);
        column.lower = he_sxtb16_ror8(bytes);
    }
    return column;
}

/* Sums of one channel in an output column: first and second row. */
typedef struct {
    int32_t first, second;
} he_two_rows;

HE_ALWAYS_INLINE he_two_rows he_rows_start(uint32_t upper, uint32_t weights, int32_t bias)
{
    return (he_two_rows){he_smlad_first(upper, weights, bias), he_smlatb_first(upper, weights, bias)};
}

HE_ALWAYS_INLINE void he_rows_upper(he_two_rows *s, uint32_t upper, uint32_t weights)
{
    he_smlad_to(&s->first, upper, weights);
    he_smlatb_to(&s->second, upper, weights);
}

HE_ALWAYS_INLINE void he_rows_lower(he_two_rows *s, uint32_t lower, uint32_t weights)
{
    he_smlabt_to(&s->first, lower, weights);
    he_smlad_to(&s->second, lower, weights);
}

/* One channel of two output rows, the second `second` bytes behind the first; 0: the second is for nothing, and the
 * first is written over it. Two columns at a time; of an odd number the last but one is computed twice. */
HE_ALWAYS_INLINE void he_depthwise_3x3_rows(const he_depthwise_3x3_s8_dsp_params *p, int32_t layout,
                                            const uint32_t *upper, const uint32_t *lower, const uint32_t *w,
                                            const int32_t *channel, int8_t *y, int32_t second)
{
    const he_column_3 w0 = he_column_of(layout, &w), w1 = he_column_of(layout, &w), w2 = he_column_of(layout, &w);
    const int32_t bias = he_channel_at(channel).bias;
    for (int32_t left = p->output_columns; left > 0; left -= 2) {
        const int32_t back = left == 1 ? 1 : 0;
        upper -= back;
        lower -= back;
        y -= back * p->output_column_step;
        he_words x = he_next_two(&upper);
        he_two_rows here = he_rows_start(x.first, w0.upper, bias), there = he_rows_start(x.second, w0.upper, bias);
        he_rows_upper(&here, x.second, w1.upper);
        x = he_two_words(upper);
        he_rows_upper(&here, x.first, w2.upper);
        he_rows_upper(&there, x.first, w1.upper);
        he_rows_upper(&there, x.second, w2.upper);
        x = he_next_two(&lower);
        he_rows_lower(&here, x.first, w0.lower);
        he_rows_lower(&here, x.second, w1.lower);
        he_rows_lower(&there, x.second, w0.lower);
        x = he_two_words(lower);
        he_rows_lower(&here, x.first, w2.lower);
        he_rows_lower(&there, x.first, w1.lower);
        he_rows_lower(&there, x.second, w2.lower);
        y[second] = he_requantize_s8_sum(&p->requantize, channel, here.second);
        y[second + p->output_column_step] = he_requantize_s8_sum(&p->requantize, channel, there.second);
        y[0] = he_requantize_s8_sum(&p->requantize, channel, here.first);
        y[p->output_column_step] = he_requantize_s8_sum(&p->requantize, channel, there.first);
        y += 2 * p->output_column_step;
    }
}

#if HE_TILE_S8_ASM
/* As he_depthwise_3x3_rows, `two_rows` times. `lower` and `second` are constants. */
HE_ALWAYS_INLINE void he_strip_3x3_rows(const he_depthwise_3x3_s8_dsp_params *p, int32_t two_rows,
                                        const uint32_t *upper, int32_t lower, const uint32_t *w,
                                        const int32_t *channel, int8_t *y, int32_t second)
{
    const int32_t odd = p->output_columns % 2, shift = p->requantize.right_shift, step = p->output_column_step;
    const int32_t next = 16 * p->line, rows = 2 * p->output_row_step;
    const he_strip_steps steps = {lower, second, step, p->output_columns - odd, next, rows, shift};
    he_strip_3x3(steps, two_rows, upper, w, channel, y);
    if (odd) {
        const he_strip_steps last = {lower, second, step, 2, next, rows, shift};
        he_strip_3x3(last, two_rows, upper + p->output_columns - 2, w, channel, y + (p->output_columns - 2) * step);
    }
}

/* Four channels whose strips all lie side by side: each channel goes through all rows. */
HE_ALWAYS_INLINE void he_depthwise_3x3_all(const he_depthwise_3x3_s8_dsp_params *p, const int8_t *input,
                                           const uint32_t *w, const int32_t *channel, int8_t *output,
                                           uint32_t *scratch)
{
    const int32_t two_rows = p->output_rows / 2, odd = p->output_rows % 2;
    for (int32_t n = 0; n <= two_rows + odd; ++n) {
        he_strip_fill(p, input, 2 * n - p->pad_top, scratch + 4 * n * p->line);
    }
    for (int32_t k = 0; k < 4; ++k) {
        const uint32_t *const upper = scratch + k * p->line;
        he_strip_3x3_rows(p, two_rows, upper, 16 * p->line, w, channel, output, p->output_row_step);
        if (odd) {
            he_strip_3x3_rows(p, 1, upper + 4 * two_rows * p->line, 16 * p->line, w, channel,
                              output + 2 * two_rows * p->output_row_step, 0);
        }
        w += 6;
        channel += HE_CHANNEL_WORDS;
        ++output;
    }
}
#endif

/* Four channels. */
HE_ALWAYS_INLINE void he_depthwise_3x3_four(const he_depthwise_3x3_s8_dsp_params *p, int32_t layout,
                                            const int8_t *input, const uint32_t *w, const int32_t *channel,
                                            int8_t *output, uint32_t *scratch)
{
#if HE_TILE_S8_ASM
    if (__builtin_constant_p(p->all_strips) && p->all_strips) {
        he_depthwise_3x3_all(p, input, w, channel, output, scratch);
        return;
    }
#endif
    const int32_t words = layout == HE_WEIGHTS_16 ? 6 : 3;
    uint32_t *upper = scratch, *lower = scratch + 4 * p->line;
    int32_t top = -p->pad_top;
    he_strip_fill(p, input, top, upper);
    for (int32_t left = p->output_rows; left > 0; left -= 2) {
        top += 2;
        he_strip_fill(p, input, top, lower);
        for (int32_t k = 0; k < 4; ++k) {
#if HE_TILE_S8_ASM
            if (__builtin_constant_p(p->assembled) && p->assembled) {
                const uint32_t *const x = upper + k * p->line, *const v = w + k * words;
                const int32_t *const c = channel + k * HE_CHANNEL_WORDS;
                const int32_t below = 16 * p->line;
                if (p->output_rows % 2 != 0 && left == 1) {
                    /* The upper strip is the first one after an even number of steps. */
                    he_strip_3x3_rows(p, 1, x, p->output_rows / 2 % 2 == 0 ? below : -below, v, c, output + k, 0);
                } else if (upper == scratch) {
                    he_strip_3x3_rows(p, 1, x, below, v, c, output + k, p->output_row_step);
                } else {
                    he_strip_3x3_rows(p, 1, x, -below, v, c, output + k, p->output_row_step);
                }
                continue;
            }
#endif
            he_depthwise_3x3_rows(p, layout, upper + k * p->line, lower + k * p->line, w + k * words,
                                  channel + k * HE_CHANNEL_WORDS, output + k, left > 1 ? p->output_row_step : 0);
        }
        uint32_t *const next = upper;
        upper = lower;
        lower = next;
        output += 2 * p->output_row_step;
    }
}

/* With constant params everything folds that does not depend on the data. */
HE_ALWAYS_INLINE void he_depthwise_3x3_s8_dsp_inline(const he_depthwise_3x3_s8_dsp_params *p, int32_t layout,
                                                     const int8_t *input, int8_t *output, uint8_t *scratch)
{
    const uint32_t *w = p->weights;
    const int32_t last = p->channels - 4;
    for (int32_t c = 0; c < p->channels; c += 4) {
        const int32_t at = c < last ? c : last;
        he_depthwise_3x3_four(p, layout, input + at, w, p->channel + at * HE_CHANNEL_WORDS, output + at,
                              (uint32_t *)(void *)scratch);
        w += layout == HE_WEIGHTS_16 ? 24 : 12;
    }
}

/* The same for any params: one copy in a program. input [H,W,C], output [OH,OW,C], scratch: two strips. */
void he_depthwise_3x3_s8_dsp(const he_depthwise_3x3_s8_dsp_params *params, const int8_t *input, int8_t *output,
                             uint8_t *scratch);

#endif
#endif
