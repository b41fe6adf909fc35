/* SPDX-License-Identifier: Apache-2.0
 *
 * Patches at the border of an input: see he_patch_s8_dsp.h.
 */
#include "he_patch_s8_dsp.h"

#if HE_USE_DSP

#include <stdbool.h>

/* Taps of one byte each along one axis, two to a pair. */
static void widen_paired(const he_geometry *g, const int8_t *input, int32_t top, int32_t left, uint32_t *to,
                         int32_t step)
{
    const int32_t taps = g->rows * g->segments;
    const int32_t down = g->rows > 1 ? g->row_dilation : 0, right = g->rows > 1 ? 0 : g->column_dilation;
    int32_t y = top, x = left, first = 0;
    for (int32_t t = 0; t < taps; ++t) {
        const bool inside = y >= 0 && y < g->input_h && x >= 0 && x < g->input_w;
        const int32_t value = inside ? input[y * g->input_w + x] : g->zero_point;
        if (t & 1) {
            *to = he_pair(first, value);
            to += step;
        } else {
            first = value;
            *to = (uint32_t)value; /* the last of an odd number stays so */
        }
        y += down;
        x += right;
    }
}

/* A run of which `count` bytes, from byte `first` on, lie inside the input at `from`; built in `stage`. */
static void stage_run(int32_t zero_point, int32_t run, const int8_t *from, int32_t first, int32_t count,
                      int8_t *stage)
{
    const uint32_t fill = he_pair(zero_point & 0xFF, zero_point & 0xFF) * 0x101U;
    uint32_t *words = (uint32_t *)(void *)stage;
    for (; run > 0; run -= 4) {
        *words++ = fill;
        __asm__ volatile("" : : : "memory"); /* no call of memset */
    }
    int8_t *to = stage + first;
    for (; count >= 4; count -= 4) {
        const uint32_t four = he_next_4(&from);
        __builtin_memcpy(to, &four, sizeof four);
        to += 4;
    }
    for (; count > 0; --count) {
        *to++ = *from++;
        __asm__ volatile("" : : : "memory"); /* no call of memcpy */
    }
}

static void widen_runs(const he_geometry *g, const int8_t *input, int32_t top, int32_t left, uint32_t *to,
                       int32_t step, int8_t *stage)
{
    const int32_t c = g->input_c, run = g->columns * c;
    for (int32_t i = 0; i < g->rows; ++i) {
        const int32_t y = top + i * g->row_dilation;
        for (int32_t j = 0; j < g->segments; ++j) {
            const int32_t x = left + j * g->column_dilation;
            const int32_t first = x < 0 ? -x : 0;
            const int32_t end = g->columns < g->input_w - x ? g->columns : g->input_w - x;
            const bool some = y >= 0 && y < g->input_h && first < end;
            const int8_t *from = some ? input + (y * g->input_w + x + first) * c : input;
            const int32_t count = some ? (end - first) * c : 0;
            if (count != run) {
                stage_run(g->zero_point, run, from, some ? first * c : 0, count, stage);
                from = stage;
            }
            to = he_widen_run(to, step, from, run);
        }
    }
}

void he_widen_border(const he_geometry *g, const int8_t *input, int32_t position, uint32_t *to, int32_t step,
                     int8_t *stage)
{
    const int32_t oy = position / g->output_w, ox = position - oy * g->output_w;
    const int32_t top = oy * g->stride_h - g->pad_top, left = ox * g->stride_w - g->pad_left;
    if (g->paired) {
        widen_paired(g, input, top, left, to, step);
    } else {
        widen_runs(g, input, top, left, to, step, stage);
    }
}

#endif
