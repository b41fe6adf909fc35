/* SPDX-License-Identifier: Apache-2.0
 *
 * Patches at the border of an input, what all layers share: see he_patch_s8_dsp.h.
 */
#include "he_patch_s8_dsp.h"

#if HE_USE_DSP

void he_stage_run(int32_t zero_point, int32_t run, const int8_t *from, int32_t first, int32_t count, int8_t *stage)
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

void he_widen_border(const he_geometry *g, const int8_t *input, int32_t oy, int32_t ox, uint32_t *to, int32_t step,
                     int8_t *stage)
{
    const int32_t top = oy * g->stride_h - g->pad_top, left = ox * g->stride_w - g->pad_left;
    if (g->paired) {
        he_widen_paired(g, input, top, left, to, step);
        return;
    }
    /* Joined afterwards: one loop more is shorter than each of those before once more. */
    const uint32_t *const end = he_widen_runs(g, input, top, left, to, step, stage, g->joined ? HE_QUADS : HE_PAIRS);
    if (g->joined) {
        he_join(to, end, step);
    }
}

#endif
