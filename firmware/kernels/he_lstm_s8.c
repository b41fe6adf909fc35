/* SPDX-License-Identifier: Apache-2.0
 *
 * LSTM, int8 with int16 gates and cell: the readable portable form. No scratch: a unit's four gates are computed
 * together, and the new output_state is the row of `output` just written, so the old one stays readable until all
 * units are done.
 */
#include "he_lstm_s8.h"

#include "he_fixedpoint.h"

enum { GATE_INPUT, GATE_FORGET, GATE_CELL, GATE_OUTPUT, GATES };

/* Weights and biases by gate, as they come in separate arguments. */
typedef struct {
    const int8_t *input[GATES];
    const int8_t *recurrent[GATES];
    const int32_t *bias[GATES];
} lstm_weights;

static int32_t dot(const int8_t *x, int32_t zero_point, const int8_t *w, int32_t count)
{
    int32_t acc = 0;
    for (int32_t i = 0; i < count; ++i) {
        acc += (x[i] - zero_point) * w[i];
    }
    return acc;
}

static int32_t to_int16(int32_t x)
{
    return he_clamp(x, INT16_MIN, INT16_MAX);
}

/* Argument of the activation of one gate of one unit, Q3.12. */
static int16_t gate_sum(const he_lstm_s8_params *p, const lstm_weights *w, int32_t gate, int32_t unit,
                        const int8_t *input, const int8_t *state)
{
    const int32_t from_input = w->bias[gate][unit]
        + dot(input, p->input_zero_point, w->input[gate] + unit * p->input_size, p->input_size);
    const int32_t from_state =
        dot(state, p->output_state_zero_point, w->recurrent[gate] + unit * p->units, p->units);
    const int32_t a = he_multiply_by_quantized_multiplier(from_input, p->input_multiplier[gate],
                                                          p->input_shift[gate]);
    const int32_t b = he_multiply_by_quantized_multiplier(from_state, p->recurrent_multiplier[gate],
                                                          p->recurrent_shift[gate]);
    return (int16_t)to_int16(to_int16(a) + to_int16(b));
}

/* One unit at one time step: updates its cell and returns its new output. */
static int8_t step(const he_lstm_s8_params *p, const lstm_weights *w, int32_t unit, const int8_t *input,
                   const int8_t *state, int16_t *cell)
{
    const uint16_t *table = p->sigmoid_table;
    const int32_t gate_in = he_sigmoid_s16(gate_sum(p, w, GATE_INPUT, unit, input, state), table);
    const int32_t forget = he_sigmoid_s16(gate_sum(p, w, GATE_FORGET, unit, input, state), table);
    const int32_t candidate = he_tanh_s16(gate_sum(p, w, GATE_CELL, unit, input, state), 3, 0, table);
    const int32_t gate_out = he_sigmoid_s16(gate_sum(p, w, GATE_OUTPUT, unit, input, state), table);

    const int32_t kept = he_multiply_by_quantized_multiplier(forget * *cell, p->forget_cell_multiplier,
                                                             p->forget_cell_shift);
    const int32_t added = he_multiply_by_quantized_multiplier(gate_in * candidate, p->input_cell_multiplier,
                                                              p->input_cell_shift);
    const int32_t sum = to_int16(to_int16(kept) + to_int16(added));
    *cell = (int16_t)he_clamp(sum, -p->cell_clip, p->cell_clip);

    const int32_t shown = he_tanh_s16(*cell, p->cell_tanh_multiplier, p->cell_tanh_shift, table);
    const int32_t q = p->output_state_zero_point
        + he_multiply_by_quantized_multiplier(shown * gate_out, p->output_multiplier, p->output_shift);
    return (int8_t)he_clamp(q, -128, 127);
}

void he_lstm_s8(const he_lstm_s8_params *params, const int8_t *input, const int8_t *input_to_input_weights,
                const int8_t *input_to_forget_weights, const int8_t *input_to_cell_weights,
                const int8_t *input_to_output_weights, const int8_t *recurrent_to_input_weights,
                const int8_t *recurrent_to_forget_weights, const int8_t *recurrent_to_cell_weights,
                const int8_t *recurrent_to_output_weights, const int32_t *input_bias, const int32_t *forget_bias,
                const int32_t *cell_bias, const int32_t *output_bias, int8_t *output_state, int16_t *cell_state,
                int8_t *output)
{
    const lstm_weights w = {
        { input_to_input_weights, input_to_forget_weights, input_to_cell_weights, input_to_output_weights },
        { recurrent_to_input_weights, recurrent_to_forget_weights, recurrent_to_cell_weights,
          recurrent_to_output_weights },
        { input_bias, forget_bias, cell_bias, output_bias },
    };
    const int8_t *state = output_state;
    for (int32_t t = 0; t < params->time_steps; ++t) {
        for (int32_t u = 0; u < params->units; ++u) {
            output[u] = step(params, &w, u, input, state, &cell_state[u]);
        }
        state = output;
        input += params->input_size;
        output += params->units;
    }
    for (int32_t u = 0; u < params->units; ++u) {
        output_state[u] = state[u];
    }
}
