/* SPDX-License-Identifier: Apache-2.0
 *
 * Convolution with the DSP instructions, what all layers share: see he_conv_2d_s8_dsp.h.
 */
#include "he_conv_2d_s8_dsp.h"

#if HE_USE_DSP

uint32_t he_conv_find_places(const he_conv_2d_s8_dsp_params *p, int32_t oy, int32_t ox, int32_t at,
                             he_conv_places *places)
{
    return he_conv_find_places_inline(p, oy, ox, at, places);
}

void he_conv_widen_clipped(const he_conv_2d_s8_dsp_params *p, const int8_t *input, int32_t oy, int32_t ox,
                           uint32_t clipped, uint32_t *tile, int8_t *stage)
{
    he_conv_widen_clipped_inline(p, false, input, oy, ox, clipped, tile, stage);
}

void he_conv_2d_s8_dsp(const he_conv_2d_s8_dsp_params *params, const int8_t *input, int8_t *output,
                       uint8_t *scratch)
{
    he_conv_2d_s8_dsp_inline(params, HE_WEIGHTS_8, input, output, scratch);
}

#endif
