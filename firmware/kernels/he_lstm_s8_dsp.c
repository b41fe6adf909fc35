/* SPDX-License-Identifier: Apache-2.0
 *
 * LSTM with the DSP instructions, one copy for all layers: see he_lstm_s8_dsp.h.
 */
#include "he_lstm_s8_dsp.h"

#if HE_USE_DSP

void he_lstm_s8_dsp(const he_lstm_s8_dsp_params *params, const int8_t *input, int8_t *output_state,
                    int16_t *cell_state, int8_t *output, uint8_t *scratch)
{
    he_lstm_s8_dsp_inline(params, HE_WEIGHTS_8, input, output_state, cell_state, output, scratch);
}

#endif
