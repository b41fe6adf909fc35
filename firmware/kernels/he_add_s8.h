/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HE_ADD_S8_H
#define HE_ADD_S8_H

#include <stdint.h>

/* Field names as in AddParams (harembed/ir/ops/elementwise.py). zero_points have TFLite's sign. */
typedef struct {
    int32_t shape[5];                /* of the output */
    int32_t stride1[5], stride2[5];  /* elements between neighbours of an input along each axis; 0 repeats it */
    int32_t input1_zero_point, input2_zero_point, output_zero_point;
    int32_t input2_sign; /* 1 adds, -1 subtracts */
    int32_t left_shift; /* of both inputs before they are scaled */
    int32_t input1_multiplier, input1_shift; /* Q0.31; positive: to the left */
    int32_t input2_multiplier, input2_shift;
    int32_t output_multiplier, output_shift;
    int32_t act_min, act_max;
} he_add_s8_params;

/* input1 and input2 broadcast to output [shape]. An input of that very shape may be the output too. */
void he_add_s8(const he_add_s8_params *params, const int8_t *input1, const int8_t *input2, int8_t *output);

#endif
