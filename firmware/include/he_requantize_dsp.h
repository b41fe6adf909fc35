/* SPDX-License-Identifier: Apache-2.0
 *
 * Requantisation to int8 in six DSP instructions, equal to he_fixedpoint.h for every int32 accumulator.
 */
#ifndef HE_REQUANTIZE_DSP_H
#define HE_REQUANTIZE_DSP_H

#include <stdbool.h>

#include "he_dsp.h"
#include "he_fixedpoint.h"

#if HE_USE_DSP

/* Both forms compute clamp(zero_point + acc * multiplier / 2^31 * 2^shift, -128, 127), rounded twice as
 * he_multiply_by_quantized_multiplier does and under its contract: multiplier 0 or in [2^30, 2^31), shift in
 * [-31, 30]; zero_point in [-128, 127]. */

/* The definition, for any shift; out of line because it is rare. */
__attribute__((noinline, unused)) static int32_t he_requantize_s8_general(int32_t acc, int32_t multiplier,
                                                                          int32_t shift, int32_t zero_point)
{
    const int32_t scaled = he_multiply_by_quantized_multiplier(acc, multiplier, shift);
    return he_clamp(scaled, -128 - zero_point, 127 - zero_point) + zero_point;
}

HE_ALWAYS_INLINE bool he_requantize_s8_is_quick(int32_t shift)
{
    return shift >= -21 && shift <= -1;
}

/* For such shifts; halvings = -1 - shift, rounding = 1 + 2 * zero_point. Why it is equal:
 * 1. he_saturating_rounding_doubling_high_mul is floor((acc * multiplier + 2^30) / 2^31); doubling acc first
 *    makes that one SMMULR. Where the doubling saturates, |acc| >= 2^30, SMMULR gives at least 2^29 in
 *    magnitude and the exact product is larger still; after at most 21 halvings both are 2^8 or more, so that
 *    even the farthest zero_point leaves both outside int8, on the same side.
 * 2. Ties of the second rounding go away from zero: one less if negative, then ties upward. The product is
 *    above -2^31, so that nothing overflows.
 * 3. floor((y + 2^(n-1)) / 2^n) + zero_point = floor((floor(y / 2^(n-1)) + 1 + 2 zero_point) / 2), whose sum
 *    saturates only far outside int8; SSAT divides by 2 and clamps. */
HE_ALWAYS_INLINE int32_t he_requantize_s8_quick(int32_t acc, int32_t multiplier, int32_t halvings,
                                                int32_t rounding)
{
    int32_t scaled = he_smmulr(he_qadd(acc, acc), multiplier);
    scaled += scaled >> 31;
    return he_ssat8_asr1(he_qadd(scaled >> halvings, rounding));
}

#endif
#endif
