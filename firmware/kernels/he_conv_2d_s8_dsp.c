/* SPDX-License-Identifier: Apache-2.0
 *
 * Convolution, int8, per-channel weights: the form for the DSP instructions, equal to he_conv_2d_s8.c bit
 * for bit.
 *
 * In NHWC the taps of one filter row are contiguous in input and filter, filter_w * input_c bytes, so that no
 * im2col is needed. Outputs with the same taps inside the input form strips, computed in blocks of two
 * positions times two channels: each output row but for its ends is one, and so is each column at the ends.
 * A filter dilated in width has runs of input_c bytes: with one row of taps they are the rows of a block.
 * Both at once, several rows and dilation in width, is rare and computed tap by tap.
 */
#include "he_conv_2d_s8.h"

#include "he_dsp.h"

#if HE_USE_DSP

#include "he_block_s8_dsp.h"

typedef struct {
    const he_conv_2d_s8_params *p;
    const int8_t *input;
    const int8_t *filter;
    const int32_t *bias;
    int8_t *output;
} call;

/* Along one axis: [first, end) of taps or of output positions. */
typedef struct {
    int32_t first, end;
} span;

/* The taps that lie inside the input for the output that starts at `start`. */
static span inside(int32_t start, int32_t dilation, int32_t filter_length, int32_t input_length)
{
    const int32_t first = start >= 0 ? 0 : (dilation - 1 - start) / dilation;
    const int32_t room = input_length - start;
    const int32_t fitting = room <= 0 ? 0 : (room + dilation - 1) / dilation;
    const int32_t end = fitting < filter_length ? fitting : filter_length;
    return first < end ? (span){first, end} : (span){0, 0};
}

static span filter_rows(const he_conv_2d_s8_params *p, int32_t oy)
{
    return inside(oy * p->stride_h - p->pad_top, p->dilation_h, p->filter_h, p->input_h);
}

static span filter_columns(const he_conv_2d_s8_params *p, int32_t ox)
{
    return inside(ox * p->stride_w - p->pad_left, p->dilation_w, p->filter_w, p->input_w);
}

/* The outputs whose taps all lie inside; extent is that of the dilated filter. */
static span interior(int32_t pad, int32_t stride, int32_t extent, int32_t input_length, int32_t output_length)
{
    const int32_t first = (pad + stride - 1) / stride;
    const int32_t last_start = input_length - extent + pad;
    const int32_t fitting = last_start < 0 ? 0 : last_start / stride + 1;
    const int32_t end = fitting < output_length ? fitting : output_length;
    return first < end ? (span){first, end} : (span){0, 0};
}

/* Arrange the taps [rows, columns] of the filter as those of a block. */
static void set_taps(he_block_s8 *block, const he_conv_2d_s8_params *p, span rows, span columns)
{
    const int32_t width = columns.end - columns.first;
    int32_t run = width * p->input_c;
    block->rows = rows.end - rows.first;
    block->x_step = p->dilation_h * p->input_w * p->input_c;
    block->w_step = p->filter_w * p->input_c;
    if (block->rows == 0 || width == 0) {
        run = 0;
    } else if (p->dilation_w != 1) {
        run = p->input_c;
        block->rows = width;
        block->x_step = p->dilation_w * p->input_c;
        block->w_step = p->input_c;
    }
    block->x_step -= run;
    block->w_step -= run;
    block->quads = run & ~3;
    block->rest = run & 3;
}

typedef enum { ALONG_ROW, ALONG_COLUMN } direction;

/* All channels of `positions` outputs that start at (oy, ox) and share the taps [rows, columns]. */
static void strip(const call *c, direction way, int32_t positions, int32_t oy, int32_t ox, span rows,
                  span columns)
{
    if (positions <= 0) {
        return;
    }
    const he_conv_2d_s8_params *const p = c->p;
    he_block_s8 block;
    he_block_s8_init(&block, p->input_zero_point, p->output_zero_point, p->act_min, p->act_max);
    set_taps(&block, p, rows, columns);
    if (way == ALONG_ROW) {
        block.x_position_step = p->stride_w * p->input_c;
        block.y_position_step = p->output_c;
    } else {
        block.x_position_step = p->stride_h * p->input_w * p->input_c;
        block.y_position_step = p->output_w * p->output_c;
    }
    const int32_t top = oy * p->stride_h - p->pad_top + rows.first * p->dilation_h;
    const int32_t left = ox * p->stride_w - p->pad_left + columns.first * p->dilation_w;
    const int8_t *const x = c->input + (top * p->input_w + left) * p->input_c;
    const int8_t *const w = c->filter + (rows.first * p->filter_w + columns.first) * p->input_c;
    int8_t *const y = c->output + (oy * p->output_w + ox) * p->output_c;
    const int32_t filter_size = p->filter_h * p->filter_w * p->input_c;
    for (int32_t o = 0; o < p->output_c; o += 2) {
        he_block_s8_select(&block, o, p->output_c, w, filter_size, c->bias, p->multiplier, p->shift);
        he_block_s8_run(&block, positions, x, y + o);
    }
}

