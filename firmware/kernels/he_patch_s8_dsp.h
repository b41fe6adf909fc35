/* SPDX-License-Identifier: Apache-2.0
 *
 * The inputs of one output position (a patch), widened from int8 to pairs of int16, the first in the low half.
 *
 * In NHWC the taps of one filter row are neighbours: a run of filter_w * C bytes (of C bytes if the filter is
 * dilated in width). Four bytes [b0 b1 b2 b3] become the pairs (b0, b2), (b1, b3), two instructions; what is left
 * of a run becomes (b0), (b0, b1) or (b0, b2), (b1). If runs are single bytes, those of two neighbouring taps
 * become a pair. Weights come in the same order, zero where a pair is not full, so that anything may stand there.
 * Only the bytes of taps are read.
 *
 * For joined weights (he_dot_s8_dsp.h) the four bytes become the pairs (y1, y3), (256 b0 - y1, 256 b2 - y3), y =
 * b - 127, one instruction more; what is left of a run also becomes two pairs, with y = 0 where there is no tap.
 */
#ifndef HE_PATCH_S8_DSP_H
#define HE_PATCH_S8_DSP_H

#include "he_dsp.h"

#if HE_USE_DSP

#include <stdbool.h>

/* A convolution's geometry. */
typedef struct {
    int32_t input_h, input_w, input_c;
    int32_t output_w;
    int32_t stride_h, stride_w;
    int32_t pad_top, pad_left;
    int32_t rows, row_dilation;       /* of the filter */
    int32_t segments, column_dilation; /* runs in a filter row */
    int32_t columns;                   /* input columns that a run covers */
    int32_t paired;                    /* 1: runs are single bytes along one axis, two form a pair */
    int32_t joined;                    /* 1: for HE_WEIGHTS_JOINED, never with `paired` */
    int32_t zero_point;
} he_geometry;

/* What a run becomes. */
enum {
    HE_PAIRS = 0,
    HE_QUADS = 1, /* the same, but of what is left two pairs: he_join then makes the next of it */
    HE_JOINED = 2
};

/* Four bytes as two pairs. Whether the form is HE_JOINED is known to the compiler everywhere. */
HE_ALWAYS_INLINE he_words he_widen_4(int32_t form, uint32_t bytes)
{
    if (form == HE_JOINED) {
        const uint32_t odd = he_sxtab16_ror8(0xFF81FF81U, bytes); /* -127 */
        return (he_words){odd, he_ssub16((bytes << 8) & 0xFF00FF00U, odd)};
    }
    return (he_words){he_sxtb16(bytes), he_sxtb16_ror8(bytes)};
}

/* One to three bytes as two pairs; with HE_PAIRS the second counts for three only. */
HE_ALWAYS_INLINE he_words he_widen_rest(int32_t form, int32_t rest, const int8_t *x)
{
    const uint32_t even = rest == 1 ? (uint32_t)x[0] : he_pair(x[0], x[rest - 1]);
    if (form == HE_JOINED) {
        const uint32_t odd = rest == 3 ? (uint32_t)(x[1] - 127) & 0xFFFFU : 0U;
        return (he_words){odd, he_ssub16((even << 8) & 0xFF00FF00U, odd)};
    }
    return (he_words){even, rest == 3 ? (uint32_t)x[1] : 0U};
}

/* Widen one run into every `step`-th word from `to` on; returns behind the last. */
HE_ALWAYS_INLINE uint32_t *he_widen_run(uint32_t *to, int32_t step, const int8_t *x, int32_t run, int32_t form)
{
    for (int32_t quads = run >> 2; quads > 0; --quads) {
        const he_words w = he_widen_4(form, he_next_4(&x));
        to[0] = w.first;
        to[step] = w.second;
        to += 2 * step;
    }
    if (run & 3) {
        const he_words w = he_widen_rest(form, run & 3, x);
        to[0] = w.first;
        to += step;
        if (form != HE_PAIRS || (run & 3) == 3) {
            to[0] = w.second;
            to += step;
        }
    }
    return to;
}

/* The same for four positions at once: x, x + d1, x + d2, x + d3 into [pairs][4 positions]. */
HE_ALWAYS_INLINE uint32_t *he_widen_four_runs(uint32_t *to, const int8_t *x, int32_t d1, int32_t d2, int32_t d3,
                                              int32_t run, int32_t form)
{
    for (int32_t quads = run >> 2; quads > 0; --quads) {
        const uint32_t b1 = he_load_4(x + d1), b2 = he_load_4(x + d2), b3 = he_load_4(x + d3);
        const he_words w0 = he_widen_4(form, he_next_4(&x)), w1 = he_widen_4(form, b1),
                       w2 = he_widen_4(form, b2), w3 = he_widen_4(form, b3);
        he_put_two(&to, w0.first, w1.first);
        he_put_two(&to, w2.first, w3.first);
        he_put_two(&to, w0.second, w1.second);
        he_put_two(&to, w2.second, w3.second);
    }
    if (run & 3) {
        const int32_t rest = run & 3;
        const he_words w0 = he_widen_rest(form, rest, x), w1 = he_widen_rest(form, rest, x + d1),
                       w2 = he_widen_rest(form, rest, x + d2), w3 = he_widen_rest(form, rest, x + d3);
        he_put_two(&to, w0.first, w1.first);
        he_put_two(&to, w2.first, w3.first);
        if (form != HE_PAIRS || rest == 3) {
            he_put_two(&to, w0.second, w1.second);
            he_put_two(&to, w2.second, w3.second);
        }
    }
    return to;
}

