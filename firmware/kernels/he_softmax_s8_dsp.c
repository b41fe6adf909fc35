/* SPDX-License-Identifier: Apache-2.0
 *
 * Softmax by a table, one copy for all layers: see he_softmax_s8_dsp.h.
 */
#include "he_softmax_s8_dsp.h"

#if HE_USE_DSP

void he_softmax_s8_dsp(const he_softmax_s8_dsp_params *params, const int8_t *input, int8_t *output)
{
    he_softmax_s8_dsp_inline(params, 0, input, output);
}

#endif
