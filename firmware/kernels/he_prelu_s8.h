/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HE_PRELU_S8_H
#define HE_PRELU_S8_H

#include <stdint.h>

/* Field names as in PreluParams (harembed/ir/ops/prelu.py). zero_points have TFLite's sign. */
typedef struct {
    int32_t shape[5];        /* of input and output */
    int32_t alpha_stride[5]; /* elements between neighbours of alpha along each axis; 0 repeats it */
    int32_t input_zero_point, alpha_zero_point, output_zero_point;
    int32_t positive_multiplier, positive_shift; /* Q0.31, of x >= 0; a positive shift is to the left */
    int32_t negative_multiplier, negative_shift; /* of alpha * x where x < 0 */
} he_prelu_s8_params;

/* input [shape] and output [shape] may be the same memory; alpha broadcasts to them. */
void he_prelu_s8(const he_prelu_s8_params *params, const int8_t *input, const int8_t *alpha, int8_t *output);

#endif
