/* SPDX-License-Identifier: Apache-2.0
 *
 * Max pooling, int8: the form for the DSP instructions, equal to he_max_pool_2d_s8.c bit for bit. Four channels at
 * a time; the last four start earlier if fewer are left, and some are computed once more.
 */
#ifndef HE_MAX_POOL_2D_S8_DSP_H
#define HE_MAX_POOL_2D_S8_DSP_H

#include "he_dsp.h"

#if HE_USE_DSP

#include "he_fixedpoint.h"

/* Field names as in Pool2DDspParams (harembed/ir/ops/pool_dsp.py). */
typedef struct {
    int32_t layout; /* 0: there is one */
    int32_t input_h, input_w, channels; /* at least four channels */
    int32_t filter_h, filter_w;
    int32_t clipped; /* 0: each window lies inside the input */
    int32_t output_h, output_w;
    int32_t stride_h, stride_w;
    int32_t pad_top, pad_left;
    int32_t act_min, act_max;
} he_max_pool_2d_s8_dsp_params;

/* Four channels of a window of rows * columns from x on. */
HE_ALWAYS_INLINE void he_max_pool_four(const he_max_pool_2d_s8_dsp_params *p, const int8_t *x, int32_t rows,
                                       int32_t columns, int8_t *y)
{
    uint32_t largest = (uint32_t)(p->act_min & 0xFF) * 0x1010101U;
    for (; rows > 0; --rows) {
        const int8_t *at = x;
        for (int32_t left = columns; left > 0; --left) {
            largest = he_smax8(largest, he_load_4(at));
            at += p->channels;
        }
        x += p->input_w * p->channels;
    }
    if (p->act_max < INT8_MAX) {
        largest = he_smin8(largest, (uint32_t)(p->act_max & 0xFF) * 0x1010101U);
    }
    he_store_4(y, largest);
}

/* With constant params everything folds that does not depend on the data. */
HE_ALWAYS_INLINE void he_max_pool_2d_s8_dsp_inline(const he_max_pool_2d_s8_dsp_params *p, int32_t layout,
                                                   const int8_t *input, int8_t *output)
{
    (void)layout;
    for (int32_t oy = 0; oy < p->output_h; ++oy) {
        const int32_t origin_y = oy * p->stride_h - p->pad_top;
        const int32_t first_y = p->clipped ? he_clamp(origin_y, 0, p->input_h) : origin_y;
        const int32_t rows = p->clipped ? he_clamp(origin_y + p->filter_h, 0, p->input_h) - first_y : p->filter_h;
        for (int32_t ox = 0; ox < p->output_w; ++ox) {
            const int32_t origin_x = ox * p->stride_w - p->pad_left;
            const int32_t first_x = p->clipped ? he_clamp(origin_x, 0, p->input_w) : origin_x;
            const int32_t columns =
                p->clipped ? he_clamp(origin_x + p->filter_w, 0, p->input_w) - first_x : p->filter_w;
            const int8_t *const window = input + (first_y * p->input_w + first_x) * p->channels;
            for (int32_t c = 0; c < p->channels; c += 4) {
                c = c > p->channels - 4 ? p->channels - 4 : c;
                he_max_pool_four(p, window + c, rows, columns, output + c);
            }
            output += p->channels;
        }
    }
}

/* The same for any params: one copy in a program. input [H,W,C], output [OH,OW,C]. */
void he_max_pool_2d_s8_dsp(const he_max_pool_2d_s8_dsp_params *params, const int8_t *input,
                           int8_t *output);

#endif
#endif
