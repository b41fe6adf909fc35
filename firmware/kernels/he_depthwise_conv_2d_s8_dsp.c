/* SPDX-License-Identifier: Apache-2.0
 *
 * Depthwise convolution with the DSP instructions, what all layers share: see he_depthwise_conv_2d_s8_dsp.h.
 */
#include "he_depthwise_conv_2d_s8_dsp.h"

#if HE_USE_DSP

void he_depthwise_conv_2d_s8_dsp(const he_depthwise_conv_2d_s8_dsp_params *params, const int8_t *input,
                                 int8_t *output)
{
    he_depthwise_conv_2d_s8_dsp_inline(params, 0, input, output);
}

#endif
