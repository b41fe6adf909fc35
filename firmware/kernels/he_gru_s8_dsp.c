/* SPDX-License-Identifier: Apache-2.0
 *
 * Gated recurrent unit with the DSP instructions, what all layers share: see he_gru_s8_dsp.h.
 */
#include "he_gru_s8_dsp.h"

#if HE_USE_DSP

void he_gru_s8_dsp(const he_gru_s8_dsp_params *params, const int8_t *input, int8_t *output, uint8_t *scratch)
{
    he_gru_s8_dsp_inline(params, HE_WEIGHTS_8, input, output, scratch);
}

#endif
