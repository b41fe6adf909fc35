/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HE_TRANSPOSE_S8_H
#define HE_TRANSPOSE_S8_H

#include <stdint.h>

/* Field names as in TransposeParams (harembed/ir/ops/rearrange.py). */
typedef struct {
    int32_t output_dims[4];
    int32_t input_strides[4]; /* elements between two steps of an output axis in the input */
} he_transpose_s8_params;

/* input and output have the same elements and do not overlap; output [output_dims]. */
void he_transpose_s8(const he_transpose_s8_params *params, const int8_t *input, int8_t *output);

#endif
