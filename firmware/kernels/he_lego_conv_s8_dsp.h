/* SPDX-License-Identifier: Apache-2.0
 *
 * Convolution with Lego filters, int8: the form for the DSP instructions, equal to he_lego_conv_s8.c bit for bit.
 *
 * Four output positions of a row at a time: split, transform, merge. The samples of one fragment of the input channels
 * that these positions see are widened into lines, two for each four channels, of one pair (he_patch_s8_dsp.h) for each
 * sample, those outside the input as the zero_point. In a line what a tap sees at the four positions lies side by side:
 * samples that are a stride apart are neighbours. The lines meet every brick, two at a time, whose sums are kept as
 * int32; when all fragments have, every filter adds up those that it is made of, and requantises.
 *
 * Weights are words as those of a tile (he_dot_s8_dsp.h), joined or int8: for each two bricks, row by row, of each four
 * channels those of all taps; those of an odd last brick last.
 */
#ifndef HE_LEGO_CONV_S8_DSP_H
#define HE_LEGO_CONV_S8_DSP_H

#include "he_dsp.h"

#if HE_USE_DSP

#include <stdbool.h>

#include "he_dot_s8_dsp.h"
#include "he_patch_s8_dsp.h"

/* Field names as in LegoConvDspParams (harembed/ir/ops/lego_dsp.py). */
typedef struct {
    int32_t input_h, input_w, input_c;
    int32_t output_h, output_w;
    int32_t stride_h, stride_w;
    int32_t pad_top, pad_left;
    uint32_t outside[2]; /* the zero_point four times, as two pairs */
    int32_t rows, row_dilation; /* of the filter */
    int32_t taps;               /* of one of its rows */
    const uint8_t *places;      /* [taps]: where in a line what a tap sees starts */
    int32_t samples;            /* of an input row that four positions see */
    int32_t phase;              /* words of a line for samples that are a stride apart */
    int32_t line;               /* words of a line: stride_w phases */
    int32_t layout;             /* HE_WEIGHTS_JOINED or _8 */
    int32_t fragments, channels; /* of the input; of a fragment */
    int32_t bricks;
    const uint32_t *weights;
    int32_t step;           /* from the sums of one fragment to those of the next, or 0: indices say which */
    const uint8_t *indices; /* [filters][fragments] of bricks */
    int32_t words;          /* of a filter in merge.channel: all of he_channel_s8, or start and multiplier */
    int32_t rounding;       /* of all filters, if there are two words */
    he_dot_s8 merge;        /* of filters, without weights */
} he_lego_conv_s8_dsp_params;

#include "he_lego_two_asm.h"

HE_ALWAYS_INLINE int32_t he_lego_form(int32_t layout)
{
    return layout == HE_WEIGHTS_JOINED ? HE_JOINED : HE_QUADS;
}

/* One sample of a fragment into its place in all lines of a row. */
HE_ALWAYS_INLINE void he_lego_widen_sample(const he_lego_conv_s8_dsp_params *p, int32_t layout, const int8_t *x,
                                           uint32_t *to)
{
    for (int32_t quads = p->channels >> 2; quads > 0; --quads) {
        const he_words w = he_widen_4(he_lego_form(layout), he_next_4(&x));
        to[0] = w.first;
        to[p->line] = w.second;
        to += 2 * p->line;
    }
    if (p->channels & 3) {
        const he_words w = he_widen_rest(he_lego_form(layout), p->channels & 3, x);
        to[0] = w.first;
        to[p->line] = w.second;
    }
}

/* What lies outside the input in its place. Weights of channels that fill up are zero. */
HE_ALWAYS_INLINE void he_lego_fill_sample(const he_lego_conv_s8_dsp_params *p, uint32_t *to)
{
    for (int32_t quads = (p->channels + 3) >> 2; quads > 0; --quads) {
        to[0] = p->outside[0];
        to[p->line] = p->outside[1];
        to += 2 * p->line;
    }
}

