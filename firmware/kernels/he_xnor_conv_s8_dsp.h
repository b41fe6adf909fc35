/* SPDX-License-Identifier: Apache-2.0
 *
 * Convolution of signs by signs: the form for the DSP instructions, equal to he_xnor_conv_s8.c bit for bit.
 *
 * Inputs become bits four at a time: SSUB8 compares, SEL picks their places, USAD8 adds these up. The patch of a position
 * is one run of words for each row of the filter. Cores without NEON or MVE cannot count bits: words in which input and
 * weights differ are summed bit by bit by carry-save adders, seven to three, and only those three are counted.
 */
#ifndef HE_XNOR_CONV_S8_DSP_H
#define HE_XNOR_CONV_S8_DSP_H

#include "he_dsp.h"

#if HE_USE_DSP

#include <stdbool.h>
#include <stddef.h>

#include "he_requantize_dsp.h"

/* Field names as in XnorConvDspParams (harembed/ir/ops/xnor_dsp.py). */
typedef struct {
    int32_t input_h, input_w, input_c;
    int32_t output_h, output_w, output_c;
    int32_t filter_h, filter_w;
    int32_t stride_h, stride_w;
    int32_t pad_top, pad_left;
    int32_t inner_top, inner_rows; /* outputs all of whose taps lie inside the input */
    int32_t inner_left, inner_columns;
    int32_t layout;            /* of nothing: there is one */
    int32_t words;             /* of the bits of one position */
    int32_t shift;             /* of all sums to the left; -1: each filter's own */
    const int8_t *thresholds;  /* [C] */
    const uint32_t *kept;      /* [words]: 0 for channels that are never reached */
    const uint32_t *weights;   /* [O,KH,KW,words] of bits */
    int32_t filter_words;      /* in channel: all of he_channel_s8, or start and multiplier */
    int32_t rounding;          /* of all filters, if there are two words */
    const int32_t *channel;    /* [O][filter_words] */
    he_requantize_s8 requantize;
} he_xnor_conv_s8_dsp_params;

/* A bit for each of four inputs that has reached its threshold. */
HE_ALWAYS_INLINE uint32_t he_four_at_least(uint32_t x, uint32_t thresholds)
{
#if defined(HE_DSP_EMULATION) && HE_DSP_EMULATION
    uint32_t bits = 0;
    for (uint32_t i = 0; i < 4U; ++i) {
        bits |= (uint32_t)((int8_t)(x >> 8 * i) >= (int8_t)(thresholds >> 8 * i)) << i;
    }
    return bits;
#else
    uint32_t bits;
    __asm__("ssub8 %0, %1, %2\n\tsel %0, %3, %4\n\tusad8 %0, %0, %4"
            : "=&r"(bits)
            : "r"(x), "r"(thresholds), "r"(0x08040201U), "r"(0U)
            : "cc");
    return bits;
#endif
}

HE_ALWAYS_INLINE void he_xnor_to_bits(const he_xnor_conv_s8_dsp_params *p, const int8_t *x, uint32_t *bits)
{
    for (int32_t position = p->input_h * p->input_w; position > 0; --position) {
        const int8_t *t = p->thresholds;
        for (int32_t w = 0; w < p->words; ++w) {
            const int32_t left = p->input_c - 32 * w, here = left < 32 ? left : 32;
            uint32_t word = 0;
            HE_UNROLL
            for (int32_t c = 0; c + 4 <= here; c += 4) {
                word |= he_four_at_least(he_next_4(&x), he_next_4(&t)) << c;
            }
            for (int32_t c = here & ~3; c < here; ++c) {
                word |= (uint32_t)(*x++ >= *t++) << c;
            }
            *bits++ = word & p->kept[w];
        }
    }
}

/* a + b + c, bit by bit: the sum has weight 1, *carry weight 2. */
HE_ALWAYS_INLINE uint32_t he_add_bits(uint32_t a, uint32_t b, uint32_t c, uint32_t *carry)
{
    const uint32_t either = a ^ b;
    *carry = (a & b) | (either & c);
    return either ^ c;
}

