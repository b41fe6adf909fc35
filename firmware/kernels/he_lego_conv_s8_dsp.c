/* SPDX-License-Identifier: Apache-2.0
 *
 * Convolution with Lego filters with the DSP instructions: all of it is inline, see he_lego_conv_s8_dsp.h.
 */
#include "he_lego_conv_s8_dsp.h"
