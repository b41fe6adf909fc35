/* SPDX-License-Identifier: Apache-2.0
 *
 * Padding with a constant, int8: the readable portable form.
 */
#include "he_pad_s8.h"

/* Index of output position i on one axis in the input, or -1 in the padding. */
static int32_t inside(const he_pad_s8_params *p, int32_t axis, int32_t i)
{
    const int32_t at = i - p->before[axis];
    return at >= 0 && at < p->input_dims[axis] ? at : -1;
}

static int32_t padded(const he_pad_s8_params *p, int32_t axis)
{
    return p->before[axis] + p->input_dims[axis] + p->after[axis];
}

void he_pad_s8(const he_pad_s8_params *params, const int8_t *input, int8_t *output)
{
    const he_pad_s8_params *p = params;
    const int32_t *dims = p->input_dims;
    for (int32_t i0 = 0; i0 < padded(p, 0); ++i0) {
        const int32_t a = inside(p, 0, i0);
        for (int32_t i1 = 0; i1 < padded(p, 1); ++i1) {
            const int32_t b = inside(p, 1, i1);
            for (int32_t i2 = 0; i2 < padded(p, 2); ++i2) {
                const int32_t c = inside(p, 2, i2);
                for (int32_t i3 = 0; i3 < padded(p, 3); ++i3) {
                    const int32_t d = inside(p, 3, i3);
                    if (a < 0 || b < 0 || c < 0 || d < 0) {
                        *output++ = (int8_t)p->pad_value;
                    } else {
                        *output++ = input[((a * dims[1] + b) * dims[2] + c) * dims[3] + d];
                    }
                }
            }
        }
    }
}