/* Taps of one byte each, tap_step bytes apart, two to a pair, of four positions. */
HE_ALWAYS_INLINE void he_widen_four_paired(uint32_t *to, const int8_t *x, int32_t d1, int32_t d2, int32_t d3,
                                           int32_t taps, int32_t tap_step)
{
    for (; taps >= 2; taps -= 2) {
        const int8_t *const next = x + tap_step;
        he_put_two(&to, he_pair(x[0], next[0]), he_pair(x[d1], next[d1]));
        he_put_two(&to, he_pair(x[d2], next[d2]), he_pair(x[d3], next[d3]));
        x = next + tap_step;
    }
    if (taps) {
        he_put_two(&to, (uint32_t)x[0], (uint32_t)x[d1]);
        he_put_two(&to, (uint32_t)x[d2], (uint32_t)x[d3]);
    }
}

/* A run of which `count` bytes, from byte `first` on, lie inside the input at `from`; built in `stage`, which has as
 * many bytes as the run, rounded up to 4. */
void he_stage_run(int32_t zero_point, int32_t run, const int8_t *from, int32_t first, int32_t count, int8_t *stage);

/* `bytes` times the zero_point, a multiple of 4. */
HE_ALWAYS_INLINE uint32_t *he_widen_nothing(uint32_t *to, int32_t step, int32_t zero_point, int32_t bytes,
                                            int32_t form)
{
    const he_words w = he_widen_4(form, ((uint32_t)zero_point & 0xFFU) * 0x01010101U);
    for (; bytes > 0; bytes -= 4) {
        to[0] = w.first;
        to[step] = w.second;
        to += 2 * step;
    }
    return to;
}

/* Taps of one byte each, two to a pair. Along the other axis the filter is one tap wide, which is always inside. */
HE_ALWAYS_INLINE void he_widen_paired(const he_geometry *g, const int8_t *input, int32_t top, int32_t left,
                                      uint32_t *to, int32_t step)
{
    const bool down = g->rows > 1;
    const int32_t limit = down ? g->input_h : g->input_w, unit = down ? g->input_w : 1;
    const int32_t dilation = down ? g->row_dilation : g->column_dilation;
    const int8_t *const line = input + (down ? left : top * g->input_w);
    int32_t at = down ? top : left;
    for (int32_t taps = g->rows * g->segments; taps > 0; taps -= 2) {
        const int32_t first = (uint32_t)at < (uint32_t)limit ? line[at * unit] : g->zero_point;
        at += dilation;
        const int32_t second = (uint32_t)at < (uint32_t)limit ? line[at * unit] : g->zero_point;
        at += dilation;
        *to = he_pair(first, second); /* behind an odd number of taps anything may stand */
        to += step;
    }
}

/* Returns behind the last. */
HE_ALWAYS_INLINE uint32_t *he_widen_runs(const he_geometry *g, const int8_t *input, int32_t top, int32_t left,
                                         uint32_t *to, int32_t step, int8_t *stage, int32_t form)
{
    const int32_t c = g->input_c, run = g->columns * c;
    int32_t y = top;
    for (int32_t i = g->rows; i > 0; --i, y += g->row_dilation) {
        int32_t x = left;
        for (int32_t j = g->segments; j > 0; --j, x += g->column_dilation) {
            const int32_t first = x < 0 ? -x : 0;
            const int32_t end = g->columns < g->input_w - x ? g->columns : g->input_w - x;
            const bool some = y >= 0 && y < g->input_h && first < end;
            const int8_t *from = some ? input + (y * g->input_w + x + first) * c : input;
            const int32_t before = some ? first * c : 0, count = some ? (end - first) * c : 0;
            if (c % 4 == 0) { /* whole quads lie outside */
                to = he_widen_nothing(to, step, g->zero_point, before, form);
                to = he_widen_run(to, step, from, count, form);
                to = he_widen_nothing(to, step, g->zero_point, run - before - count, form);
                continue;
            }
            if (count != run) {
                he_stage_run(g->zero_point, run, from, before, count, stage);
                from = stage;
            }
            to = he_widen_run(to, step, from, run, form);
        }
    }
    return to;
}

/* From HE_QUADS to HE_JOINED. */
HE_ALWAYS_INLINE void he_join(uint32_t *at, const uint32_t *end, int32_t step)
{
    for (; at != end; at += 2 * step) {
        const uint32_t odd = he_ssub16(at[step], 0x007F007FU);
        at[step] = he_ssub16((at[0] << 8) & 0xFF00FF00U, odd);
        at[0] = odd;
    }
}

/* Widen the patch of output position (oy, ox), any of whose taps may lie outside the input: those become the
 * zero_point. Pair p goes to to[p * step]. stage: as for he_stage_run. */
HE_ALWAYS_INLINE void he_widen_border_inline(const he_geometry *g, const int8_t *input, int32_t oy, int32_t ox,
                                             uint32_t *to, int32_t step, int8_t *stage)
{
    const int32_t top = oy * g->stride_h - g->pad_top, left = ox * g->stride_w - g->pad_left;
    if (g->paired) {
        he_widen_paired(g, input, top, left, to, step);
    } else {
        (void)he_widen_runs(g, input, top, left, to, step, stage, g->joined ? HE_JOINED : HE_PAIRS);
    }
}

/* The same, one copy for all layers. */
void he_widen_border(const he_geometry *g, const int8_t *input, int32_t oy, int32_t ox, uint32_t *to, int32_t step,
                     int8_t *stage);

#endif
#endif
