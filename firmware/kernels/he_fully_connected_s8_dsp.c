/* SPDX-License-Identifier: Apache-2.0
 *
 * Fully connected layer, int8: the form for the DSP instructions, equal to he_fully_connected_s8.c bit for
 * bit. Rows are the positions of a block.
 */
#include "he_fully_connected_s8.h"

#include "he_dsp.h"

#if HE_USE_DSP

#include "he_block_s8_dsp.h"

void he_fully_connected_s8(const he_fully_connected_s8_params *params, const int8_t *input,
                           const int8_t *filter, const int32_t *bias, int8_t *output)
{
    const he_fully_connected_s8_params *p = params;
    he_block_s8 block;
    he_block_s8_init(&block, p->input_zero_point, p->output_zero_point, p->act_min, p->act_max);
    block.rows = 1;
    block.quads = p->input_c & ~3;
    block.rest = p->input_c & 3;
    block.x_step = block.w_step = 0;
    block.x_position_step = p->input_c;
    block.y_position_step = p->output_c;
    for (int32_t o = 0; o < p->output_c; o += 2) {
        he_block_s8_select(&block, o, p->output_c, filter, p->input_c, bias, p->multiplier, p->shift);
        he_block_s8_run(&block, p->rows, input, output + o);
    }
}

#endif
