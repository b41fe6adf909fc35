/* SPDX-License-Identifier: Apache-2.0
 *
 * Convolution of signs by signs: the form for the DSP instructions, equal to he_xnor_conv_s8.c bit for bit.
 *
 * Inputs become bits four at a time: SSUB8 compares, SEL picks their places, USAD8 adds these up. The bits under the
 * filter are gathered once per position, for all filters; taps outside the input read as zeros, and how much these
 * differ is known: by the ones of the weights there.
 *
 * Cores without NEON or MVE cannot count bits. Three words a, b, c of bits that differ are first added up bit by bit:
 * the low bits of the sums are s = a ^ b ^ c, the high bits s ^ ((a ^ b) | (a ^ c)). These three EORs may as well be
 * made of input and of weights before both meet: of weights when they are packed, of the input once per position. Then
 * both bits are counted in fields of 2, 4 and 8 bits: a word already counts the high half of a field of 2 n bits 2^n
 * times, so that 2^n - 1 times the high half are taken away; to 4 bits for low and high bits at once, to 8 bits by the
 * USADA8 that adds up all fields.
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
    int32_t layout;            /* what is done where taps lie outside: see HE_XNOR_ONES and HE_XNOR_TWICE */
    int32_t words;             /* of the bits of one position */
    int32_t shift;             /* of all sums to the left; -1: each filter's own */
    const int8_t *thresholds;  /* [C] */
    const uint32_t *kept;      /* [words]: 0 for channels that are never reached */
    int32_t channel_words;     /* in filters: all of he_channel_s8, or start and multiplier */
    int32_t rounding;          /* of all filters, if there are two words */
    const uint32_t *filters;   /* [O][KH*KW*words of bits, three by three as he_xnor_triples; channel_words] */
    int32_t cut;               /* 0: no tap is ever outside */
    int32_t outside_bytes;     /* in ones: of a filter; 0: no tap is ever outside, or HE_XNOR_TWICE */
    const uint8_t *ones;       /* [O][outside_bytes], and 3 more: how many bits of each 7 words of a tap are 1 */
    he_requantize_s8 requantize;
} he_xnor_conv_s8_dsp_params;

/* Zeros stand outside the input. Against them bits differ where the weights' are 1: how often is in a table, which is
 * taken off again. */
#define HE_XNOR_ONES 0
/* Without a table: against zeros and against ones outside, added up. Then those outside differ once each, and those
 * inside twice, which is just what the sum loses. */
#define HE_XNOR_TWICE 1

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

/* Three by three words a, b, c become a ^ b ^ c, a ^ b, a ^ c; up to two words are left as they are. */
HE_ALWAYS_INLINE void he_xnor_triples(uint32_t *x, int32_t words)
{
    for (; words >= 3; words -= 3) {
        const uint32_t a = x[0], b = x[1], c = x[2];
        x[0] = a ^ b ^ c;
        x[1] = a ^ b;
        x[2] = a ^ c;
        x += 3;
    }
}

/* The bits under the filter, with `fill` in those outside the input; how many taps those are, and 255 in each of their
 * bytes. */
HE_ALWAYS_INLINE int32_t he_xnor_patch(const he_xnor_conv_s8_dsp_params *p, const uint32_t *bits, int32_t top,
                                       int32_t left, uint32_t fill, uint32_t *patch, uint8_t *outside)
{
    int32_t count = 0;
    uint32_t *to = patch; /* unused bits of weights are 0, too */
    for (int32_t i = 0; i < p->filter_h; ++i) {
        const bool row = (uint32_t)(top + i) < (uint32_t)p->input_h;
        int32_t from = ((top + i) * p->input_w + left) * p->words;
        for (int32_t j = 0; j < p->filter_w; ++j) {
            const bool inside = p->cut == 0 || (row && (uint32_t)(left + j) < (uint32_t)p->input_w);
            count += inside ? 0 : 1;
            HE_UNROLL
            for (int32_t w = 0; w < p->words; ++w) {
                const int32_t channels = p->input_c - 32 * w;
                const uint32_t used = channels < 32 ? (1U << (channels & 31)) - 1U : 0xFFFFFFFFU;
                *to++ = inside ? bits[from + w] : fill & used;
                if (p->outside_bytes != 0 && w % 7 == 0) {
                    *outside++ = inside ? 0 : 255;
                }
            }
            from += p->words;
        }
    }
    he_xnor_triples(patch, p->filter_h * p->filter_w * p->words);
    return count;
}

