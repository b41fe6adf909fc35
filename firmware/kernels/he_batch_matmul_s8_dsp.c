/* SPDX-License-Identifier: Apache-2.0
 *
 * Matrix product with the DSP instructions, one copy for all layers: see he_batch_matmul_s8_dsp.h.
 */
#include "he_batch_matmul_s8_dsp.h"

#if HE_USE_DSP

void he_batch_matmul_s8_dsp(const he_batch_matmul_s8_dsp_params *params, const int8_t *lhs, const int8_t *rhs,
                            int8_t *output, uint8_t *scratch)
{
    he_batch_matmul_s8_dsp_inline(params, 0, lhs, rhs, output, scratch);
}

#endif
