/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HE_LEGO_CONV_S8_H
#define HE_LEGO_CONV_S8_H

#include <stdint.h>

#include "he_conv_2d_s8.h"

/* Field names as in LegoConvParams (harembed/ir/ops/lego.py). */
typedef struct {
    he_conv_2d_s8_params conv; /* of the convolution that it stands for */
    int32_t fragments;         /* of the input channels */
    int32_t bricks;
} he_lego_conv_s8_params;

/* input [H,W,C], bricks [K,KH,KW,C/fragments], indices [O,fragments] of bricks, bias [O] or NULL, output [OH,OW,O];
 * scratch [fragments * K] int32, starts at a multiple of 4. */
void he_lego_conv_s8(const he_lego_conv_s8_params *params, const int8_t *input, const int8_t *bricks,
                     const int16_t *indices, const int32_t *bias, int8_t *output, uint8_t *scratch);

#endif
