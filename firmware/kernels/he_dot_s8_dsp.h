/* SPDX-License-Identifier: Apache-2.0
 *
 * Dot products of int8 with the DSP instructions, requantised and stored: the core of convolution and fully
 * connected. Inputs come widened to pairs of int16 (he_patch_s8_dsp.h), with padding as the zero_point, whose
 * share of every sum is part of the channel's bias. Sums are int32 and wrap.
 *
 * he_tile_s8    four positions, all channels: two channels at a time keep eight sums in registers
 * he_row_s8     one position, all channels: four channels at a time
 *
 * Weights are words in the order of use, each channel group's after the last one's:
 *   HE_WEIGHTS_16    pairs of int16.   Tile: (pair of channel 0, of channel 1) for each pair of taps.
 *                                      Row: (first pair, second pair) of each of 4 channels for each two pairs.
 *   HE_WEIGHTS_8     bytes.            Tile: [c0k0, c1k0, c0k1, c1k1] for each pair of taps.
 *                                      Row: [k0, k2, k1, k3] of each of 4 channels for each two pairs.
 *   HE_WEIGHTS_JOINED  bytes, those of four taps as the pairs (k0 + 256 k2, k1 + 256 k3).
 *                                      Tile: of channel 0, of channel 1 for each two pairs.
 *                                      Row: of each of 4 channels for each two pairs.
 * What is left of channels goes one by one: in a tile as pairs of int16 or joined, in a row in the row's layout.
 *
 * In front of the weights of each two channels of a tile (or of the last) stand the biases of these, behind them
 * multiplier, rounding and shift of each: what two pointers would walk along, one does. A row has a table of channels.
 *
 * Joined weights meet inputs that are joined, too: of two pairs (x0, x1), (x2, x3) there stand (y2, y3) and
 * (256 x0 - y2, 256 x1 - y3), y = x - 127. The weights as they are times the first, and SXTB16 of the weights,
 * (k0, k1), times the second make 256 times the sum: half as many bytes of weights as with int16, and one instruction
 * for each two pairs instead of the two that take both halves out of bytes. All these fit int16, and what 127 adds is
 * part of the bias, which is 256 times as large.
 */
#ifndef HE_DOT_S8_DSP_H
#define HE_DOT_S8_DSP_H

#include "he_dsp.h"

#if HE_USE_DSP

#include "he_requantize_dsp.h"

enum { HE_WEIGHTS_16 = 0, HE_WEIGHTS_8 = 1, HE_WEIGHTS_JOINED = 2 }; /* a layout */

typedef struct {
    int32_t pairs; /* of taps, those that fill up included; even for a row and for joined weights */
    int32_t unroll; /* pairs in a round of a tile's loop: 4, with code of its own also 8 or,
                       where so many are all or weights are joined, 16 */
    int32_t channels;
    const uint32_t *weights;
    const int32_t *channel; /* [channels][HE_CHANNEL_WORDS]; of a row */
    he_requantize_s8 requantize;
} he_dot_s8;

/* Sums of channel a and channel b at up to four positions (tile), or of up to four channels (row: a). */
typedef struct {
    int32_t a0, a1, a2, a3, b0, b1, b2, b3;
} he_sums;

#include "he_tile_s8_asm.h"

/* The next weights of one or two channels. `channels` and `layout` are constants everywhere. */
HE_ALWAYS_INLINE he_words he_tile_s8_weights(int channels, int32_t layout, const uint32_t **w)
{
    if (channels == 1) {
        return (he_words){he_next_word(w), 0};
    }
    if (layout != HE_WEIGHTS_8) {
        return he_next_two(w);
    }
    const uint32_t bytes = he_next_word(w);
    return (he_words){he_sxtb16(bytes), he_sxtb16_ror8(bytes)};
}

/* The first pair of taps, from a and b. */
HE_ALWAYS_INLINE he_sums he_tile_s8_first(int channels, he_words v, int32_t a, int32_t b, const uint32_t **x)
{
    he_sums s = {0, 0, 0, 0, 0, 0, 0, 0};
    he_words u = he_next_two(x);
    s.a0 = he_smlad_first(u.first, v.first, a);
    s.a1 = he_smlad_first(u.second, v.first, a);
    if (channels == 2) {
        s.b0 = he_smlad_first(u.first, v.second, b);
        s.b1 = he_smlad_first(u.second, v.second, b);
    }
    u = he_next_two(x);
    s.a2 = he_smlad_first(u.first, v.first, a);
    s.a3 = he_smlad_first(u.second, v.first, a);
    if (channels == 2) {
        s.b2 = he_smlad_first(u.first, v.second, b);
        s.b3 = he_smlad_first(u.second, v.second, b);
    }
    return s;
}

