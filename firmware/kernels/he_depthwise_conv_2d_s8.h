/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HE_DEPTHWISE_CONV_2D_S8_H
#define HE_DEPTHWISE_CONV_2D_S8_H

#include <stdint.h>

/* Field names as in DepthwiseConv2DParams (harembed/ir/ops/depthwise.py). zero_points have TFLite's sign. */
typedef struct {
    int32_t input_h, input_w, input_c;
    int32_t filter_h, filter_w;
    int32_t output_h, output_w, output_c;
    int32_t depth_multiplier; /* output_c / input_c */
    int32_t stride_h, stride_w;
    int32_t dilation_h, dilation_w;
    int32_t pad_top, pad_left;
    int32_t input_zero_point, output_zero_point;
    int32_t act_min, act_max;
    const int32_t *multiplier; /* [output_c] Q0.31 */
    const int32_t *shift;      /* [output_c] positive: to the left */
} he_depthwise_conv_2d_s8_params;

/* input [H,W,C], filter [KH,KW,O], bias [O] or NULL, output [OH,OW,O]; channel o reads channel o / depth_multiplier. */
void he_depthwise_conv_2d_s8(const he_depthwise_conv_2d_s8_params *params, const int8_t *input,
                             const int8_t *filter, const int32_t *bias, int8_t *output);

#endif
