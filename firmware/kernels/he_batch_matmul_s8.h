/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HE_BATCH_MATMUL_S8_H
#define HE_BATCH_MATMUL_S8_H

#include <stdint.h>

/* Field names as in BatchMatMulParams (harembed/ir/ops/matmul.py). zero_points have TFLite's sign. */
typedef struct {
    int32_t batch[3];                     /* leading axes of the output */
    int32_t lhs_stride[3], rhs_stride[3]; /* elements between neighbours along each leading axis; 0 repeats */
    int32_t rows, columns, depth;         /* M, N, K */
    int32_t lhs_row_stride, lhs_depth_stride;
    int32_t rhs_column_stride, rhs_depth_stride;
    int32_t lhs_zero_point, rhs_zero_point, output_zero_point;
    int32_t multiplier; /* Q0.31 */
    int32_t shift;      /* positive: to the left */
} he_batch_matmul_s8_params;

/* output [batch, M, N] = lhs [batch, M, K] times rhs [batch, K, N], each stored as its strides say. */
void he_batch_matmul_s8(const he_batch_matmul_s8_params *params, const int8_t *lhs, const int8_t *rhs,
                        int8_t *output);

#endif
