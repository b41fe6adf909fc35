/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HE_PAD_S8_H
#define HE_PAD_S8_H

#include <stdint.h>

/* Field names as in PadParams (harembed/ir/ops/rearrange.py). */
typedef struct {
    int32_t input_dims[4];
    int32_t before[4], after[4]; /* elements added at the two ends of each axis */
    int32_t pad_value;
} he_pad_s8_params;

/* input [input_dims], output [before + input_dims + after]. */
void he_pad_s8(const he_pad_s8_params *params, const int8_t *input, int8_t *output);

#endif
