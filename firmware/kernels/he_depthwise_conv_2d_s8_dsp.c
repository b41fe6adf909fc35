/* SPDX-License-Identifier: Apache-2.0
 *
 * Depthwise convolution with the DSP instructions, what all layers share: see he_depthwise_conv_2d_s8_dsp.h.
 */
#include "he_depthwise_conv_2d_s8_dsp.h"

#if HE_USE_DSP

/* Along one axis: the taps that lie inside the input for the output that starts at `start`. */
static void inside(int32_t start, int32_t dilation, int32_t filter_length, int32_t input_length, int32_t *first,
                   int32_t *count)
{
    *first = start >= 0 ? 0 : (dilation - 1 - start) / dilation;
    const int32_t room = input_length - start;
    const int32_t fitting = room <= 0 ? 0 : (room + dilation - 1) / dilation;
    const int32_t end = fitting < filter_length ? fitting : filter_length;
    *count = *first < end ? end - *first : 0;
}

void he_depthwise_border(const he_depthwise_conv_2d_s8_dsp_params *p, const int8_t *input, int32_t oy, int32_t ox,
                         int8_t *y)
{
    const int32_t top = oy * p->stride_h - p->pad_top, left = ox * p->stride_w - p->pad_left;
    he_depthwise_taps taps = {0, 0, 0, 0, input};
    inside(top, p->dilation_h, p->filter_h, p->input_h, &taps.first_row, &taps.rows);
    inside(left, p->dilation_w, p->filter_w, p->input_w, &taps.first_column, &taps.columns);
    if (taps.rows > 0 && taps.columns > 0) {
        taps.x += ((top + taps.first_row * p->dilation_h) * p->input_w + left + taps.first_column * p->dilation_w)
            * p->channels;
    } else {
        taps.rows = taps.columns = taps.first_row = taps.first_column = 0;
    }
    he_depthwise_position(p, taps, taps.rows, taps.columns, y);
}

void he_depthwise_conv_2d_s8_dsp(const he_depthwise_conv_2d_s8_dsp_params *params, const int8_t *input,
                                 int8_t *output)
{
    he_depthwise_conv_2d_s8_dsp_inline(params, 0, input, output);
}

#endif
