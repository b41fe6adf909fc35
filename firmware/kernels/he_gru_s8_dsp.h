/* SPDX-License-Identifier: Apache-2.0
 *
 * Gated recurrent unit, int8: the form for the DSP instructions, equal to he_gru_s8.c bit for bit. Both matrix products
 * of a time step are fully connected layers (he_fully_connected_s8_dsp.h); what follows, each step of which rounds to
 * int8, is done unit by unit.
 */
#ifndef HE_GRU_S8_DSP_H
#define HE_GRU_S8_DSP_H

#include "he_dsp.h"

#if HE_USE_DSP

#include "he_add_s8_dsp.h"
#include "he_fully_connected_s8_dsp.h"
#include "he_mul_s8_dsp.h"

/* Field names as in GruDspParams (harembed/ir/ops/gru_dsp.py). Of sums and products only scales count. */
typedef struct {
    int32_t time_steps, input_size, units;
    int32_t layout;     /* HE_WEIGHTS_8 if that of both products is; else theirs say */
    int32_t zero_point; /* of the hidden state */
    int32_t row_bytes;  /* of scratch, for the wider of input and state */
    he_fully_connected_s8_dsp_params input; /* of one time step */
    he_fully_connected_s8_dsp_params recurrent;
    he_add_s8_dsp_params gate_sum;
    he_mul_s8_dsp_params reset_product;
    he_add_s8_dsp_params new_sum;
    he_add_s8_dsp_params difference;
    he_mul_s8_dsp_params update_product;
    he_add_s8_dsp_params output_sum;
    const int8_t *logistic; /* [256] outputs for the inputs -128, -127, ... 127 */
    const int8_t *tanh;
} he_gru_s8_dsp_params;

/* From the sums of input and state, [3U] each, rows of the gates reset, update, new, to the next state. */
HE_ALWAYS_INLINE void he_gru_update(const he_gru_s8_dsp_params *p, const int8_t *from_input, const int8_t *from_state,
                                    const int8_t *state, int8_t *output)
{
    const int8_t *const logistic = p->logistic + 128, *const tanh = p->tanh + 128;
    const int32_t n = p->units;
    for (int32_t left = n; left > 0; --left) {
        const int8_t reset = logistic[he_add_one(&p->gate_sum, from_input[0], from_state[0])];
        const int8_t product = he_mul_one(&p->reset_product, reset, from_state[2 * n]);
        const int8_t new = tanh[he_add_one(&p->new_sum, from_input[2 * n], product)];
        const int8_t update = logistic[he_add_one(&p->gate_sum, from_input[n], from_state[n])];
        const int8_t difference = he_add_one(&p->difference, *state++, new);
        *output++ = he_add_one(&p->output_sum, new, he_mul_one(&p->update_product, update, difference));
        ++from_input;
        ++from_state;
    }
}

/* With constant params and layout everything folds that does not depend on the data. */
HE_ALWAYS_INLINE void he_gru_s8_dsp_inline(const he_gru_s8_dsp_params *p, int32_t layout, const int8_t *input,
                                           int8_t *output, uint8_t *scratch)
{
    const int32_t input_layout = layout == HE_WEIGHTS_8 ? HE_WEIGHTS_8 : p->input.layout;
    const int32_t state_layout = layout == HE_WEIGHTS_8 ? HE_WEIGHTS_8 : p->recurrent.layout;
    int8_t *const from_input = (int8_t *)scratch + p->row_bytes;
    int8_t *const from_state = from_input + 3 * p->units;
    int8_t *const start = from_state + 3 * p->units;
    const int8_t *state = start;
    for (int32_t u = 0; u < p->units; ++u) {
        start[u] = (int8_t)p->zero_point;
        __asm__ volatile("" : : : "memory"); /* no call of memset */
    }
    for (int32_t left = p->time_steps; left > 0; --left) {
        he_fully_connected_s8_dsp_inline(&p->input, input_layout, input, from_input, scratch);
        he_fully_connected_s8_dsp_inline(&p->recurrent, state_layout, state, from_state, scratch);
        he_gru_update(p, from_input, from_state, state, output);
        state = output;
        input += p->input_size;
        output += p->units;
    }
}

/* The same for any params with HE_WEIGHTS_8: one copy in a program. input [T,I], output [T,U]; scratch starts at a
 * multiple of 4. The state starts at its zero_point and ends with the call. */
void he_gru_s8_dsp(const he_gru_s8_dsp_params *params, const int8_t *input, int8_t *output, uint8_t *scratch);

#endif
#endif
