/* SPDX-License-Identifier: Apache-2.0
 *
 * ReLU with a slope below 0, with the DSP instructions, one copy for all layers: see he_prelu_s8_dsp.h.
 */
#include "he_prelu_s8_dsp.h"

#if HE_USE_DSP

void he_prelu_s8_dsp(const he_prelu_s8_dsp_params *params, const int8_t *input, const int8_t *alpha, int8_t *output)
{
    he_prelu_s8_dsp_inline(params, 0, input, alpha, output);
}

#endif
