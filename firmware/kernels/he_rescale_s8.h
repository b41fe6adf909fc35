/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HE_RESCALE_S8_H
#define HE_RESCALE_S8_H

#include <stdint.h>

/* Field names as in RescaleParams (harembed/ir/ops/rescale.py). zero_points have TFLite's sign. */
typedef struct {
    int32_t elements;
    int32_t input_zero_point, output_zero_point;
    int32_t act_min, act_max;
    int32_t multiplier; /* Q0.31 */
    int32_t shift;
} he_rescale_s8_params;

/* quantize, relu and relu6. input [elements], output [elements]; they may be the same memory. */
void he_rescale_s8(const he_rescale_s8_params *params, const int8_t *input, int8_t *output);

#endif
