/* SPDX-License-Identifier: Apache-2.0
 *
 * Requantisation to int8 in two to five DSP instructions, equal to he_fixedpoint.h wherever the generator of
 * the parameters (harembed/ir/ops/requantize_dsp.py) proves it for all sums that an output channel can reach.
 */
#ifndef HE_REQUANTIZE_DSP_H
#define HE_REQUANTIZE_DSP_H

#include "he_dsp.h"
#include "he_fixedpoint.h"

#if HE_USE_DSP

/* How a sum becomes int8. Let real = sum * multiplier / 2^31 * 2^-right be what is rounded twice: to a multiple
 * of 2^-right upward at ties, then to an integer away from zero at ties. A sum shifted left by right_shift - right
 * + 1 bits makes floor(sum * multiplier / 2^32) count units of 2^-right_shift, and the first rounding is then a
 * constant: `rounding` moves the zero_point and both halves, the second of them exactly as far as positive
 * values need it. Why that is equal is told in requantize_dsp.py. */
enum {
    HE_UPWARD = 0, /* negative values are clamped to the zero_point, so that their ties do not matter */
    HE_AWAY = 1,   /* negative values take 2^-right less */
    HE_TWICE = 2   /* the definition: for shifts and sums too large for the others */
};

/* What all channels of a layer share; constant after inlining. */
typedef struct {
    int32_t form;        /* HE_UPWARD, _AWAY or _TWICE */
    int32_t shifted;     /* 1: sums come shifted already */
    int32_t sum_shift;   /* how far all sums are (to be) shifted to the left; 0: each channel says so */
    int32_t right_shift; /* 1..22, of the last step; with a sum_shift each channel has its own */
    int32_t zero_point, act_min, act_max;
} he_requantize_s8;

/* One scale for a whole tensor, for operators that have no channels: see scale_s8 in requantize_dsp.py. */
typedef struct {
    int32_t multiplier; /* Q0.31 */
    int32_t rounding;   /* in units of 2^-right_shift, and the zero_point if it finds room there */
    int32_t left_shift, right_shift; /* before and after the product; 0..30, 0..31 */
    int32_t zero_point;              /* what the rounding does not contain */
    int32_t act_min, act_max;
} he_scale_s8;

/* One output channel. */
typedef struct {
    int32_t bias;       /* where the sum starts: input zero_point folded in, shifted like the sum */
    int32_t multiplier; /* Q0.31 */
    int32_t rounding;   /* in units of 2^-right_shift */
    int32_t shift;      /* HE_TWICE: TFLite's; with a sum_shift right_shift; else how far the sum is (to be) shifted */
} he_channel_s8;

/* sum * 2^(left_shift - 1) * multiplier / 2^31 rounded upward at ties, then that / 2^right_shift away from zero. */
HE_ALWAYS_INLINE int8_t he_scale_s8_sum(const he_scale_s8 *s, int32_t sum)
{
    sum = (int32_t)((uint32_t)sum << s->left_shift);
    int32_t q;
    if (s->right_shift == 0) {
        q = he_ssat8_asr(he_smmulr(sum, s->multiplier) + s->zero_point, 0);
    } else {
        q = he_smmlar(sum, s->multiplier, s->rounding + (sum >> 31));
        q = s->zero_point == 0 ? he_ssat8_asr(q, s->right_shift)
                               : he_ssat8_asr((q >> s->right_shift) + s->zero_point, 0);
    }
    if (s->act_min > -128) {
        q = q < s->act_min ? s->act_min : q;
    }
    if (s->act_max < 127) {
        q = q > s->act_max ? s->act_max : q;
    }
    return (int8_t)q;
}

/* Words of a channel in a table that holds the fields of he_channel_s8 for one channel after the other. */
#define HE_CHANNEL_WORDS 4

HE_ALWAYS_INLINE he_channel_s8 he_channel_at(const int32_t *words)
{
    const he_channel_s8 channel = {words[0], words[1], words[2], words[3]};
    return channel;
}

/* The definition, for any shift; out of line because it is rare. */
__attribute__((noinline, unused)) static int32_t he_requantize_s8_twice(int32_t sum, int32_t multiplier,
                                                                        int32_t shift, int32_t zero_point)
{
    const int32_t scaled = he_multiply_by_quantized_multiplier(sum, multiplier, shift);
    return he_clamp(scaled, -128 - zero_point, 127 - zero_point) + zero_point;
}

/* For one channel alone a sum_shift is nothing special: its two shifts go where those of other forms stand. */
HE_ALWAYS_INLINE void he_requantize_as_one(he_requantize_s8 *r, he_channel_s8 *channel)
{
    if (r->sum_shift != 0) {
        r->right_shift = channel->shift;
        channel->shift = r->sum_shift;
        r->sum_shift = 0;
    }
}

/* After he_requantize_as_one. */
HE_ALWAYS_INLINE int8_t he_requantize_s8_shifts(const he_requantize_s8 *r, he_channel_s8 channel, int32_t sum)
{
    int32_t q;
    if (r->form == HE_TWICE) {
        q = he_requantize_s8_twice(sum, channel.multiplier, channel.shift, r->zero_point);
    } else {
        if (!r->shifted) {
            sum = (int32_t)((uint32_t)sum << channel.shift);
        }
        if (r->form == HE_AWAY) {
            channel.rounding -= (sum >> 31) & (int32_t)((UINT32_C(1) << channel.shift) >> 1);
        }
        q = he_ssat8_asr(he_smmla(sum, channel.multiplier, channel.rounding), r->right_shift);
    }
    if (r->act_min > -128) {
        q = q < r->act_min ? r->act_min : q;
    }
    if (r->act_max < 127) {
        q = q > r->act_max ? r->act_max : q;
    }
    return (int8_t)q;
}

HE_ALWAYS_INLINE int8_t he_requantize_s8_inline(const he_requantize_s8 *r, he_channel_s8 channel, int32_t sum)
{
    he_requantize_s8 one = *r;
    he_requantize_as_one(&one, &channel);
    return he_requantize_s8_shifts(&one, channel, sum);
}

/* The same for any layer. */
__attribute__((noinline, unused)) static int8_t he_requantize_s8_any(const he_requantize_s8 *r,
                                                                     const int32_t *channel, int32_t sum)
{
    return he_requantize_s8_inline(r, he_channel_at(channel), sum);
}

HE_ALWAYS_INLINE int8_t he_requantize_s8_sum(const he_requantize_s8 *r, const int32_t *channel, int32_t sum)
{
    if (__builtin_constant_p(r->form)) {
        return he_requantize_s8_inline(r, he_channel_at(channel), sum);
    }
    return he_requantize_s8_any(r, channel, sum);
}

#endif
#endif