/* One more pair of taps: with two channels 8 SMLAD, 2 LDRD of inputs. */
HE_ALWAYS_INLINE void he_tile_s8_pair(int channels, he_words v, he_sums *s, const uint32_t **x)
{
    he_words u = he_next_two(x);
    he_smlad_to(&s->a0, u.first, v.first);
    he_smlad_to(&s->a1, u.second, v.first);
    if (channels == 2) {
        he_smlad_to(&s->b0, u.first, v.second);
        he_smlad_to(&s->b1, u.second, v.second);
    }
    u = he_next_two(x);
    he_smlad_to(&s->a2, u.first, v.first);
    he_smlad_to(&s->a3, u.second, v.first);
    if (channels == 2) {
        he_smlad_to(&s->b2, u.first, v.second);
        he_smlad_to(&s->b3, u.second, v.second);
    }
}

/* The second of two pairs, with joined weights. */
HE_ALWAYS_INLINE void he_tile_s8_second(int channels, int32_t layout, he_words v, he_sums *s, const uint32_t **x)
{
    if (layout == HE_WEIGHTS_JOINED) {
        he_tile_s8_pair(channels, (he_words){he_sxtb16(v.first), he_sxtb16(v.second)}, s, x);
    }
}

/* One pair of taps more, with joined weights two. */
HE_ALWAYS_INLINE void he_tile_s8_step(int channels, int32_t layout, he_sums *s, const uint32_t **x,
                                      const uint32_t **w)
{
    const he_words v = he_tile_s8_weights(channels, layout, w);
    he_tile_s8_pair(channels, v, s, x);
    he_tile_s8_second(channels, layout, v, s, x);
}

/* All pairs of taps of a tile; *w then points behind their weights. The end of the loop is read from the stack in
 * each round: no register is left for it. */
HE_ALWAYS_INLINE he_sums he_tile_s8_taps(int channels, int32_t layout, int32_t unroll, int32_t pairs, int32_t a,
                                         int32_t b, const uint32_t *x, const uint32_t **weights)
{
#if HE_TILE_S8_ASM
    if (channels == 2) {
        return he_tile_s8_two(layout, unroll, pairs, a, b, x, weights);
    }
#endif
    const uint32_t *w = *weights;
    if (unroll >= 8 && pairs <= 8) {
        HE_FREE_REGISTERS(); /* in straight code the compiler would keep the caller's addresses, not the sums */
    }
    const he_words v = he_tile_s8_weights(channels, layout, &w);
    he_sums s = he_tile_s8_first(channels, v, a, b, &x);
    he_tile_s8_second(channels, layout, v, &s, &x);
    const int32_t joined = layout == HE_WEIGHTS_JOINED ? 1 : 0;
    const int32_t steps = (pairs >> joined) - 1, round = unroll >> joined;
    switch (steps & (round - 1)) {
    case 15:
        he_tile_s8_step(channels, layout, &s, &x, &w); /* fallthrough */
    case 14:
        he_tile_s8_step(channels, layout, &s, &x, &w); /* fallthrough */
    case 13:
        he_tile_s8_step(channels, layout, &s, &x, &w); /* fallthrough */
    case 12:
        he_tile_s8_step(channels, layout, &s, &x, &w); /* fallthrough */
    case 11:
        he_tile_s8_step(channels, layout, &s, &x, &w); /* fallthrough */
    case 10:
        he_tile_s8_step(channels, layout, &s, &x, &w); /* fallthrough */
    case 9:
        he_tile_s8_step(channels, layout, &s, &x, &w); /* fallthrough */
    case 8:
        he_tile_s8_step(channels, layout, &s, &x, &w); /* fallthrough */
    case 7:
        he_tile_s8_step(channels, layout, &s, &x, &w); /* fallthrough */
    case 6:
        he_tile_s8_step(channels, layout, &s, &x, &w); /* fallthrough */
    case 5:
        he_tile_s8_step(channels, layout, &s, &x, &w); /* fallthrough */
    case 4:
        he_tile_s8_step(channels, layout, &s, &x, &w); /* fallthrough */
    case 3:
        he_tile_s8_step(channels, layout, &s, &x, &w); /* fallthrough */
    case 2:
        he_tile_s8_step(channels, layout, &s, &x, &w); /* fallthrough */
    case 1:
        he_tile_s8_step(channels, layout, &s, &x, &w); /* fallthrough */
    default:
        break;
    }
    if (steps >= round) {
        const uint32_t *volatile end = x + (4 << joined) * (steps & ~(round - 1));
        do {
            he_tile_s8_step(channels, layout, &s, &x, &w);
            he_tile_s8_step(channels, layout, &s, &x, &w);
            if (round >= 4) {
                he_tile_s8_step(channels, layout, &s, &x, &w);
                he_tile_s8_step(channels, layout, &s, &x, &w);
            }
            if (round == 8) {
                he_tile_s8_step(channels, layout, &s, &x, &w);
                he_tile_s8_step(channels, layout, &s, &x, &w);
                he_tile_s8_step(channels, layout, &s, &x, &w);
                he_tile_s8_step(channels, layout, &s, &x, &w);
            }
        } while (x != end);
    }
    *weights = w;
    return s;
}

