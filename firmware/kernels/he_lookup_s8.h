/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HE_LOOKUP_S8_H
#define HE_LOOKUP_S8_H

#include <stdint.h>

/* Field names as in LookupParams (harembed/ir/ops/lookup.py). */
typedef struct {
    int32_t size;        /* elements */
    const int8_t *table; /* [256] outputs for the inputs -128, -127, ... 127 */
} he_lookup_s8_params;

/* Any function of one int8: output[i] = table[input[i] + 128]. input and output [size] may be the same. */
void he_lookup_s8(const he_lookup_s8_params *params, const int8_t *input, int8_t *output);

#endif
