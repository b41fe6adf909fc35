/* SPDX-License-Identifier: Apache-2.0
 *
 * One channel of two output rows of a depthwise 3 x 3 convolution in assembly, for gcc: six words of weights, four sums,
 * two words of input and two pointers take fourteen registers, all that there are. What else a step needs it reads from
 * the stack. he_depthwise_3x3_s8_dsp.h does the same in C, for other compilers, other requantisations and wide images.
 */
#ifndef HE_DEPTHWISE_3X3_ASM_H
#define HE_DEPTHWISE_3X3_ASM_H

#include "he_dot_s8_dsp.h"

#if HE_TILE_S8_ASM

/* What a step reads from the stack: multiplier and rounding of the channel, where its sums start, where y is behind the
 * last two columns, and how many times two rows are left. */
typedef struct {
    int32_t multiplier, rounding, bias;
    int8_t *end;
    int32_t left;
} he_strip_channel;

/* What is constant: bytes from the upper strip to the lower one; from an output to the next row (0: the second of two
 * rows is for nothing) and to the next column; how many columns, an even number; and from the first strips that are
 * read, and the first two rows, to the next. */
typedef struct {
    int32_t lower, row, column, columns, next_strips, next_rows, right_shift;
} he_strip_steps;

/* `two_rows` times two output rows of one channel. w: six words; channel: three. */
HE_ALWAYS_INLINE void he_strip_3x3(he_strip_steps steps, int32_t two_rows, const uint32_t *strip, const uint32_t *w,
                                   const int32_t *words, int8_t *output)
{
    he_strip_channel channel = {words[1], words[2], words[0], output + steps.columns * steps.column, two_rows};
    register const uint32_t *x __asm__("r0") = strip;
    register int8_t *y __asm__("r1") = output;
    register uint32_t u0 __asm__("r2") = w[0];
    register uint32_t l0 __asm__("r3") = w[1];
    register uint32_t u1 __asm__("r4") = w[2];
    register uint32_t l1 __asm__("r5") = w[3];
    register uint32_t u2 __asm__("r6") = w[4];
    register uint32_t l2 __asm__("r7") = w[5];
    __asm__ volatile(
        "1:\n\t"
        "ldrd r12, lr, [%[x]]\n\t"
        "ldr r11, %[bias]\n\t"
        "smlad r8, r12, %[u0], r11\n\t"
        "smlatb r9, r12, %[u0], r11\n\t"
        "smlad r10, lr, %[u0], r11\n\t"
        "smlatb r11, lr, %[u0], r11\n\t"
        "smlad r8, lr, %[u1], r8\n\t"
        "smlatb r9, lr, %[u1], r9\n\t"
        "ldrd r12, lr, [%[x], #8]\n\t"
        "smlad r8, r12, %[u2], r8\n\t"
        "smlatb r9, r12, %[u2], r9\n\t"
        "smlad r10, r12, %[u1], r10\n\t"
        "smlatb r11, r12, %[u1], r11\n\t"
        "smlad r10, lr, %[u2], r10\n\t"
        "smlatb r11, lr, %[u2], r11\n\t"
        "ldrd r12, lr, [%[x], %[lower]]\n\t"
        "smlabt r8, r12, %[l0], r8\n\t"
        "smlad r9, r12, %[l0], r9\n\t"
        "smlabt r8, lr, %[l1], r8\n\t"
        "smlad r9, lr, %[l1], r9\n\t"
        "smlabt r10, lr, %[l0], r10\n\t"
        "smlad r11, lr, %[l0], r11\n\t"
        "ldrd r12, lr, [%[x], %[lower8]]\n\t"
        "smlabt r8, r12, %[l2], r8\n\t"
        "smlad r9, r12, %[l2], r9\n\t"
        "smlabt r10, r12, %[l1], r10\n\t"
        "smlad r11, r12, %[l1], r11\n\t"
        "smlabt r10, lr, %[l2], r10\n\t"
        "smlad r11, lr, %[l2], r11\n\t"
        "ldrd r12, lr, %[scale]\n\t"
        "smmla r9, r9, r12, lr\n\t"
        "smmla r11, r11, r12, lr\n\t"
        "smmla r8, r8, r12, lr\n\t"
        "smmla r10, r10, r12, lr\n\t"
        "ldr r12, %[end]\n\t"
        "ssat r9, #8, r9, asr %[shift]\n\t"
        "ssat r11, #8, r11, asr %[shift]\n\t"
        "ssat r8, #8, r8, asr %[shift]\n\t"
        "ssat r10, #8, r10, asr %[shift]\n\t"
        "strb r9, [%[y], %[row]]\n\t"
        "strb r11, [%[y], %[row_column]]\n\t"
        "strb r10, [%[y], %[column]]\n\t"
        "strb r8, [%[y]]\n\t"
        "add %[x], #8\n\t"
        "add %[y], %[columns]\n\t"
        "cmp %[y], r12\n\t"
        "bne 1b\n\t"
        "ldr lr, %[left]\n\t"
        "add r12, %[next_rows]\n\t"
        "str r12, %[end]\n\t"
        "subs lr, #1\n\t"
        "str lr, %[left]\n\t"
        "add %[x], %[to_strips]\n\t"
        "add %[y], %[to_rows]\n\t"
        "bne 1b\n\t"
        : [x] "+&r"(x), [y] "+&r"(y), [end] "+m"(channel.end), [left] "+m"(channel.left)
        : [u0] "r"(u0), [l0] "r"(l0), [u1] "r"(u1), [l1] "r"(l1), [u2] "r"(u2), [l2] "r"(l2), [bias] "m"(channel.bias),
          [scale] "m"(channel.multiplier), "m"(channel.rounding), [lower] "i"(steps.lower),
          [lower8] "i"(steps.lower + 8), [row] "i"(steps.row), [row_column] "i"(steps.row + steps.column),
          [column] "i"(steps.column), [columns] "i"(2 * steps.column), [shift] "i"(steps.right_shift),
          [next_rows] "i"(steps.next_rows), [to_strips] "i"(steps.next_strips - 4 * steps.columns),
          [to_rows] "i"(steps.next_rows - steps.columns * steps.column)
        : "r8", "r9", "r10", "r11", "r12", "lr", "cc", "memory");
}

#endif
#endif
