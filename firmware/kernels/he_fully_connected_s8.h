/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HE_FULLY_CONNECTED_S8_H
#define HE_FULLY_CONNECTED_S8_H

#include <stdint.h>

/* Field names as in FullyConnectedParams (harembed/ir/ops/dense.py). zero_points have TFLite's sign. */
typedef struct {
    int32_t rows; /* vectors that the matrix is applied to */
    int32_t input_c, output_c;
    int32_t input_zero_point, output_zero_point;
    int32_t act_min, act_max;
    const int32_t *multiplier; /* [output_c] Q0.31 */
    const int32_t *shift;      /* [output_c] positive: to the left */
} he_fully_connected_s8_params;

/* input [rows,I], filter [O,I], bias [O] or NULL, output [rows,O]. */
void he_fully_connected_s8(const he_fully_connected_s8_params *params, const int8_t *input, const int8_t *filter,
                           const int32_t *bias, int8_t *output);

#endif
