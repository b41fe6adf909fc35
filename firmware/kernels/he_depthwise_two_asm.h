/* SPDX-License-Identifier: Apache-2.0
 *
 * Four channels at two neighbouring outputs of a depthwise convolution of 3 x 3 taps in assembly, for gcc: eight sums, two
 * words of weights, two of inputs and two pointers take fourteen registers, all that there are. Each weight is loaded
 * for both outputs.
 */
#ifndef HE_DEPTHWISE_TWO_ASM_H
#define HE_DEPTHWISE_TWO_ASM_H

#include "he_dot_s8_dsp.h"

#if HE_TILE_S8_ASM

/* Words of four channels: where sums start, nine taps of two pairs (c0, c2), (c1, c3), multiplier and rounding of each. */
#define HE_TWO_WORDS (4 + 18 + 8)

/* What is constant, in bytes: from a tap to the one in the next row and in the next column, and to the same tap of the
 * second output; from an output to the second; what all channels are; right_shift of the requantisation. */
typedef struct {
    int32_t row, column, second, output, channels, right_shift;
} he_two_steps;

#define HE_TWO_INPUT(offset) "ldr r2, [%[x], #" offset "]\n\tsxtb16 r3, r2, ror #8\n\tsxtb16 r2, r2\n\t"
#define HE_TWO_SUMS(a, b, c, d)                                                                                    \
    "smlabb " a ", r2, r12, " a "\n\tsmlatt " c ", r2, r12, " c "\n\t"                                             \
    "smlabb " b ", r3, lr, " b "\n\tsmlatt " d ", r3, lr, " d "\n\t"
#define HE_TWO_TAP(offset)                                                                                         \
    "ldrd r12, lr, [%[w]], #8\n\t" HE_TWO_INPUT(offset) HE_TWO_SUMS("r4", "r5", "r6", "r7")                        \
        HE_TWO_INPUT(offset " + %c[second]") HE_TWO_SUMS("r8", "r9", "r10", "r11")
#define HE_TWO_SCALE(s, t, channel)                                                                                \
    "ldrd r2, r3, [%[w]], #8\n\tsmmla " s ", " s ", r2, r3\n\tsmmla " t ", " t ", r2, r3\n\t"                      \
    "ssat " s ", #8, " s ", asr %[shift]\n\tssat " t ", #8, " t ", asr %[shift]\n\t"                               \
    "strb " s ", [r12, #" channel "]\n\tstrb " t ", [r12, #" channel " + %c[output]]\n\t"

/* All channels, four at a time. `weights` as HE_TWO_WORDS says. */
HE_ALWAYS_INLINE void he_depthwise_two(he_two_steps steps, const int8_t *input, const uint32_t *weights, int8_t *output)
{
    register const int8_t *x __asm__("r0") = input;
    register const uint32_t *w __asm__("r1") = weights;
    int8_t *y = output;
    int8_t *const end = output + steps.channels;
    __asm__ volatile(
        "1:\n\t"
        "ldm %[w]!, {r4-r7}\n\t"
        /* The second output starts from the same. */
        "ldrd r12, lr, [%[w]], #8\n\t" HE_TWO_INPUT("%c[second]")
        "smlabb r8, r2, r12, r4\n\t"
        "smlatt r10, r2, r12, r6\n\t"
        "smlabb r9, r3, lr, r5\n\t"
        "smlatt r11, r3, lr, r7\n\t"
        HE_TWO_INPUT("0") HE_TWO_SUMS("r4", "r5", "r6", "r7")
        HE_TWO_TAP("%c[column]") HE_TWO_TAP("2 * %c[column]")
        HE_TWO_TAP("%c[row]") HE_TWO_TAP("%c[row] + %c[column]") HE_TWO_TAP("%c[row] + 2 * %c[column]")
        HE_TWO_TAP("2 * %c[row]") HE_TWO_TAP("2 * %c[row] + %c[column]") HE_TWO_TAP("2 * %c[row] + 2 * %c[column]")
        "ldr r12, %[y]\n\t"
        HE_TWO_SCALE("r4", "r8", "0") HE_TWO_SCALE("r5", "r9", "1") HE_TWO_SCALE("r6", "r10", "2")
        HE_TWO_SCALE("r7", "r11", "3")
        "add r12, #4\n\t"
        "ldr lr, %[end]\n\t"
        "str r12, %[y]\n\t"
        "add %[x], #4\n\t"
        "cmp r12, lr\n\t"
        "bne 1b\n\t"
        : [x] "+&r"(x), [w] "+&r"(w), [y] "+m"(y)
        : [end] "m"(end), [row] "i"(steps.row), [column] "i"(steps.column), [second] "i"(steps.second),
          [output] "i"(steps.output), [shift] "i"(steps.right_shift)
        : "r2", "r3", "r4", "r5", "r6", "r7", "r8", "r9", "r10", "r11", "r12", "lr", "cc", "memory");
}

#endif
#endif
