/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HE_XNOR_CONV_S8_H
#define HE_XNOR_CONV_S8_H

#include <stdint.h>

#include "he_conv_2d_s8.h"

/* Field names as in XnorConvParams (harembed/ir/ops/xnor.py). */
typedef struct {
    he_conv_2d_s8_params conv; /* of the convolution of signs */
    int32_t words;             /* of the bits of one position */
} he_xnor_conv_s8_params;

/* input [H,W,C], thresholds [C], weights [O,KH,KW,words] of bits, bias [O] or NULL, output [OH,OW,O];
 * scratch [H,W,words] words, starts at a multiple of 4. */
void he_xnor_conv_s8(const he_xnor_conv_s8_params *params, const int8_t *input, const int16_t *thresholds,
                     const int32_t *weights, const int32_t *bias, int8_t *output, uint8_t *scratch);

#endif