/* What counts bits, in registers: shifts are then part of an AND. */
typedef struct {
    uint32_t ones, twos; /* of 2 and of 4 bits */
} he_bit_masks;

HE_ALWAYS_INLINE he_bit_masks he_masks(void)
{
    const he_bit_masks m = {(uint32_t)he_in_register(0x55555555), (uint32_t)he_in_register(0x33333333)};
    return m;
}

/* Ones in each byte. */
HE_ALWAYS_INLINE uint32_t he_ones_by_byte(he_bit_masks m, uint32_t x)
{
    x -= (x >> 1) & m.ones;
    x = (x & m.twos) + ((x >> 2) & m.twos);
    return (x + (x >> 4)) & 0x0F0F0F0FU;
}

/* The sum of all bytes. */
HE_ALWAYS_INLINE uint32_t he_sum_of_bytes(uint32_t x)
{
#if defined(HE_DSP_EMULATION) && HE_DSP_EMULATION
    return (x & 0xFFU) + ((x >> 8) & 0xFFU) + ((x >> 16) & 0xFFU) + (x >> 24);
#else
    uint32_t sum;
    __asm__("usad8 %0, %1, %2" : "=r"(sum) : "r"(x), "r"(0U));
    return sum;
#endif
}

/* Input and weights on the way through a run. */
typedef struct {
    const uint32_t *x, *w;
} he_bit_runs;

/* Bits in which the next two words differ. */
HE_ALWAYS_INLINE he_words he_next_two_differing(he_bit_runs *at)
{
    const he_words a = he_next_two(&at->x), b = he_next_two(&at->w);
    return (he_words){a.first ^ b.first, a.second ^ b.second};
}

HE_ALWAYS_INLINE uint32_t he_next_differing(he_bit_runs *at)
{
    return he_next_word(&at->x) ^ he_next_word(&at->w);
}

/* How many bits of seven words differ, by byte: at most 56. */
HE_ALWAYS_INLINE uint32_t he_seven_words(he_bit_masks m, he_bit_runs *at)
{
    uint32_t twos0, twos1, twos2, fours;
    const he_words a = he_next_two_differing(at);
    uint32_t ones = he_add_bits(a.first, a.second, he_next_differing(at), &twos0);
    const he_words b = he_next_two_differing(at);
    ones = he_add_bits(ones, b.first, b.second, &twos1);
    const he_words c = he_next_two_differing(at);
    ones = he_add_bits(ones, c.first, c.second, &twos2);
    const uint32_t twos = he_add_bits(twos0, twos1, twos2, &fours);
    return he_ones_by_byte(m, ones) + 2 * (he_ones_by_byte(m, twos) + 2 * he_ones_by_byte(m, fours));
}

/* Of three words: at most 24. */
HE_ALWAYS_INLINE uint32_t he_three_words(he_bit_masks m, he_bit_runs *at)
{
    uint32_t twos;
    const he_words a = he_next_two_differing(at);
    const uint32_t ones = he_add_bits(a.first, a.second, he_next_differing(at), &twos);
    return he_ones_by_byte(m, ones) + 2 * he_ones_by_byte(m, twos);
}

/* sum + how many bits of `words` words differ. */
HE_ALWAYS_INLINE uint32_t he_xnor_differing(he_bit_masks m, uint32_t sum, he_bit_runs *at, int32_t words)
{
    uint32_t rest = 0;
    HE_UNROLL
    for (; words >= 14; words -= 7) {
        sum += he_sum_of_bytes(he_seven_words(m, at));
    }
    if (words >= 7) {
        rest = he_seven_words(m, at);
        words -= 7;
    }
    HE_UNROLL
    for (; words >= 3; words -= 3) {
        rest += he_three_words(m, at);
    }
    HE_UNROLL
    for (; words > 0; --words) {
        rest += he_ones_by_byte(m, he_next_differing(at));
    }
    return sum + he_sum_of_bytes(rest); /* at most 56 + 48 by byte */
}

