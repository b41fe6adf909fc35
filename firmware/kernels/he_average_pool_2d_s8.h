/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HE_AVERAGE_POOL_2D_S8_H
#define HE_AVERAGE_POOL_2D_S8_H

#include <stdint.h>

/* Field names as in Pool2DParams (harembed/ir/ops/pool.py). Input and output share their quantisation. */
typedef struct {
    int32_t input_h, input_w, channels;
    int32_t filter_h, filter_w;
    int32_t output_h, output_w;
    int32_t stride_h, stride_w;
    int32_t pad_top, pad_left;
    int32_t act_min, act_max;
} he_average_pool_2d_s8_params;

/* input [H,W,C], output [OH,OW,C]. Taps outside the input do not count; each window covers one inside. */
void he_average_pool_2d_s8(const he_average_pool_2d_s8_params *params, const int8_t *input, int8_t *output);

#endif
