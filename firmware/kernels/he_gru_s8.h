/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HE_GRU_S8_H
#define HE_GRU_S8_H

#include <stdint.h>

#include "he_add_s8.h"
#include "he_fully_connected_s8.h"
#include "he_mul_s8.h"

/* Field names as in GruParams (harembed/ir/ops/gru.py). */
typedef struct {
    int32_t time_steps, input_size, units;
    int32_t zero_point; /* of the hidden state */
    he_fully_connected_s8_params input; /* of one time step */
    he_fully_connected_s8_params recurrent;
    he_add_s8_params gate_sum;
    he_mul_s8_params reset_product;
    he_add_s8_params new_sum;
    he_add_s8_params difference;
    he_mul_s8_params update_product;
    he_add_s8_params output_sum;
    const int8_t *logistic; /* [256] outputs for the inputs -128, -127, ... 127 */
    const int8_t *tanh;
} he_gru_s8_params;

/* input [T,I], input_weights [3U,I], recurrent_weights [3U,U], rows of the gates reset, update, new; biases [3U];
 * output [T,U]; scratch [8U] bytes. The state starts at its zero_point and ends with the call. */
void he_gru_s8(const he_gru_s8_params *params, const int8_t *input, const int8_t *input_weights,
               const int8_t *recurrent_weights, const int32_t *input_bias, const int32_t *recurrent_bias,
               int8_t *output, uint8_t *scratch);

#endif
