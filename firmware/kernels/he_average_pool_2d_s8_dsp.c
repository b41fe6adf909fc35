/* SPDX-License-Identifier: Apache-2.0
 *
 * Average pooling with the DSP instructions, one copy for all layers: see he_average_pool_2d_s8_dsp.h.
 */
#include "he_average_pool_2d_s8_dsp.h"

#if HE_USE_DSP

void he_average_pool_2d_s8_dsp(const he_average_pool_2d_s8_dsp_params *params, const int8_t *input,
                               int8_t *output)
{
    he_average_pool_2d_s8_dsp_inline(params, 0, input, output);
}

#endif
