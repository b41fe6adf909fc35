/* SPDX-License-Identifier: Apache-2.0
 *
 * Convolution of signs by signs: the readable portable form. Inputs become bits, 32 to a word, the first channel in the
 * lowest; a product of two signs is an agreement of two bits.
 */
#include "he_xnor_conv_s8.h"

#include <stddef.h>

#include "he_fixedpoint.h"

static int32_t count_ones(uint32_t x)
{
    x -= (x >> 1) & 0x55555555U;
    x = (x & 0x33333333U) + ((x >> 2) & 0x33333333U);
    x = (x + (x >> 4)) & 0x0F0F0F0FU;
    return (int32_t)((x * 0x01010101U) >> 24);
}

static void to_bits(const he_xnor_conv_s8_params *params, const int8_t *input, const int16_t *thresholds,
                    uint32_t *bits)
{
    const he_conv_2d_s8_params *p = &params->conv;
    for (int32_t position = 0; position < p->input_h * p->input_w; ++position) {
        for (int32_t w = 0; w < params->words; ++w) {
            uint32_t word = 0;
            for (int32_t c = 32 * w; c < p->input_c && c < 32 * w + 32; ++c) {
                word |= (uint32_t)(input[c] >= thresholds[c]) << (c & 31);
            }
            *bits++ = word;
        }
        input += p->input_c;
    }
}

/* Sum of products over the taps of one filter at one output position; taps outside the input count as zero. */
static int32_t accumulate(const he_xnor_conv_s8_params *params, const uint32_t *bits, const int32_t *filter,
                          int32_t top, int32_t left)
{
    const he_conv_2d_s8_params *p = &params->conv;
    int32_t acc = 0;
    for (int32_t i = 0; i < p->filter_h; ++i) {
        const int32_t y = top + i;
        if (y < 0 || y >= p->input_h) {
            continue;
        }
        for (int32_t j = 0; j < p->filter_w; ++j) {
            const int32_t x = left + j;
            if (x < 0 || x >= p->input_w) {
                continue;
            }
            const uint32_t *in = bits + (y * p->input_w + x) * params->words;
            const int32_t *w = filter + (i * p->filter_w + j) * params->words;
            acc += p->input_c;
            for (int32_t k = 0; k < params->words; ++k) {
                acc -= 2 * count_ones(in[k] ^ (uint32_t)w[k]);
            }
        }
    }
    return acc;
}

void he_xnor_conv_s8(const he_xnor_conv_s8_params *params, const int8_t *input, const int16_t *thresholds,
                     const int32_t *weights, const int32_t *bias, int8_t *output, uint8_t *scratch)
{
    const he_conv_2d_s8_params *p = &params->conv;
    const int32_t filter_size = p->filter_h * p->filter_w * params->words;
    uint32_t *const bits = (uint32_t *)(void *)scratch;
    to_bits(params, input, thresholds, bits);
    for (int32_t oy = 0; oy < p->output_h; ++oy) {
        for (int32_t ox = 0; ox < p->output_w; ++ox) {
            for (int32_t o = 0; o < p->output_c; ++o) {
                uint32_t acc = (uint32_t)accumulate(params, bits, weights + o * filter_size,
                                                    oy * p->stride_h - p->pad_top, ox * p->stride_w - p->pad_left);
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
