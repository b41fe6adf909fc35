/* SPDX-License-Identifier: Apache-2.0
 *
 * Convolution, int8, per-channel weights: the form for the DSP instructions, equal to he_conv_2d_s8.c bit for bit.
 *
 * Four successive output positions at a time, whatever row they lie in: their patches are widened into a tile of
 * scratch memory (he_patch_s8_dsp.h), those at the border once more by themselves, and from the tile all channels are
 * computed (he_dot_s8_dsp.h). The last tile starts earlier if fewer than four positions are left, and computes some
 * once more, or only those that are left, one by one. Fewer than four positions in all are computed one by one.
 *
 * Weights that exceed the cache of the flash would be missed by every tile. Then several tiles are widened side by side,
 * if the arena has room for them there, and channels are taken in blocks whose weights stay in the cache until all of
 * these tiles have met them. Without room each tile is widened once for each block.
 */
#ifndef HE_CONV_2D_S8_DSP_H
#define HE_CONV_2D_S8_DSP_H

#include "he_dsp.h"

#if HE_USE_DSP

#include <stdbool.h>

#include "he_dot_s8_dsp.h"
#include "he_patch_s8_dsp.h"

/* Field names as in Conv2DDspParams (harembed/ir/ops/conv_dsp.py). */
typedef struct {
    he_geometry geometry;
    int32_t positions;             /* output height * width */
    int32_t inner_top, inner_rows; /* outputs all of whose taps lie inside the input */
    int32_t inner_left, inner_columns;
    int32_t layout;                /* HE_WEIGHTS_16 or _8 */
    int32_t own_border;            /* 1: code for the border of its own, with constant params only */
    /* Both count with constant params only; results are the same. */
    int32_t block;                 /* channels at a time, an even number or all */
    int32_t tiles;                 /* side by side in the scratch; 1 or, with a block that they share, more */
    int32_t last;                  /* positions that are computed one by one, at the end: 0, 1 or 2 */
    int32_t tile;                  /* byte of the scratch where the tile (or row) starts; in front, a run has room */
    he_dot_s8 dot;                 /* of a tile, or of a row if there are fewer than four positions */
} he_conv_2d_s8_dsp_params;

/* Bytes of the input at which the patches of four positions start. */
typedef struct {
    int32_t at[4];
} he_conv_places;

HE_ALWAYS_INLINE int32_t he_conv_start(const he_geometry *g, int32_t oy, int32_t ox)
{
    return ((oy * g->stride_h - g->pad_top) * g->input_w + ox * g->stride_w - g->pad_left) * g->input_c;
}

/* Four positions from (oy, ox) on, the first of whose patches starts at byte `at`. Bit n of the result: patch n does
 * not lie inside the input, and places->at[n] is where another one does, if there is one. */
HE_ALWAYS_INLINE uint32_t he_conv_find_places_inline(const he_conv_2d_s8_dsp_params *p, int32_t oy, int32_t ox,
                                                     int32_t at, he_conv_places *places)
{
    const he_geometry *const g = &p->geometry;
    const int32_t step = g->stride_w * g->input_c;
    const int32_t inner = he_conv_start(g, p->inner_top, p->inner_left);
    uint32_t clipped = 0;
    for (uint32_t n = 0; n < 4U; ++n) {
        places->at[n] = at;
        if ((uint32_t)(oy - p->inner_top) >= (uint32_t)p->inner_rows
            || (uint32_t)(ox - p->inner_left) >= (uint32_t)p->inner_columns) {
            places->at[n] = inner;
            clipped |= 1U << n;
        }
        at += step;
        if (++ox == g->output_w) {
            ox = 0;
            ++oy;
            at = he_conv_start(g, oy, ox);
        }
    }
    return clipped;
}

/* Widen again those of four patches whose bit is set. */
HE_ALWAYS_INLINE void he_conv_widen_clipped_inline(const he_conv_2d_s8_dsp_params *p, bool own_border,
                                                   const int8_t *input, int32_t oy, int32_t ox, uint32_t clipped,
                                                   uint32_t *tile, int8_t *stage)
{
    for (; clipped != 0; clipped >>= 1) {
        if (clipped & 1U) {
            if (own_border) {
                he_widen_border_inline(&p->geometry, input, oy, ox, tile, 4, stage);
            } else {
                he_widen_border(&p->geometry, input, oy, ox, tile, 4, stage);
            }
        }
        if (++ox == p->geometry.output_w) {
            ox = 0;
            ++oy;
        }
        ++tile;
    }
}