/* sum + the sum of all |a - b| by byte. */
HE_ALWAYS_INLINE uint32_t he_usada8(uint32_t a, uint32_t b, uint32_t sum)
{
#if defined(HE_DSP_EMULATION) && HE_DSP_EMULATION
    for (uint32_t i = 0; i < 32U; i += 8U) {
        const uint32_t x = (a >> i) & 0xFFU, y = (b >> i) & 0xFFU;
        sum += x > y ? x - y : y - x;
    }
    return sum;
#else
    uint32_t result;
    if (__builtin_constant_p(sum) && sum == 0) {
        __asm__ volatile("usad8 %0, %1, %2" : "=r"(result) : "r"(a), "r"(b));
    } else {
        __asm__ volatile("usada8 %0, %1, %2, %3" : "=r"(result) : "r"(a), "r"(b), "r"(sum));
    }
    return result;
#endif
}

/* x & mask, a constant, of which the shift is part of the next instruction: compilers like to shift first. */
HE_ALWAYS_INLINE uint32_t he_masked(uint32_t x, uint32_t mask)
{
    x &= mask;
#if !(defined(HE_DSP_EMULATION) && HE_DSP_EMULATION)
    __asm__("" : "+r"(x));
#endif
    return x;
}

/* A value that the compiler does not carry along beside others. */
HE_ALWAYS_INLINE int32_t he_hidden(int32_t x)
{
    return (int32_t)he_masked((uint32_t)x, 0xFFFFFFFFU);
}

/* What counts bits, in registers. */
typedef struct {
    uint32_t twos, three;
} he_bit_constants;

HE_ALWAYS_INLINE he_bit_constants he_in_registers(void)
{
    const he_bit_constants k = {(uint32_t)he_in_register(0x33333333), (uint32_t)he_in_register(3)};
    return k;
}

/* Ones of every two bits. */
HE_ALWAYS_INLINE uint32_t he_ones_of_two(uint32_t x)
{
    return x - (he_masked(x, 0xAAAAAAAAU) >> 1);
}

/* Of four: those of a and 2^shift times those of b. */
HE_ALWAYS_INLINE uint32_t he_ones_of_four(he_bit_constants k, uint32_t a, uint32_t b, uint32_t shift)
{
    a = he_ones_of_two(a);
    b = he_ones_of_two(b);
    const uint32_t high = (k.twos & (a >> 2)) + ((k.twos & (b >> 2)) << shift);
    return a + (b << shift) - k.three * high; /* at most 12; what overflows on the way returns */
}

/* sum + all fields of four bits. */
HE_ALWAYS_INLINE uint32_t he_add_fields(uint32_t sum, uint32_t x)
{
    const uint32_t high = he_masked(x, 0xF0F0F0F0U);
    return he_usada8(x, high - (high >> 4), sum);
}

/* Input and weights on the way through a filter. */
typedef struct {
    const uint32_t *x, *w;
} he_bit_runs;

HE_ALWAYS_INLINE uint32_t he_next_differing(he_bit_runs *at)
{
    return he_next_word(&at->x) ^ he_next_word(&at->w);
}

HE_ALWAYS_INLINE he_words he_next_two_differing(he_bit_runs *at)
{
    const he_words a = he_next_two(&at->x), b = he_next_two(&at->w);
    return (he_words){a.first ^ b.first, a.second ^ b.second};
}

/* Of more than one word two. */
HE_ALWAYS_INLINE he_words he_up_to_two_differing(he_bit_runs *at, int32_t words)
{
    return words > 1 ? he_next_two_differing(at) : (he_words){he_next_differing(at), 0};
}

/* sum + how many bits of three words differ: s = a ^ b ^ c, ab = a ^ b, ac = a ^ c. */
HE_ALWAYS_INLINE uint32_t he_add_triple(he_bit_constants k, uint32_t sum, uint32_t s, uint32_t ab, uint32_t ac)
{
    return he_add_fields(sum, he_ones_of_four(k, s, s ^ (ab | ac), 1));
}

/* How many bits of a filter differ. */
HE_ALWAYS_INLINE uint32_t he_xnor_differing(he_bit_constants k, he_bit_runs *at, int32_t words)
{
    uint32_t sum = 0;
    HE_UNROLL
    for (; words >= 6; words -= 6) {
        const he_words a = he_next_two_differing(at), b = he_next_two_differing(at);
        sum = he_add_triple(k, sum, a.first, a.second, b.first);
        const he_words c = he_next_two_differing(at);
        sum = he_add_triple(k, sum, b.second, c.first, c.second);
    }
    he_words rest = {0, 0};
    if (words >= 3) {
        const he_words a = he_next_two_differing(at), b = he_up_to_two_differing(at, words - 2);
        sum = he_add_triple(k, sum, a.first, a.second, b.first);
        words -= 3;
        rest.first = b.second;
        rest.second = words == 2 ? he_next_differing(at) : 0;
    } else if (words > 0) {
        rest = he_up_to_two_differing(at, words);
    }
    if (words == 2) {
        sum = he_add_fields(sum, he_ones_of_four(k, rest.first, rest.second, 0));
    } else if (words == 1) {
        const uint32_t ones = he_ones_of_two(rest.first);
        sum = he_add_fields(sum, ones - k.three * (k.twos & (ones >> 2)));
    }
    return sum;
}

