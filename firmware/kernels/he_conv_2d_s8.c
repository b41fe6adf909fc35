/* SPDX-License-Identifier: Apache-2.0
 *
 * Convolution, int8, per-channel weights: the readable portable form. Sums are int32 and wrap; with zero_points in
 * int8 that takes over 65,000 taps or a bias beyond 2^30.
 */
#include "he_conv_2d_s8.h"

#include <stddef.h>

#include "he_fixedpoint.h"

/* Sum over the taps of one filter at one output position; taps outside the input count as zero. */
static uint32_t accumulate(const he_conv_2d_s8_params *p, const int8_t *input, const int8_t *filter,
                           int32_t top, int32_t left)
{
    uint32_t acc = 0;
    for (int32_t i = 0; i < p->filter_h; ++i) {
        const int32_t y = top + i * p->dilation_h;
        if (y < 0 || y >= p->input_h) {
            continue;
        }
        for (int32_t j = 0; j < p->filter_w; ++j) {
            const int32_t x = left + j * p->dilation_w;
            if (x < 0 || x >= p->input_w) {
                continue;
            }
            const int8_t *in = input + (y * p->input_w + x) * p->input_c;
            const int8_t *w = filter + (i * p->filter_w + j) * p->input_c;
            for (int32_t c = 0; c < p->input_c; ++c) {
                acc += (uint32_t)((in[c] - p->input_zero_point) * w[c]);
            }
        }
    }
    return acc;
}

void he_conv_2d_s8(const he_conv_2d_s8_params *params, const int8_t *input, const int8_t *filter,
                   const int32_t *bias, int8_t *output)
{
    const he_conv_2d_s8_params *p = params;
    const int32_t filter_size = p->filter_h * p->filter_w * p->input_c;
    for (int32_t oy = 0; oy < p->output_h; ++oy) {
        for (int32_t ox = 0; ox < p->output_w; ++ox) {
            for (int32_t o = 0; o < p->output_c; ++o) {
                uint32_t acc = accumulate(p, input, filter + o * filter_size, oy * p->stride_h - p->pad_top,
                                          ox * p->stride_w - p->pad_left);
                if (bias != NULL) {
                    acc += (uint32_t)bias[o];
                }
                const int32_t scaled
                    = he_multiply_by_quantized_multiplier((int32_t)acc, p->multiplier[o], p->shift[o]);
                /* Clamped before the zero_point is added, which could overflow. */
                const int32_t zp = p->output_zero_point;
                *output++ = (int8_t)(he_clamp(scaled, p->act_min - zp, p->act_max - zp) + zp);
            }
        }
    }
}
