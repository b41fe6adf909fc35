/* SPDX-License-Identifier: Apache-2.0
 *
 * Another scale and zero point, then a clamp, int8: the readable portable form.
 */
#include "he_rescale_s8.h"

#include "he_fixedpoint.h"

void he_rescale_s8(const he_rescale_s8_params *params, const int8_t *input, int8_t *output)
{
    const he_rescale_s8_params *p = params;
    for (int32_t i = 0; i < p->elements; ++i) {
        const int32_t q = p->output_zero_point
            + he_multiply_by_quantized_multiplier(input[i] - p->input_zero_point, p->multiplier, p->shift);
        output[i] = (int8_t)he_clamp(q, p->act_min, p->act_max);
    }
}
