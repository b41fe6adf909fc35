/* SPDX-License-Identifier: Apache-2.0
 *
 * Tensors side by side, int8.
 */
#include "he_concatenation_s8.h"

void he_concatenation_s8(const he_concatenation_s8_params *params, const int8_t *const *inputs, int8_t *output)
{
    const he_concatenation_s8_params *p = params;
    for (int32_t row = 0; row < p->outer; ++row) {
        for (int32_t part = 0; part < p->parts; ++part) {
            const int32_t width = p->width[part];
            const int8_t *from = inputs[part] + row * width;
            for (int32_t i = 0; i < width; ++i) {
                *output++ = from[i];
            }
        }
    }
}
