/* SPDX-License-Identifier: Apache-2.0
 *
 * Fully connected layer with the DSP instructions, one copy for all layers: see he_fully_connected_s8_dsp.h.
 */
#include "he_fully_connected_s8_dsp.h"

#if HE_USE_DSP

void he_fully_connected_s8_dsp(const he_fully_connected_s8_dsp_params *params, const int8_t *input,
                               int8_t *output, uint8_t *scratch)
{
    he_fully_connected_s8_dsp_inline(params, HE_WEIGHTS_8, input, output, scratch);
}

#endif
