/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HE_LSTM_S8_H
#define HE_LSTM_S8_H

#include <stdint.h>

/* Field names as in LstmParams (harembed/ir/ops/lstm.py). Gates in the order input, forget, cell, output;
 * multipliers are Q0.31, a positive shift is to the left; zero_points have TFLite's sign. */
typedef struct {
    int32_t time_steps, input_size, units;
    int32_t input_zero_point, output_state_zero_point;
    int32_t input_multiplier[4], input_shift[4];         /* input times weights to Q3.12 */
    int32_t recurrent_multiplier[4], recurrent_shift[4]; /* output_state times weights to Q3.12 */
    int32_t forget_cell_multiplier, forget_cell_shift;   /* forget gate * cell to cell */
    int32_t input_cell_multiplier, input_cell_shift;     /* input gate * cell gate to cell */
    int32_t output_multiplier, output_shift;             /* tanh(cell) * output gate to output_state */
    int32_t cell_tanh_multiplier, cell_tanh_shift;       /* cell to units of 1/12288 */
    int32_t cell_clip;                                   /* in steps of the cell; 32768: none */
    const uint16_t *sigmoid_table;                       /* [256] Q0.16, knots 1/24 apart */
} he_lstm_s8_params;

/* input [T, I]; input weights [U, I]; recurrent weights [U, U]; biases [U]; output [T, U].
 * output_state [U] and cell_state [U] hold the state before the call and that after it. input and output must not
 * overlap. */
void he_lstm_s8(const he_lstm_s8_params *params, const int8_t *input, const int8_t *input_to_input_weights,
                const int8_t *input_to_forget_weights, const int8_t *input_to_cell_weights,
                const int8_t *input_to_output_weights, const int8_t *recurrent_to_input_weights,
                const int8_t *recurrent_to_forget_weights, const int8_t *recurrent_to_cell_weights,
                const int8_t *recurrent_to_output_weights, const int32_t *input_bias, const int32_t *forget_bias,
                const int32_t *cell_bias, const int32_t *output_bias, int8_t *output_state, int16_t *cell_state,
                int8_t *output);

#endif
