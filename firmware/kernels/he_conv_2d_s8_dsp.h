/* SPDX-License-Identifier: Apache-2.0
 *
 * Convolution, int8, per-channel weights: the form for the DSP instructions, equal to he_conv_2d_s8.c bit for bit.
 *
 * Four successive output positions at a time, whatever row they lie in: their patches are widened into a tile of
 * scratch memory (he_patch_s8_dsp.h), those at the border once more by themselves, and from the tile all channels are
 * computed (he_dot_s8_dsp.h). The last tile starts earlier if fewer than four positions are left, and computes some
 * once more. Fewer than four positions in all are computed one by one.
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
    int32_t layout;                /* he_weights_layout */
    int32_t stage;                 /* byte of the scratch where a run can be built */
    he_dot_s8 dot;                 /* of a tile, or of a row if there are fewer than four positions */
} he_conv_2d_s8_dsp_params;

/* A position, and the byte of the input at which its patch starts; at the border that may be outside. */
typedef struct {
    int32_t oy, ox, at;
} he_conv_place;

HE_ALWAYS_INLINE int32_t he_conv_start(const he_geometry *g, int32_t oy, int32_t ox)
{
    return ((oy * g->stride_h - g->pad_top) * g->input_w + ox * g->stride_w - g->pad_left) * g->input_c;
}

/* To the next position; `ends_row`: it may be in the next row. */
HE_ALWAYS_INLINE void he_conv_next_place(const he_geometry *g, he_conv_place *place, bool ends_row)
{
    place->at += g->stride_w * g->input_c;
    ++place->ox;
    if (ends_row && place->ox == g->output_w) {
        place->ox = 0;
        ++place->oy;
        place->at += (g->stride_h * g->input_w - g->output_w * g->stride_w) * g->input_c;
    }
}

/* Where to read a patch: its start, or that of any inner patch, with `bit` set in *clipped. */
HE_ALWAYS_INLINE int32_t he_conv_source(const he_conv_2d_s8_dsp_params *p, he_conv_place place, int32_t bit,
                                        int32_t *clipped)
{
    const bool all_columns = p->inner_columns == p->geometry.output_w;
    const bool all_rows = p->inner_rows * p->geometry.output_w == p->positions;
    if ((all_columns || (uint32_t)(place.ox - p->inner_left) < (uint32_t)p->inner_columns)
        && (all_rows || (uint32_t)(place.oy - p->inner_top) < (uint32_t)p->inner_rows)) {
        return place.at;
    }
    *clipped |= bit;
    return he_conv_start(&p->geometry, p->inner_top, p->inner_left);
}

/* Widen four patches that lie inside the input. */
HE_ALWAYS_INLINE void he_conv_widen(const he_geometry *g, const int8_t *x, int32_t d1, int32_t d2, int32_t d3,
                                    uint32_t *tile)
{
    const int32_t row_step = g->row_dilation * g->input_w * g->input_c;
    const int32_t segment_step = g->column_dilation * g->input_c;
    if (g->paired) {
        he_widen_four_paired(tile, x, d1, d2, d3, g->rows * g->segments, g->rows > 1 ? row_step : segment_step);
        return;
    }
    for (int32_t i = g->rows; i > 0; --i) {
        const int8_t *run = x;
        for (int32_t j = g->segments; j > 0; --j) {
            tile = he_widen_four_runs(tile, run, d1, d2, d3, g->columns * g->input_c);
            run += segment_step;
        }
        x += row_step;
    }
}

/* With constant params and layout everything folds that does not depend on the data. */
HE_ALWAYS_INLINE void he_conv_2d_s8_dsp_inline(const he_conv_2d_s8_dsp_params *p, he_weights_layout layout,
                                               const int8_t *input, int8_t *output, uint8_t *scratch)
{
    const he_geometry *const g = &p->geometry;
    uint32_t *const tile = (uint32_t *)(void *)scratch;
    int8_t *const stage = (int8_t *)scratch + p->stage;
    if (p->positions < 4) {
        for (int32_t position = 0; position < p->positions; ++position) {
            he_widen_border(g, input, position, tile, 1, stage);
            he_row_s8(&p->dot, layout, tile, output + position * p->dot.channels);
        }
        return;
    }
    const bool rows_of_tiles = g->output_w % 4 == 0;
    he_conv_place place = {0, 0, he_conv_start(g, 0, 0)};
    for (int32_t position = 0; position < p->positions; position += 4) {
        if (p->positions % 4 != 0 && position > p->positions - 4) {
            position = p->positions - 4;
            place.oy = position / g->output_w;
            place.ox = position - place.oy * g->output_w;
            place.at = he_conv_start(g, place.oy, place.ox);
        }
        int32_t clipped = 0;
        const int32_t at0 = he_conv_source(p, place, 1, &clipped);
        he_conv_next_place(g, &place, !rows_of_tiles);
        const int32_t at1 = he_conv_source(p, place, 2, &clipped);
        he_conv_next_place(g, &place, !rows_of_tiles);
        const int32_t at2 = he_conv_source(p, place, 4, &clipped);
        he_conv_next_place(g, &place, !rows_of_tiles);
        const int32_t at3 = he_conv_source(p, place, 8, &clipped);
        he_conv_next_place(g, &place, true);
        if (p->inner_rows > 0 && p->inner_columns > 0) {
            he_conv_widen(g, input + at0, at1 - at0, at2 - at0, at3 - at0, tile);
        }
        for (int32_t n = 0; clipped != 0; ++n, clipped >>= 1) {
            if (clipped & 1) {
                he_widen_border(g, input, position + n, tile + n, 4, stage);
            }
        }
        he_tile_s8(&p->dot, layout, tile, output + position * p->dot.channels);
    }
}

/* The same for any params with HE_WEIGHTS_8: one copy in a program. input [H,W,C], output [OH,OW,O]; scratch starts at
 * a multiple of 4. */
void he_conv_2d_s8_dsp(const he_conv_2d_s8_dsp_params *params, const int8_t *input, int8_t *output,
                       uint8_t *scratch);

#endif
#endif