/* The same, one copy for all layers: for runs that the border cuts. */
uint32_t he_xnor_count(const uint32_t *x, const uint32_t *w, int32_t words);

/* Requantise the sum of a filter that starts at `start` and loses two for each of `differing` bits. */
HE_ALWAYS_INLINE int8_t he_xnor_scaled(const he_xnor_conv_s8_dsp_params *p, const int32_t *channel, int32_t less,
                                       uint32_t differing)
{
    const bool alike = p->filter_words == 2;
    const int32_t whole[] = {0, channel[1], alike ? p->rounding : channel[2], alike ? 0 : channel[3]};
    const int32_t shift = p->shift >= 0 ? p->shift : whole[3];
    const uint32_t sum = (uint32_t)channel[0] - (((uint32_t)less + 2 * differing) << shift);
    return he_requantize_s8_sum(&p->requantize, whole, (int32_t)sum);
}

/* All filters where some taps lie outside the input: those count as nothing. */
HE_ALWAYS_INLINE void he_xnor_border(const he_xnor_conv_s8_dsp_params *p, const uint32_t *bits, int32_t top,
                                     int32_t left, int8_t *y)
{
    const int32_t first = left < 0 ? -left : 0;
    const int32_t end = p->filter_w < p->input_w - left ? p->filter_w : p->input_w - left;
    const int32_t columns = end > first ? end - first : 0;
    const uint32_t *w = p->weights;
    for (int32_t o = 0; o < p->output_c; ++o) {
        int32_t outside = p->filter_h * p->filter_w;
        uint32_t differing = 0;
        for (int32_t i = 0; i < p->filter_h; ++i) {
            if ((uint32_t)(top + i) < (uint32_t)p->input_h) {
                differing += he_xnor_count(bits + ((top + i) * p->input_w + left + first) * p->words,
                                           w + first * p->words, columns * p->words);
                outside -= columns;
            }
            w += p->filter_w * p->words;
        }
        *y++ = he_xnor_scaled(p, p->channel + o * p->filter_words, outside * p->input_c, differing);
    }
}

/* With constant params and layout everything folds that does not depend on the data. input [H,W,C], output [OH,OW,O];
 * scratch starts at a multiple of 4. */
HE_ALWAYS_INLINE void he_xnor_conv_s8_dsp_inline(const he_xnor_conv_s8_dsp_params *p, int32_t layout,
                                                 const int8_t *input, int8_t *output, uint8_t *scratch)
{
    (void)layout;
    uint32_t *const bits = (uint32_t *)(void *)scratch;
    const he_bit_masks m = he_masks();
    he_xnor_to_bits(p, input, bits);
    for (int32_t oy = 0; oy < p->output_h; ++oy) {
        const int32_t top = oy * p->stride_h - p->pad_top;
        for (int32_t ox = 0; ox < p->output_w; ++ox) {
            const int32_t left = ox * p->stride_w - p->pad_left;
            if ((uint32_t)(oy - p->inner_top) >= (uint32_t)p->inner_rows
                || (uint32_t)(ox - p->inner_left) >= (uint32_t)p->inner_columns) {
                he_xnor_border(p, bits, top, left, output);
                output += p->output_c;
                continue;
            }
            he_bit_runs at = {NULL, p->weights};
            const int32_t *channel = p->channel;
            for (int32_t o = p->output_c; o > 0; --o) {
                at.x = bits + (top * p->input_w + left) * p->words;
                uint32_t differing = 0;
                for (int32_t i = p->filter_h; i > 0; --i) {
                    differing = he_xnor_differing(m, differing, &at, p->filter_w * p->words);
                    at.x += (p->input_w - p->filter_w) * p->words;
                }
                *output++ = he_xnor_scaled(p, channel, 0, differing);
                channel += p->filter_words;
            }
        }
    }
}

#endif
#endif
