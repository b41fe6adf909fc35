/* SPDX-License-Identifier: Apache-2.0
 *
 * Convolution of signs by signs with the DSP instructions, what all layers share: see he_xnor_conv_s8_dsp.h.
 */
#include "he_xnor_conv_s8_dsp.h"

#if HE_USE_DSP

uint32_t he_xnor_count(const uint32_t *x, const uint32_t *w, int32_t words)
{
    const he_bit_masks m = he_masks();
    he_bit_runs at = {x, w};
    uint32_t sum = 0;
    for (; words >= 7; words -= 7) {
        sum += he_sum_of_bytes(he_seven_words(m, &at));
    }
    for (; words > 0; --words) {
        sum += he_sum_of_bytes(he_ones_by_byte(m, he_next_differing(&at)));
    }
    return sum;
}

#endif