/* The same two, one copy for all layers. */
uint32_t he_conv_find_places(const he_conv_2d_s8_dsp_params *p, int32_t oy, int32_t ox, int32_t at,
                             he_conv_places *places);
void he_conv_widen_clipped(const he_conv_2d_s8_dsp_params *p, const int8_t *input, int32_t oy, int32_t ox,
                           uint32_t clipped, uint32_t *tile, int8_t *stage);

/* Widen four patches that lie inside the input. */
HE_ALWAYS_INLINE void he_conv_widen(const he_geometry *g, const int8_t *input, he_conv_places places, uint32_t *tile)
{
    const int8_t *x = input + places.at[0];
    const int32_t d1 = places.at[1] - places.at[0], d2 = places.at[2] - places.at[0],
                  d3 = places.at[3] - places.at[0];
    const int32_t row_step = g->row_dilation * g->input_w * g->input_c;
    const int32_t segment_step = g->column_dilation * g->input_c;
    if (g->paired) {
        he_widen_four_paired(tile, x, d1, d2, d3, g->rows * g->segments, g->rows > 1 ? row_step : segment_step);
        return;
    }
    for (int32_t i = g->rows; i > 0; --i) {
        const int8_t *run = x;
        for (int32_t j = g->segments; j > 0; --j) {
            tile = he_widen_four_runs(tile, run, d1, d2, d3, g->columns * g->input_c,
                                      g->joined ? HE_JOINED : HE_PAIRS);
            run += segment_step;
        }
        x += row_step;
    }
}

/* Widen the patches of four positions from (oy, ox) on, the first of which starts at byte `at`. */
HE_ALWAYS_INLINE void he_conv_fill_tile(const he_conv_2d_s8_dsp_params *p, bool own_border, const int8_t *input,
                                        int32_t position, int32_t oy, int32_t ox, int32_t at, uint32_t *tile,
                                        int8_t *stage)
{
    const he_geometry *const g = &p->geometry;
    const int32_t step = g->stride_w * g->input_c;
    const int32_t to_next_row = (g->stride_h * g->input_w - g->output_w * g->stride_w) * g->input_c;
    const bool all_columns = p->inner_columns == g->output_w;
    const bool all_rows = p->inner_rows * g->output_w == p->positions;
    he_conv_places places = {{at, at + step, at + 2 * step, at + 3 * step}};
    bool border;
    if (all_columns && g->output_w >= 4) {
        /* Inner positions follow one another, and at most one row ends among four. */
        border = p->inner_rows < 1
            || (!all_rows
                && (uint32_t)(position - p->inner_top * g->output_w) > (uint32_t)(p->inner_rows * g->output_w - 4));
        places.at[1] += ox + 1 >= g->output_w ? to_next_row : 0;
        places.at[2] += ox + 2 >= g->output_w ? to_next_row : 0;
        places.at[3] += ox + 3 >= g->output_w ? to_next_row : 0;
    } else {
        border = p->inner_columns < 4 || (uint32_t)(ox - p->inner_left) > (uint32_t)(p->inner_columns - 4)
            || !(all_rows || (uint32_t)(oy - p->inner_top) < (uint32_t)p->inner_rows);
    }
    uint32_t clipped = 0;
    if (border) {
        clipped = own_border ? he_conv_find_places_inline(p, oy, ox, at, &places)
                                : he_conv_find_places(p, oy, ox, at, &places);
    }
    if (p->inner_rows > 0 && p->inner_columns > 0) {
        he_conv_widen(g, input, places, tile);
    }
    if (clipped != 0) {
        if (own_border) {
            he_conv_widen_clipped_inline(p, true, input, oy, ox, clipped, tile, stage);
        } else {
            he_conv_widen_clipped(p, input, oy, ox, clipped, tile, stage);
        }
    }
}

/* Some channels at the positions of a tile, the first of which is `position`: of the last tile, perhaps only of those
 * that no other has. */
HE_ALWAYS_INLINE void he_conv_tile(const he_conv_2d_s8_dsp_params *p, int32_t layout, int32_t first, int32_t count,
                                   int32_t position, const uint32_t *tile, int8_t *output)
{
    int8_t *const y = output + position * p->dot.channels;
    if (__builtin_constant_p(p->last) && p->last != 0 && position == p->positions - 4) {
        for (int32_t n = 4 - p->last; n < 4; ++n) {
            he_tile_s8_position(&p->dot, layout, first, count, tile + n, y + n * p->dot.channels);
        }
        return;
    }
    he_tile_s8(&p->dot, layout, first, count, tile, y);
}

