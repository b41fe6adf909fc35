/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HE_MEAN_S8_H
#define HE_MEAN_S8_H

#include <stdint.h>

/* Field names as in MeanParams (harembed/ir/ops/mean.py). zero_points have TFLite's sign. */
typedef struct {
    int32_t outer, reduced, inner;
    int32_t input_zero_point, output_zero_point;
    int32_t multiplier; /* Q0.31, 1 / reduced included */
    int32_t shift;
} he_mean_s8_params;

/* input [outer,reduced,inner], output [outer,inner]. */
void he_mean_s8(const he_mean_s8_params *params, const int8_t *input, int8_t *output);

#endif
