/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HE_STRIDED_SLICE_S8_H
#define HE_STRIDED_SLICE_S8_H

#include <stdint.h>

/* Field names as in StridedSliceParams (harembed/ir/ops/slice.py). */
typedef struct {
    int32_t offset;    /* of the first element that is taken */
    int32_t size[4];   /* elements taken along each axis */
    int32_t stride[4]; /* between them, in elements of the input; may be negative */
    int32_t kept_axes; /* which axes of size the output has: for its shape alone */
} he_strided_slice_s8_params;

/* output [size], dense. */
void he_strided_slice_s8(const he_strided_slice_s8_params *params, const int8_t *input, int8_t *output);

#endif