/* The output columns [first, end): a strip where all filter rows lie inside, single outputs elsewhere. */
static void columns_of_outputs(const call *c, int32_t first, int32_t end, span inner_rows)
{
    const he_conv_2d_s8_params *const p = c->p;
    for (int32_t ox = first; ox < end; ++ox) {
        const span columns = filter_columns(p, ox);
        for (int32_t oy = 0; oy < p->output_h; ++oy) {
            int32_t positions = 1;
            if (oy == inner_rows.first && inner_rows.end > oy) {
                positions = inner_rows.end - oy;
            }
            strip(c, ALONG_COLUMN, positions, oy, ox, filter_rows(p, oy), columns);
            oy += positions - 1;
        }
    }
}

/* All channels of one output, tap by tap. Not inlined: the usual path should not pay for its stack. */
__attribute__((noinline)) static void output_by_tap(const call *c, int32_t oy, int32_t ox)
{
    const he_conv_2d_s8_params *const p = c->p;
    const span rows = filter_rows(p, oy), columns = filter_columns(p, ox);
    const int32_t top = oy * p->stride_h - p->pad_top, left = ox * p->stride_w - p->pad_left;
    int8_t *const y = c->output + (oy * p->output_w + ox) * p->output_c;
    for (int32_t o = 0; o < p->output_c; ++o) {
        int32_t sum = c->bias == NULL ? 0 : c->bias[o];
        for (int32_t i = rows.first; i < rows.end; ++i) {
            for (int32_t j = columns.first; j < columns.end; ++j) {
                const int32_t position = (top + i * p->dilation_h) * p->input_w + left + j * p->dilation_w;
                const int8_t *const x = c->input + position * p->input_c;
                const int8_t *const w = c->filter + ((o * p->filter_h + i) * p->filter_w + j) * p->input_c;
                for (int32_t k = 0; k < p->input_c; ++k) {
                    sum = he_mla(x[k] - p->input_zero_point, w[k], sum);
                }
            }
        }
        const int32_t q = he_requantize_s8_general(sum, p->multiplier[o], p->shift[o], p->output_zero_point);
        y[o] = (int8_t)he_clamp(q, p->act_min, p->act_max);
    }
}

void he_conv_2d_s8(const he_conv_2d_s8_params *params, const int8_t *input, const int8_t *filter,
                   const int32_t *bias, int8_t *output)
{
    const he_conv_2d_s8_params *p = params;
    const call c = {p, input, filter, bias, output};
    if (p->dilation_w != 1 && p->filter_h != 1) {
        for (int32_t oy = 0; oy < p->output_h; ++oy) {
            for (int32_t ox = 0; ox < p->output_w; ++ox) {
                output_by_tap(&c, oy, ox);
            }
        }
        return;
    }
    const int32_t extent_h = (p->filter_h - 1) * p->dilation_h + 1;
    const int32_t extent_w = (p->filter_w - 1) * p->dilation_w + 1;
    const span inner_rows = interior(p->pad_top, p->stride_h, extent_h, p->input_h, p->output_h);
    const span inner = interior(p->pad_left, p->stride_w, extent_w, p->input_w, p->output_w);
    const int32_t pairs = (inner.end - inner.first) & ~1; /* a last odd column may find its pair below */
    columns_of_outputs(&c, 0, inner.first, inner_rows);
    for (int32_t oy = 0; oy < p->output_h; ++oy) {
        strip(&c, ALONG_ROW, pairs, oy, inner.first, filter_rows(p, oy), (span){0, p->filter_w});
    }
    columns_of_outputs(&c, inner.first + pairs, p->output_w, inner_rows);
}

#endif
