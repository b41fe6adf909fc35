/* SPDX-License-Identifier: Apache-2.0
 *
 * Fully connected layer, int8: the readable portable form.
 */
#include "he_fully_connected_s8.h"

#include <stddef.h>

#include "he_fixedpoint.h"

void he_fully_connected_s8(const he_fully_connected_s8_params *params, const int8_t *input, const int8_t *filter,
                           const int32_t *bias, int8_t *output)
{
    const he_fully_connected_s8_params *p = params;
    for (int32_t row = 0; row < p->rows; ++row) {
        const int8_t *in = input + row * p->input_c;
        for (int32_t o = 0; o < p->output_c; ++o) {
            const int8_t *w = filter + o * p->input_c;
            int32_t acc = bias != NULL ? bias[o] : 0;
            for (int32_t i = 0; i < p->input_c; ++i) {
                acc += (in[i] - p->input_zero_point) * w[i];
            }
            const int32_t q = p->output_zero_point
                + he_multiply_by_quantized_multiplier(acc, p->multiplier[o], p->shift[o]);
            *output++ = (int8_t)he_clamp(q, p->act_min, p->act_max);
        }
    }
}
