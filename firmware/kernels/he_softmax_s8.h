/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HE_SOFTMAX_S8_H
#define HE_SOFTMAX_S8_H

#include <stdint.h>

/* Field names as in SoftmaxParams (harembed/ir/ops/softmax.py). */
typedef struct {
    int32_t rows, depth;
    int32_t multiplier; /* Q0.31, with shift: difference of inputs to Q5.26 */
    int32_t shift;      /* to the left, 0..31 */
    int32_t diff_min;   /* a smaller difference to the maximum counts as probability 0 */
} he_softmax_s8_params;

/* Softmax over the last axis. input and output [rows, depth], depth 1..511; output scale 1/256, zero point -128. Both
 * may be the same memory. */
void he_softmax_s8(const he_softmax_s8_params *params, const int8_t *input, int8_t *output);

#endif
