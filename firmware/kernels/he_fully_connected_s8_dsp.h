/* SPDX-License-Identifier: Apache-2.0
 *
 * Fully connected layer, int8: the form for the DSP instructions, equal to he_fully_connected_s8.c bit for bit.
 * Each row is widened into scratch memory, from which all channels are computed (he_dot_s8_dsp.h). Many rows are
 * computed as a convolution of as many positions instead.
 */
#ifndef HE_FULLY_CONNECTED_S8_DSP_H
#define HE_FULLY_CONNECTED_S8_DSP_H

#include "he_dsp.h"

#if HE_USE_DSP

#include "he_dot_s8_dsp.h"
#include "he_patch_s8_dsp.h"

/* Field names as in FullyConnectedDspParams (harembed/ir/ops/dense_dsp.py). */
typedef struct {
    int32_t rows;
    int32_t input_c;
    int32_t layout; /* HE_WEIGHTS_16, _8 or _JOINED */
    he_dot_s8 dot;  /* of a row */
} he_fully_connected_s8_dsp_params;

/* With constant params and layout everything folds that does not depend on the data. */
HE_ALWAYS_INLINE void he_fully_connected_s8_dsp_inline(const he_fully_connected_s8_dsp_params *p,
                                                       int32_t layout, const int8_t *input,
                                                       int8_t *output, uint8_t *scratch)
{
    uint32_t *const row = (uint32_t *)(void *)scratch;
    row[p->dot.pairs - 1] = 0; /* the last of an even number may have no taps */
    for (int32_t left = p->rows; left > 0; --left) {
        (void)he_widen_run(row, 1, input, p->input_c, layout == HE_WEIGHTS_JOINED ? HE_JOINED : HE_PAIRS);
        he_row_s8(&p->dot, layout, row, output);
        input += p->input_c;
        output += p->dot.channels;
    }
}

/* The same for any params with HE_WEIGHTS_8: one copy in a program. input [rows,I], output [rows,O]; scratch starts
 * at a multiple of 4. */
void he_fully_connected_s8_dsp(const he_fully_connected_s8_dsp_params *params, const int8_t *input,
                               int8_t *output, uint8_t *scratch);

#endif
#endif