/* `scale`: multiplier, rounding and shift of a channel. */
HE_ALWAYS_INLINE void he_tile_s8_store_inline(const he_dot_s8 *dot, const uint32_t *scale, int32_t s0, int32_t s1,
                                              int32_t s2, int32_t s3, int8_t *y)
{
    he_requantize_s8 r = dot->requantize;
    he_channel_s8 c = {0, (int32_t)scale[0], (int32_t)scale[1], (int32_t)scale[2]};
    he_requantize_as_one(&r, &c);
    const int32_t n = dot->channels;
    y[0] = he_requantize_s8_shifts(&r, c, s0);
    y[n] = he_requantize_s8_shifts(&r, c, s1);
    y[2 * n] = he_requantize_s8_shifts(&r, c, s2);
    y[3 * n] = he_requantize_s8_shifts(&r, c, s3);
}

__attribute__((noinline, unused)) static void he_tile_s8_store_any(const he_dot_s8 *dot, const uint32_t *scale,
                                                                   int32_t s0, int32_t s1, int32_t s2, int32_t s3,
                                                                   int8_t *y)
{
    he_tile_s8_store_inline(dot, scale, s0, s1, s2, s3, y);
}

/* Requantise and store the sums of one channel at four positions. */
HE_ALWAYS_INLINE void he_tile_s8_store(const he_dot_s8 *dot, const uint32_t *scale, int32_t s0, int32_t s1,
                                       int32_t s2, int32_t s3, int8_t *y)
{
    if (__builtin_constant_p(dot->requantize.form)) {
        he_tile_s8_store_inline(dot, scale, s0, s1, s2, s3, y);
    } else {
        he_tile_s8_store_any(dot, scale, s0, s1, s2, s3, y);
    }
}

#define HE_SCALE_WORDS (HE_CHANNEL_WORDS - 1)

/* Words of two channels in a tile. */
HE_ALWAYS_INLINE int32_t he_tile_s8_words(const he_dot_s8 *dot, int32_t layout)
{
    return 2 * HE_CHANNEL_WORDS + (layout == HE_WEIGHTS_16 ? 2 * dot->pairs : dot->pairs);
}

/* `count` channels from an even `first` on; an odd count is that of the last. tile [pairs][4 positions];
 * y [4][channels]. */
HE_ALWAYS_INLINE void he_tile_s8(const he_dot_s8 *dot, int32_t layout, int32_t first, int32_t count,
                                 const uint32_t *tile, int8_t *y)
{
    const int32_t unroll = layout == HE_WEIGHTS_8 ? 4 : dot->unroll;
    const uint32_t *w = dot->weights + (first >> 1) * he_tile_s8_words(dot, layout);
    y += first;
    for (int32_t left = count >> 1; left > 0; --left) {
        const he_words start = he_next_two(&w);
        const he_sums s = he_tile_s8_taps(2, layout, unroll, dot->pairs, (int32_t)start.first, (int32_t)start.second,
                                          tile, &w);
        he_tile_s8_store(dot, w, s.a0, s.a1, s.a2, s.a3, y);
        he_tile_s8_store(dot, w + HE_SCALE_WORDS, s.b0, s.b1, s.b2, s.b3, y + 1);
        w += 2 * HE_SCALE_WORDS;
        y += 2;
    }
    if (count & 1) {
        const int32_t a = (int32_t)he_next_word(&w);
        const he_sums s = he_tile_s8_taps(1, layout, unroll, dot->pairs, a, 0, tile, &w);
        he_tile_s8_store(dot, w, s.a0, s.a1, s.a2, s.a3, y);
    }
}

