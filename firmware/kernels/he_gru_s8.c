/* SPDX-License-Identifier: Apache-2.0
 *
 * Gated recurrent unit, int8: a time step is a chain of other kernels, each of which rounds to int8.
 */
#include "he_gru_s8.h"

#include "he_lookup_s8.h"

void he_gru_s8(const he_gru_s8_params *params, const int8_t *input, const int8_t *input_weights,
               const int8_t *recurrent_weights, const int32_t *input_bias, const int32_t *recurrent_bias,
               int8_t *output, uint8_t *scratch)
{
    const he_gru_s8_params *p = params;
    const he_lookup_s8_params logistic = {2 * p->units, p->logistic}, tanh = {p->units, p->tanh};
    int8_t *const from_input = (int8_t *)scratch; /* [3U]: reset, update, new */
    int8_t *const from_state = from_input + 3 * p->units;
    int8_t *const product = from_state + 3 * p->units;
    int8_t *const start = product + p->units;
    int8_t *const reset = from_input, *const update = from_input + p->units, *const new = update + p->units;
    const int8_t *state = start;
    for (int32_t u = 0; u < p->units; ++u) {
        start[u] = (int8_t)p->zero_point;
    }
    for (int32_t t = 0; t < p->time_steps; ++t) {
        he_fully_connected_s8(&p->input, input, input_weights, input_bias, from_input);
        he_fully_connected_s8(&p->recurrent, state, recurrent_weights, recurrent_bias, from_state);
        he_add_s8(&p->gate_sum, from_input, from_state, from_input);
        he_lookup_s8(&logistic, from_input, from_input);
        he_mul_s8(&p->reset_product, reset, from_state + 2 * p->units, product);
        he_add_s8(&p->new_sum, new, product, new);
        he_lookup_s8(&tanh, new, new);
        he_add_s8(&p->difference, state, new, product);
        he_mul_s8(&p->update_product, update, product, product);
        he_add_s8(&p->output_sum, new, product, output);
        state = output;
        input += p->input_size;
        output += p->units;
    }
}
