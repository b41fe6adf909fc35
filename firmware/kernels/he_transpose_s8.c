/* SPDX-License-Identifier: Apache-2.0
 *
 * Transpose, int8: the readable portable form.
 */
#include "he_transpose_s8.h"

void he_transpose_s8(const he_transpose_s8_params *params, const int8_t *input, int8_t *output)
{
    const int32_t *dims = params->output_dims;
    const int32_t *strides = params->input_strides;
    for (int32_t a = 0; a < dims[0]; ++a) {
        for (int32_t b = 0; b < dims[1]; ++b) {
            for (int32_t c = 0; c < dims[2]; ++c) {
                const int8_t *in = input + a * strides[0] + b * strides[1] + c * strides[2];
                int32_t d = 0;
                for (; strides[3] == 1 && d + 4 <= dims[3]; d += 4) { /* four neighbours stay neighbours */
                    uint32_t word;
                    __builtin_memcpy(&word, in + d, sizeof word);
                    __builtin_memcpy(output, &word, sizeof word);
                    output += 4;
                }
                for (; d < dims[3]; ++d) {
                    *output++ = in[d * strides[3]];
                }
            }
        }
    }
}