/* Two channels (or one) at the tile's first position, from a and b. */
HE_ALWAYS_INLINE he_sums he_tile_s8_one(int channels, int32_t layout, int32_t pairs, int32_t a, int32_t b,
                                        const uint32_t *x, const uint32_t **w)
{
    he_sums s = {a, 0, 0, 0, b, 0, 0, 0};
    const int32_t joined = layout == HE_WEIGHTS_JOINED ? 1 : 0;
    HE_UNROLL_SOME
    for (int32_t left = pairs >> joined; left > 0; --left) {
        const he_words v = he_tile_s8_weights(channels, layout, w);
        uint32_t u = x[0];
        x += 4;
        he_smlad_to(&s.a0, u, v.first);
        if (channels == 2) {
            he_smlad_to(&s.b0, u, v.second);
        }
        if (joined) {
            u = x[0];
            x += 4;
            he_smlad_to(&s.a0, u, he_sxtb16(v.first));
            if (channels == 2) {
                he_smlad_to(&s.b0, u, he_sxtb16(v.second));
            }
        }
    }
    return s;
}

HE_ALWAYS_INLINE int8_t he_tile_s8_scaled(const he_dot_s8 *dot, const uint32_t *scale, int32_t sum)
{
    const he_channel_s8 channel = {0, (int32_t)scale[0], (int32_t)scale[1], (int32_t)scale[2]};
    return he_requantize_s8_inline(&dot->requantize, channel, sum);
}

/* Four channels, the last two `next` words behind the first, at the tile's first position; *weights then points behind
 * the weights of the first two. */
HE_ALWAYS_INLINE void he_tile_s8_four(const he_dot_s8 *dot, int32_t layout, int32_t next, const uint32_t *x,
                                      const uint32_t *w, int8_t *y)
{
    const uint32_t *v = w + next;
    const he_words start = he_next_two(&w), start2 = he_next_two(&v);
    he_sums s = {(int32_t)start.first, (int32_t)start.second, (int32_t)start2.first, (int32_t)start2.second, 0, 0, 0, 0};
    const int32_t joined = layout == HE_WEIGHTS_JOINED ? 1 : 0;
    HE_UNROLL_SOME
    for (int32_t left = dot->pairs >> joined; left > 0; --left) {
        const he_words a = he_tile_s8_weights(2, layout, &w), b = he_tile_s8_weights(2, layout, &v);
        uint32_t u = x[0];
        x += 4;
        he_smlad_to(&s.a0, u, a.first);
        he_smlad_to(&s.a1, u, a.second);
        he_smlad_to(&s.a2, u, b.first);
        he_smlad_to(&s.a3, u, b.second);
        if (joined) {
            u = x[0];
            x += 4;
            he_smlad_to(&s.a0, u, he_sxtb16(a.first));
            he_smlad_to(&s.a1, u, he_sxtb16(a.second));
            he_smlad_to(&s.a2, u, he_sxtb16(b.first));
            he_smlad_to(&s.a3, u, he_sxtb16(b.second));
        }
    }
    y[0] = he_tile_s8_scaled(dot, w, s.a0);
    y[1] = he_tile_s8_scaled(dot, w + HE_SCALE_WORDS, s.a1);
    y[2] = he_tile_s8_scaled(dot, v, s.a2);
    y[3] = he_tile_s8_scaled(dot, v + HE_SCALE_WORDS, s.a3);
}

/* As he_tile_s8 for one position, the tile's first. With constant params only. */
HE_ALWAYS_INLINE void he_tile_s8_position(const he_dot_s8 *dot, int32_t layout, int32_t first, int32_t count,
                                          const uint32_t *tile, int8_t *y)
{
    const int32_t words = he_tile_s8_words(dot, layout);
    const uint32_t *w = dot->weights + (first >> 1) * words;
    y += first;
    for (int32_t left = count >> 2; left > 0; --left) {
        he_tile_s8_four(dot, layout, words, tile, w, y);
        w += 2 * words;
        y += 4;
    }
    if (count & 2) {
        const he_words start = he_next_two(&w);
        const he_sums s = he_tile_s8_one(2, layout, dot->pairs, (int32_t)start.first, (int32_t)start.second, tile, &w);
        y[0] = he_tile_s8_scaled(dot, w, s.a0);
        y[1] = he_tile_s8_scaled(dot, w + HE_SCALE_WORDS, s.b0);
        w += 2 * HE_SCALE_WORDS;
        y += 2;
    }
    if (count & 1) {
        const int32_t a = (int32_t)he_next_word(&w);
        const he_sums s = he_tile_s8_one(1, layout, dot->pairs, a, 0, tile, &w);
        y[0] = he_tile_s8_scaled(dot, w, s.a0);
    }
}