/* Twice as many, or as often as `turns` says against the bits that follow each other; the filter stays the same. */
HE_ALWAYS_INLINE uint32_t he_xnor_twice(he_bit_constants k, he_bit_runs *at, int32_t words, int32_t turns)
{
    const uint32_t *const filter = at->w;
    uint32_t sum = 0;
    for (int32_t turn = turns; turn > 0; --turn) {
        at->w = filter;
        sum += he_xnor_differing(k, at, words);
    }
    return turns == 1 ? 2 * sum : sum;
}

/* How many bits of the weights outside the input are 1. */
HE_ALWAYS_INLINE uint32_t he_xnor_outside(const he_xnor_conv_s8_dsp_params *p, int32_t filter, const uint8_t *outside)
{
    const int8_t *ones = (const int8_t *)p->ones + filter * p->outside_bytes, *mask = (const int8_t *)outside;
    uint32_t sum = 0;
    HE_UNROLL
    for (int32_t i = 0; i < p->outside_bytes; i += 4) {
        sum = he_usada8(he_load_4(ones + i) & he_load_4(mask + i), 0, sum);
    }
    return sum;
}

/* Requantise the sum of a filter that starts at all taps in agreement and is less by less * 2^unit. */
HE_ALWAYS_INLINE int8_t he_xnor_scaled(const he_xnor_conv_s8_dsp_params *p, const uint32_t **channel, uint32_t less,
                                       int32_t unit)
{
    const bool alike = p->channel_words == 2;
    const he_words first = he_next_two(channel);
    const he_words second = alike ? (he_words){(uint32_t)p->rounding, 0} : he_next_two(channel);
    const int32_t whole[] = {0, (int32_t)first.second, (int32_t)second.first, (int32_t)second.second};
    const int32_t shift = p->shift >= 0 ? p->shift : whole[3];
    return he_requantize_s8_sum(&p->requantize, whole, (int32_t)(first.first - ((less << unit) << shift)));
}

/* With constant params and layout everything folds that does not depend on the data. input [H,W,C], output [OH,OW,O];
 * scratch starts at a multiple of 4: bits of the input, those under the filter, then either those with ones outside or a
 * byte for each of outside_bytes. */
HE_ALWAYS_INLINE void he_xnor_conv_s8_dsp_inline(const he_xnor_conv_s8_dsp_params *p, int32_t layout,
                                                 const int8_t *input, int8_t *output, uint8_t *scratch)
{
    const bool twice = layout == HE_XNOR_TWICE && p->cut != 0;
    const int32_t words = p->filter_h * p->filter_w * p->words;
    uint32_t *const bits = (uint32_t *)(void *)scratch, *const patch = bits + p->input_h * p->input_w * p->words;
    uint8_t *const outside = (uint8_t *)(patch + words);
    /* A bit that differs takes away 2, a tap outside all of its channels: whole steps of 2 if these are even. */
    const int32_t halves = p->input_c & 1;
    const he_bit_constants k = he_in_registers();
    he_xnor_to_bits(p, input, bits);
    for (int32_t i = p->outside_bytes; (i & 3) != 0; ++i) {
        outside[i] = 0;
    }
    for (int32_t oy = 0; oy < p->output_h; ++oy) {
        for (int32_t ox = 0; ox < p->output_w; ++ox) {
            if (twice) {
                he_xnor_patch(p, bits, oy * p->stride_h - p->pad_top, ox * p->stride_w - p->pad_left, 0xFFFFFFFFU,
                              patch + words, outside);
            }
            const int32_t cut = he_xnor_patch(p, bits, oy * p->stride_h - p->pad_top,
                                              ox * p->stride_w - p->pad_left, 0, patch, outside);
            he_bit_runs at = {NULL, p->filters};
            for (int32_t o = p->output_c; o > 0; --o) {
                at.x = patch;
                uint32_t less = twice ? he_xnor_twice(k, &at, words, cut != 0 ? 2 : 1)
                                      : he_xnor_differing(k, &at, words);
                less = less << halves >> (twice ? 1 : 0);
                if (p->outside_bytes != 0 && cut != 0) {
                    less += (uint32_t)(cut * p->input_c) >> (1 - halves);
                    less -= he_xnor_outside(p, p->output_c - he_hidden(o), outside) << halves;
                }
                *output++ = he_xnor_scaled(p, &at.w, less, 1 - halves);
            }
        }
    }
}

#endif
#endif
