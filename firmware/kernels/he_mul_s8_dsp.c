/* SPDX-License-Identifier: Apache-2.0
 *
 * Product with the DSP instructions, one copy for all layers: see he_mul_s8_dsp.h.
 */
#include "he_mul_s8_dsp.h"

#if HE_USE_DSP

void he_mul_s8_dsp(const he_mul_s8_dsp_params *params, const int8_t *input1, const int8_t *input2, int8_t *output)
{
    he_mul_s8_dsp_inline(params, 0, input1, input2, output);
}

#endif
