/* SPDX-License-Identifier: Apache-2.0
 *
 * Matrix product of two int8 activations: the readable portable form.
 */
#include "he_batch_matmul_s8.h"

#include "he_fixedpoint.h"

/* output [M, N] of one pair of matrices; returns the end of it. */
static int8_t *multiply(const he_batch_matmul_s8_params *p, const int8_t *lhs, const int8_t *rhs, int8_t *output)
{
    for (int32_t m = 0; m < p->rows; ++m) {
        for (int32_t n = 0; n < p->columns; ++n) {
            const int8_t *a = lhs + m * p->lhs_row_stride;
            const int8_t *b = rhs + n * p->rhs_column_stride;
            int32_t acc = 0;
            for (int32_t k = 0; k < p->depth; ++k) {
                acc += (a[k * p->lhs_depth_stride] - p->lhs_zero_point)
                    * (b[k * p->rhs_depth_stride] - p->rhs_zero_point);
            }
            const int32_t q = p->output_zero_point
                + he_multiply_by_quantized_multiplier(acc, p->multiplier, p->shift);
            *output++ = (int8_t)he_clamp(q, -128, 127);
        }
    }
    return output;
}

void he_batch_matmul_s8(const he_batch_matmul_s8_params *params, const int8_t *lhs, const int8_t *rhs,
                        int8_t *output)
{
    const he_batch_matmul_s8_params *p = params;
    for (int32_t i = 0; i < p->batch[0]; ++i) {
        for (int32_t j = 0; j < p->batch[1]; ++j) {
            for (int32_t k = 0; k < p->batch[2]; ++k) {
                const int8_t *a = lhs + i * p->lhs_stride[0] + j * p->lhs_stride[1] + k * p->lhs_stride[2];
                const int8_t *b = rhs + i * p->rhs_stride[0] + j * p->rhs_stride[1] + k * p->rhs_stride[2];
                output = multiply(p, a, b, output);
            }
        }
    }
}
