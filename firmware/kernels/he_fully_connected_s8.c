/* SPDX-License-Identifier: Apache-2.0
 *
 * Fully connected layer, int8: the readable portable form. Sums are int32 and wrap; with zero_points in
 * int8 that takes over 65,000 inputs or a bias beyond 2^30.
 */
#include "he_fully_connected_s8.h"

#include <stddef.h>

#include "he_fixedpoint.h"

void he_fully_connected_s8(const he_fully_connected_s8_params *params, const int8_t *input,
                           const int8_t *filter, const int32_t *bias, int8_t *output)
{
    const he_fully_connected_s8_params *p = params;
    for (int32_t row = 0; row < p->rows; ++row) {
        const int8_t *in = input + row * p->input_c;
        for (int32_t o = 0; o < p->output_c; ++o) {
            const int8_t *w = filter + o * p->input_c;
            uint32_t acc = bias != NULL ? (uint32_t)bias[o] : 0;
            for (int32_t i = 0; i < p->input_c; ++i) {
                acc += (uint32_t)((in[i] - p->input_zero_point) * w[i]);
            }
            const int32_t scaled
                = he_multiply_by_quantized_multiplier((int32_t)acc, p->multiplier[o], p->shift[o]);
            /* Clamped before the zero_point is added, which could overflow. */
            const int32_t zp = p->output_zero_point;
            *output++ = (int8_t)(he_clamp(scaled, p->act_min - zp, p->act_max - zp) + zp);
        }
    }
}
