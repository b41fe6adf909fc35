/* SPDX-License-Identifier: Apache-2.0
 *
 * Raw sensor counts to the model's int8 input; the twin of InputSpec.quantise in harembed/ir/input_spec.py.
 */
#ifndef HE_INPUT_H
#define HE_INPUT_H

#include "harembed.h"
#include "he_fixedpoint.h"

/* Quantise one raw frame [raw_channels] as sample number `time` of the window in `input`. */
static inline void he_input_write_frame(const he_input_spec *spec, const int16_t *frame, uint32_t time,
                                        int8_t *input)
{
    for (uint32_t i = 0; i < spec->channels; ++i) {
        const he_input_channel *c = &spec->channel[i];
        const int32_t centred = (int32_t)frame[c->raw_channel] - c->offset;
        const int32_t q = spec->zero_point + he_multiply_by_quantized_multiplier(centred, c->multiplier, c->shift);
        input[time * spec->stride_time + i * spec->stride_channel] = (int8_t)he_clamp(q, -128, 127);
    }
}

#endif
