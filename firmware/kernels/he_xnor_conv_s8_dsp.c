/* SPDX-License-Identifier: Apache-2.0
 *
 * Convolution of signs by signs with the DSP instructions: all of it is inline, see he_xnor_conv_s8_dsp.h.
 */
#include "he_xnor_conv_s8_dsp.h"
