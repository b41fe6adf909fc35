/* SPDX-License-Identifier: Apache-2.0
 *
 * Average pooling, int8: the readable portable form.
 */
#include "he_average_pool_2d_s8.h"

#include "he_fixedpoint.h"

void he_average_pool_2d_s8(const he_average_pool_2d_s8_params *params, const int8_t *input, int8_t *output)
{
    const he_average_pool_2d_s8_params *p = params;
    for (int32_t oy = 0; oy < p->output_h; ++oy) {
        const int32_t origin_y = oy * p->stride_h - p->pad_top;
        const int32_t first_y = he_clamp(origin_y, 0, p->input_h);
        const int32_t end_y = he_clamp(origin_y + p->filter_h, 0, p->input_h);
        for (int32_t ox = 0; ox < p->output_w; ++ox) {
            const int32_t origin_x = ox * p->stride_w - p->pad_left;
            const int32_t first_x = he_clamp(origin_x, 0, p->input_w);
            const int32_t end_x = he_clamp(origin_x + p->filter_w, 0, p->input_w);
            const int32_t count = (end_y - first_y) * (end_x - first_x);
            for (int32_t c = 0; c < p->channels; ++c) {
                int32_t sum = 0;
                for (int32_t y = first_y; y < end_y; ++y) {
                    for (int32_t x = first_x; x < end_x; ++x) {
                        sum += input[(y * p->input_w + x) * p->channels + c];
                    }
                }
                /* Half away from zero: division truncates. */
                const int32_t nudge = sum > 0 ? count / 2 : -(count / 2);
                *output++ = (int8_t)he_clamp((sum + nudge) / count, p->act_min, p->act_max);
            }
        }
    }
}