/* Split: what four positions from (oy, ox) on see of the fragment that starts at `fragment` in each sample. */
HE_ALWAYS_INLINE void he_lego_widen(const he_lego_conv_s8_dsp_params *p, int32_t layout, const int8_t *fragment,
                                    int32_t oy, int32_t ox, uint32_t *lines)
{
    const int32_t left = ox * p->stride_w - p->pad_left;
    int32_t y = oy * p->stride_h - p->pad_top;
    for (int32_t i = p->rows; i > 0; --i) {
        const bool inside = (uint32_t)y < (uint32_t)p->input_h;
        for (int32_t s = 0; s < p->samples; ++s) {
            const int32_t x = left + s;
            uint32_t *const to = lines + (p->stride_w == 1 ? s : s % p->stride_w * p->phase + s / p->stride_w);
            if (inside && (uint32_t)x < (uint32_t)p->input_w) {
                he_lego_widen_sample(p, layout, fragment + (y * p->input_w + x) * p->input_c, to);
            } else {
                he_lego_fill_sample(p, to);
            }
        }
        lines += ((p->channels + 3) >> 2) * 2 * p->line;
        y += p->row_dilation;
    }
}

/* A pair of one or two bricks and what it sees at four positions. */
HE_ALWAYS_INLINE void he_lego_pair(int channels, he_words v, he_sums *s, const uint32_t *x)
{
    he_words u = he_two_words(x);
    he_smlad_to(&s->a0, u.first, v.first);
    he_smlad_to(&s->a1, u.second, v.first);
    if (channels == 2) {
        he_smlad_to(&s->b0, u.first, v.second);
        he_smlad_to(&s->b1, u.second, v.second);
    }
    u = he_two_words(x + 2);
    he_smlad_to(&s->a2, u.first, v.first);
    he_smlad_to(&s->a3, u.second, v.first);
    if (channels == 2) {
        he_smlad_to(&s->b2, u.first, v.second);
        he_smlad_to(&s->b3, u.second, v.second);
    }
}

/* One brick or two with the lines of a fragment; *weights then points behind theirs. */
HE_ALWAYS_INLINE he_sums he_lego_bricks(const he_lego_conv_s8_dsp_params *p, int channels, int32_t layout,
                                        const uint32_t *lines, const uint32_t **weights)
{
#if HE_TILE_S8_ASM
    if (channels == 2 && __builtin_constant_p(p->taps)) {
        return he_lego_two(p, layout, lines, weights);
    }
#endif
    he_sums s = {0, 0, 0, 0, 0, 0, 0, 0};
    for (int32_t left = p->rows * ((p->channels + 3) >> 2); left > 0; --left) {
        for (int32_t tap = 0; tap < p->taps; ++tap) {
            const uint32_t *const x = lines + p->places[tap];
            he_words v = he_tile_s8_weights(channels, layout, weights);
            he_lego_pair(channels, v, &s, x);
            if (layout == HE_WEIGHTS_JOINED) {
                v = (he_words){he_sxtb16(v.first), he_sxtb16(v.second)};
            } else {
                v = he_tile_s8_weights(channels, layout, weights);
            }
            he_lego_pair(channels, v, &s, x + p->line);
        }
        lines += 2 * p->line;
    }
    return s;
}

/* Transform: all bricks with one fragment, maps [bricks][4 positions]. */
HE_ALWAYS_INLINE void he_lego_transform(const he_lego_conv_s8_dsp_params *p, int32_t layout, const uint32_t *lines,
                                        int32_t *maps)
{
    const uint32_t *w = p->weights;
    for (int32_t left = p->bricks >> 1; left > 0; --left) {
        const he_sums s = he_lego_bricks(p, 2, layout, lines, &w);
        maps[0] = s.a0;
        maps[1] = s.a1;
        maps[2] = s.a2;
        maps[3] = s.a3;
        maps[4] = s.b0;
        maps[5] = s.b1;
        maps[6] = s.b2;
        maps[7] = s.b3;
        maps += 8;
    }
    if (p->bricks & 1) {
        const he_sums s = he_lego_bricks(p, 1, layout, lines, &w);
        maps[0] = s.a0;
        maps[1] = s.a1;
        maps[2] = s.a2;
        maps[3] = s.a3;
    }
}