/* All positions of all channels, several tiles at a time. */
HE_ALWAYS_INLINE void he_conv_tiles(const he_conv_2d_s8_dsp_params *p, int32_t layout, const int8_t *input,
                                    int8_t *output, uint8_t *scratch)
{
    const he_geometry *const g = &p->geometry;
    uint32_t *const tiles = (uint32_t *)(void *)(scratch + p->tile);
    for (int32_t begin = 0; begin < p->positions; begin += 4 * p->tiles) {
        const int32_t left = (p->positions - begin + 3) / 4, filled = left < p->tiles ? left : p->tiles;
        for (int32_t n = 0; n < filled; ++n) {
            const int32_t next = begin + 4 * n, most = p->positions - 4, position = next < most ? next : most;
            const int32_t oy = position / g->output_w, ox = position - oy * g->output_w;
            he_conv_fill_tile(p, layout != HE_WEIGHTS_8 && p->own_border, input, position, oy, ox,
                              he_conv_start(g, oy, ox), tiles + 4 * n * p->dot.pairs, (int8_t *)scratch);
        }
        for (int32_t first = 0; first < p->dot.channels; first += p->block) {
            const int32_t rest = p->dot.channels - first, count = rest < p->block ? rest : p->block;
            for (int32_t n = 0; n < filled; ++n) {
                const int32_t next = begin + 4 * n, most = p->positions - 4;
                he_conv_tile(p, layout, first, count, next < most ? next : most, tiles + 4 * n * p->dot.pairs, output);
            }
        }
    }
}

/* All positions of `count` channels from `first` on. */
HE_ALWAYS_INLINE void he_conv_block(const he_conv_2d_s8_dsp_params *p, int32_t layout, int32_t first, int32_t count,
                                    const int8_t *input, int8_t *output, uint8_t *scratch)
{
    const he_geometry *const g = &p->geometry;
    uint32_t *const tile = (uint32_t *)(void *)(scratch + p->tile);
    const bool own_border = layout != HE_WEIGHTS_8 && p->own_border; /* so that one copy for all has no other */
    int32_t oy = 0, ox = 0, at = he_conv_start(g, 0, 0);
    for (int32_t position = 0; position < p->positions; position += 4) {
        if (p->positions % 4 != 0 && position > p->positions - 4) {
            position = p->positions - 4;
            oy = position / g->output_w;
            ox = position - oy * g->output_w;
            at = he_conv_start(g, oy, ox);
        }
        he_conv_fill_tile(p, own_border, input, position, oy, ox, at, tile, (int8_t *)scratch);
        he_conv_tile(p, layout, first, count, position, tile, output);
        ox += 4;
        at += 4 * g->stride_w * g->input_c;
        while (ox >= g->output_w) {
            ox -= g->output_w;
            at += (g->stride_h * g->input_w - g->output_w * g->stride_w) * g->input_c;
            ++oy;
        }
    }
}

/* With constant params and layout everything folds that does not depend on the data. */
HE_ALWAYS_INLINE void he_conv_2d_s8_dsp_inline(const he_conv_2d_s8_dsp_params *p, int32_t layout,
                                               const int8_t *input, int8_t *output, uint8_t *scratch)
{
    const he_geometry *const g = &p->geometry;
    uint32_t *const tile = (uint32_t *)(void *)(scratch + p->tile);
    if (p->positions < 4) {
        tile[p->dot.pairs - 1] = 0; /* the last of an even number may have no taps */
        for (int32_t position = 0; position < p->positions; ++position) {
            const int32_t oy = position / g->output_w, ox = position - oy * g->output_w;
            he_widen_border(g, input, oy, ox, tile, 1, (int8_t *)scratch);
            he_row_s8(&p->dot, layout, tile, output + position * p->dot.channels);
        }
        return;
    }
    if (__builtin_constant_p(p->tiles) && p->tiles > 1) {
        he_conv_tiles(p, layout, input, output, scratch);
        return;
    }
    const int32_t block = __builtin_constant_p(p->block) ? p->block : p->dot.channels;
    for (int32_t first = 0; first < p->dot.channels; first += block) {
        const int32_t left = p->dot.channels - first;
        he_conv_block(p, layout, first, left < block ? left : block, input, output, scratch);
    }
}

/* The same for any params with HE_WEIGHTS_8: one copy in a program. input [H,W,C], output [OH,OW,O]; scratch starts
 * at a multiple of 4. */
void he_conv_2d_s8_dsp(const he_conv_2d_s8_dsp_params *params, const int8_t *input, int8_t *output,
                       uint8_t *scratch);

#endif
#endif