/* Two pairs that are joined, times weights that are: 256 times their product is added. */
HE_ALWAYS_INLINE void he_joined_step(int32_t *sum, he_words x, uint32_t w)
{
    he_smlad_to(sum, x.first, w);
    he_smlad_to(sum, x.second, he_sxtb16(w));
}

/* Two pairs of taps of one channel. */
HE_ALWAYS_INLINE void he_row_s8_step(int32_t layout, int32_t *sum, he_words u, const uint32_t **w)
{
    he_words v;
    if (layout == HE_WEIGHTS_16) {
        v = he_next_two(w);
    } else {
        const uint32_t bytes = he_next_word(w);
        v.first = he_sxtb16(bytes);
        v.second = he_sxtb16_ror8(bytes);
    }
    he_smlad_to(sum, u.first, v.first);
    he_smlad_to(sum, u.second, v.second);
}

/* Two pairs of taps of four channels. */
HE_ALWAYS_INLINE void he_row_s8_four(int32_t layout, he_sums *s, const uint32_t **x, const uint32_t **w)
{
    const he_words u = he_next_two(x);
    if (layout == HE_WEIGHTS_JOINED) {
        he_words v = he_next_two(w);
        he_joined_step(&s->a0, u, v.first);
        he_joined_step(&s->a1, u, v.second);
        v = he_next_two(w);
        he_joined_step(&s->a2, u, v.first);
        he_joined_step(&s->a3, u, v.second);
        return;
    }
    he_row_s8_step(layout, &s->a0, u, w);
    he_row_s8_step(layout, &s->a1, u, w);
    he_row_s8_step(layout, &s->a2, u, w);
    he_row_s8_step(layout, &s->a3, u, w);
}

/* x [pairs]; y [channels]. */
HE_ALWAYS_INLINE void he_row_s8(const he_dot_s8 *dot, int32_t layout, const uint32_t *x, int8_t *y)
{
    const uint32_t *const end = x + dot->pairs;
    const uint32_t *w = dot->weights;
    const int32_t *channel = dot->channel;
    for (int32_t left = dot->channels >> 2; left > 0; --left) {
        const int32_t *const c1 = channel + HE_CHANNEL_WORDS, *const c2 = c1 + HE_CHANNEL_WORDS,
                      *const c3 = c2 + HE_CHANNEL_WORDS;
        he_sums s = {he_channel_at(channel).bias, he_channel_at(c1).bias, he_channel_at(c2).bias,
                     he_channel_at(c3).bias, 0, 0, 0, 0};
        const uint32_t *at = x;
        if (dot->pairs & 2) {
            he_row_s8_four(layout, &s, &at, &w);
        }
        while (at != end) {
            he_row_s8_four(layout, &s, &at, &w);
            he_row_s8_four(layout, &s, &at, &w);
        }
        y[0] = he_requantize_s8_sum(&dot->requantize, channel, s.a0);
        y[1] = he_requantize_s8_sum(&dot->requantize, c1, s.a1);
        y[2] = he_requantize_s8_sum(&dot->requantize, c2, s.a2);
        y[3] = he_requantize_s8_sum(&dot->requantize, c3, s.a3);
        channel += 4 * HE_CHANNEL_WORDS;
        y += 4;
    }
    for (int32_t left = dot->channels & 3; left > 0; --left) {
        int32_t sum = he_channel_at(channel).bias;
        const uint32_t *at = x;
        do {
            if (layout == HE_WEIGHTS_JOINED) {
                he_joined_step(&sum, he_next_two(&at), he_next_word(&w));
            } else {
                he_row_s8_step(layout, &sum, he_next_two(&at), &w);
            }
        } while (at != end);
        *y++ = he_requantize_s8_sum(&dot->requantize, channel, sum);
        channel += HE_CHANNEL_WORDS;
    }
}

#endif
#endif
