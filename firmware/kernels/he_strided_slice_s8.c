/* SPDX-License-Identifier: Apache-2.0
 *
 * A regular part of an int8 tensor.
 */
#include "he_strided_slice_s8.h"

void he_strided_slice_s8(const he_strided_slice_s8_params *params, const int8_t *input, int8_t *output)
{
    const int32_t *n = params->size;
    const int32_t *s = params->stride;
    for (int32_t i = 0; i < n[0]; ++i) {
        for (int32_t j = 0; j < n[1]; ++j) {
            for (int32_t k = 0; k < n[2]; ++k) {
                const int8_t *row = input + (params->offset + i * s[0] + j * s[1] + k * s[2]);
                for (int32_t l = 0; l < n[3]; ++l) {
                    *output++ = row[l * s[3]];
                }
            }
        }
    }
}
