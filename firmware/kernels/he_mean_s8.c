/* SPDX-License-Identifier: Apache-2.0
 *
 * Mean over neighbouring axes, int8, rescaled: the readable portable form.
 */
#include "he_mean_s8.h"

#include "he_fixedpoint.h"

void he_mean_s8(const he_mean_s8_params *params, const int8_t *input, int8_t *output)
{
    const he_mean_s8_params *p = params;
    for (int32_t o = 0; o < p->outer; ++o) {
        const int8_t *block = input + o * p->reduced * p->inner;
        for (int32_t i = 0; i < p->inner; ++i) {
            int32_t sum = -p->reduced * p->input_zero_point;
            const int8_t *value = block + i;
            for (int32_t r = p->reduced; r > 0; --r) {
                sum += *value;
                value += p->inner;
            }
            const int32_t q = p->output_zero_point
                + he_multiply_by_quantized_multiplier(sum, p->multiplier, p->shift);
            *output++ = (int8_t)he_clamp(q, INT8_MIN, INT8_MAX);
        }
    }
}
