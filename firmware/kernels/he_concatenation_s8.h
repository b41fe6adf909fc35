/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HE_CONCATENATION_S8_H
#define HE_CONCATENATION_S8_H

#include <stdint.h>

/* Field names as in ConcatenationParams (harembed/ir/ops/concatenation.py). */
typedef struct {
    int32_t parts;        /* inputs */
    int32_t outer;        /* rows of the output */
    const int32_t *width; /* [parts] elements that each input gives to a row */
} he_concatenation_s8_params;

/* inputs [parts], each [outer,width]; output [outer, sum of widths] overlaps none of them. */
void he_concatenation_s8(const he_concatenation_s8_params *params, const int8_t *const *inputs, int8_t *output);

#endif