/* s += maps[*index] at four positions, and on to the next index. */
HE_ALWAYS_INLINE void he_lego_add(he_sums *s, const int32_t *maps, const uint8_t **index)
{
#if defined(HE_DSP_EMULATION) && HE_DSP_EMULATION
    const int32_t *const map = maps + 4 * *(*index)++;
    s->a0 = (int32_t)((uint32_t)s->a0 + (uint32_t)map[0]);
    s->a1 = (int32_t)((uint32_t)s->a1 + (uint32_t)map[1]);
    s->a2 = (int32_t)((uint32_t)s->a2 + (uint32_t)map[2]);
    s->a3 = (int32_t)((uint32_t)s->a3 + (uint32_t)map[3]);
#else
    /* As it is written: the compiler would fetch all maps before it adds up, and spill them. */
    uint32_t u, v;
    const int32_t *map;
    __asm__ volatile("ldrb %[map], [%[index]], #1\n\tadd %[map], %[maps], %[map], lsl #4\n\t"
                     "ldrd %[u], %[v], [%[map]]\n\tadd %[a0], %[a0], %[u]\n\tadd %[a1], %[a1], %[v]\n\t"
                     "ldrd %[u], %[v], [%[map], #8]\n\tadd %[a2], %[a2], %[u]\n\tadd %[a3], %[a3], %[v]"
                     : [a0] "+&r"(s->a0), [a1] "+&r"(s->a1), [a2] "+&r"(s->a2), [a3] "+&r"(s->a3),
                       [index] "+&r"(*index), [map] "=&r"(map), [u] "=&r"(u), [v] "=&r"(v)
                     : [maps] "r"(maps)
                     : "memory");
#endif
}

/* Merge: all filters at `count` positions, four or fewer; y [positions][filters]. */
HE_ALWAYS_INLINE void he_lego_merge(const he_lego_conv_s8_dsp_params *p, const int32_t *maps, int32_t count, int8_t *y)
{
    const he_dot_s8 *const dot = &p->merge;
    const int32_t *channel = dot->channel;
    const uint8_t *index = p->indices;
    for (int32_t left = dot->channels; left > 0; --left) {
        const int32_t start = channel[0];
        he_sums s = {start, start, start, start, 0, 0, 0, 0};
        const int32_t *of = maps;
        HE_UNROLL
        for (int32_t f = p->fragments; f > 0; --f) {
            he_lego_add(&s, of, &index);
            of += p->step;
        }
        const bool alike = p->words == 2;
        const int32_t whole[] = {start, channel[1], alike ? p->rounding : channel[2], alike ? 0 : channel[3]};
        if (count >= 4) {
            he_tile_s8_store(dot, (const uint32_t *)whole + 1, s.a0, s.a1, s.a2, s.a3, y);
        } else {
            const int32_t sums[3] = {s.a0, s.a1, s.a2};
            for (int32_t n = 0; n < count; ++n) {
                y[n * dot->channels] = he_requantize_s8_sum(&dot->requantize, whole, sums[n]);
            }
        }
        channel += p->words;
        ++y;
    }
}

/* With constant params and layout everything folds that does not depend on the data: there is no copy for all layers,
 * which would be three times as large as that of one. input [H,W,C], output [OH,OW,O]; scratch starts at a multiple
 * of 4. */
HE_ALWAYS_INLINE void he_lego_conv_s8_dsp_inline(const he_lego_conv_s8_dsp_params *p, int32_t layout,
                                                 const int8_t *input, int8_t *output, uint8_t *scratch)
{
    uint32_t *const lines = (uint32_t *)(void *)scratch;
    int32_t *const maps = (int32_t *)(void *)(lines + p->rows * ((p->channels + 3) >> 2) * 2 * p->line);
    for (int32_t oy = 0; oy < p->output_h; ++oy) {
        for (int32_t next = 0; next < p->output_w; next += 4) {
            /* The last four of a row may be computed in part once more. */
            const int32_t ox = p->output_w >= 4 && next > p->output_w - 4 ? p->output_w - 4 : next;
            const int8_t *fragment = input;
            int32_t *to = maps;
            for (int32_t f = p->fragments; f > 0; --f) {
                he_lego_widen(p, layout, fragment, oy, ox, lines);
                he_lego_transform(p, layout, lines, to);
                fragment += p->channels;
                to += 4 * p->bricks;
            }
            he_lego_merge(p, maps, p->output_w, output + (oy * p->output_w + ox) * p->merge.channels);
        }
    }
}

#endif
#endif
