/* SPDX-License-Identifier: Apache-2.0
 *
 * Depthwise convolution, int8, per-channel weights: the readable portable form.
 */
#include "he_depthwise_conv_2d_s8.h"

#include <stddef.h>

#include "he_fixedpoint.h"

/* Sum over the taps of output channel o at one position; taps outside the input count as zero. */
static int32_t accumulate(const he_depthwise_conv_2d_s8_params *p, const int8_t *input, const int8_t *filter,
                          int32_t top, int32_t left, int32_t o)
{
    const int32_t channel = o / p->depth_multiplier;
    int32_t acc = 0;
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
            const int32_t in = input[(y * p->input_w + x) * p->input_c + channel];
            const int32_t w = filter[(i * p->filter_w + j) * p->output_c + o];
            acc += (in - p->input_zero_point) * w;
        }
    }
    return acc;
}

void he_depthwise_conv_2d_s8(const he_depthwise_conv_2d_s8_params *params, const int8_t *input,
                             const int8_t *filter, const int32_t *bias, int8_t *output)
{
    const he_depthwise_conv_2d_s8_params *p = params;
    for (int32_t oy = 0; oy < p->output_h; ++oy) {
        for (int32_t ox = 0; ox < p->output_w; ++ox) {
            for (int32_t o = 0; o < p->output_c; ++o) {
                int32_t acc = accumulate(p, input, filter, oy * p->stride_h - p->pad_top,
                                         ox * p->stride_w - p->pad_left, o);
                if (bias != NULL) {
                    acc += bias[o];
                }
                const int32_t q = p->output_zero_point
                    + he_multiply_by_quantized_multiplier(acc, p->multiplier[o], p->shift[o]);
                *output++ = (int8_t)he_clamp(q, p->act_min, p->act_max);
            }
        }
    }
}
