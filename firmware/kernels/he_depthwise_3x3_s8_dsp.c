/* SPDX-License-Identifier: Apache-2.0
 *
 * Depthwise convolution of 3 x 3 taps with the DSP instructions, what all layers share: see
 * he_depthwise_3x3_s8_dsp.h.
 */
#include "he_depthwise_3x3_s8_dsp.h"

#if HE_USE_DSP

void he_depthwise_3x3_s8_dsp(const he_depthwise_3x3_s8_dsp_params *params, const int8_t *input, int8_t *output,
                             uint8_t *scratch)
{
    he_depthwise_3x3_s8_dsp_inline(params, params->layout, input, output, scratch);
}

#endif
