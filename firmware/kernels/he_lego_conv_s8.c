/* SPDX-License-Identifier: Apache-2.0
 *
 * Convolution with Lego filters, int8: the readable portable form. Each brick meets each fragment of the input channels
 * once; filters add up what they are made of. Sums are int32 and wrap.
 */
#include "he_lego_conv_s8.h"

#include <stddef.h>

#include "he_fixedpoint.h"

/* Sum over the taps of one brick and one fragment at one output position; taps outside the input count as zero. */
static uint32_t accumulate(const he_conv_2d_s8_params *p, const int8_t *fragment, int32_t channels,
                           const int8_t *brick, int32_t top, int32_t left)
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
            const int8_t *in = fragment + (y * p->input_w + x) * p->input_c;
            const int8_t *w = brick + (i * p->filter_w + j) * channels;
            for (int32_t c = 0; c < channels; ++c) {
                acc += (uint32_t)((in[c] - p->input_zero_point) * w[c]);
            }
        }
    }
    return acc;
}

void he_lego_conv_s8(const he_lego_conv_s8_params *params, const int8_t *input, const int8_t *bricks,
                     const int16_t *indices, const int32_t *bias, int8_t *output, uint8_t *scratch)
{
    const he_conv_2d_s8_params *p = &params->conv;
    const int32_t channels = p->input_c / params->fragments, size = p->filter_h * p->filter_w * channels;
    uint32_t *const maps = (uint32_t *)(void *)scratch; /* [fragments][bricks] at one position */
    for (int32_t oy = 0; oy < p->output_h; ++oy) {
        for (int32_t ox = 0; ox < p->output_w; ++ox) {
            for (int32_t f = 0; f < params->fragments; ++f) {
                for (int32_t b = 0; b < params->bricks; ++b) {
                    maps[f * params->bricks + b]
                        = accumulate(p, input + f * channels, channels, bricks + b * size,
                                     oy * p->stride_h - p->pad_top, ox * p->stride_w - p->pad_left);
                }
            }
            for (int32_t o = 0; o < p->output_c; ++o) {
                uint32_t acc = bias != NULL ? (uint32_t)bias[o] : 0U;
                for (int32_t f = 0; f < params->fragments; ++f) {
                    acc += maps[f * params->bricks + indices[o * params->fragments + f]];
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
