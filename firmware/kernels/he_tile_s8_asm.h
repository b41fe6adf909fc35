/* SPDX-License-Identifier: Apache-2.0
 *
 * The taps of two channels at four positions in assembly, for gcc, which keeps register variables: a pair of taps
 * takes fourteen registers, all that there are, for eight sums, two pointers and four words. Left to itself the
 * compiler spills sums to keep what only outer loops need. Without optimisation one of the registers points to the
 * stack frame: then, and for other compilers, he_dot_s8_dsp.h does the same in C, as it does with
 * -DHE_TILE_S8_ASM=0 (for -fno-omit-frame-pointer).
 */
#ifndef HE_TILE_S8_ASM_H
#define HE_TILE_S8_ASM_H

#include "he_dsp.h"

#ifndef HE_TILE_S8_ASM
#if HE_USE_DSP && !(defined(HE_DSP_EMULATION) && HE_DSP_EMULATION) && defined(__OPTIMIZE__) && !defined(__clang__)
#define HE_TILE_S8_ASM 1
#else
#define HE_TILE_S8_ASM 0
#endif
#endif

#if HE_TILE_S8_ASM

/* The weights of a pair of taps, or joined ones of two: of channel a in c, of channel b in d. */
#define HE_TILE_WEIGHTS_16 "ldrd %[c], %[d], [%[w]], #8\n\t"
#define HE_TILE_WEIGHTS_8 "ldr %[d], [%[w]], #4\n\tsxtb16 %[c], %[d]\n\tsxtb16 %[d], %[d], ror #8\n\t"
/* Those for the second of two pairs. */
#define HE_TILE_WEIGHTS_SECOND "sxtb16 %[c], %[c]\n\tsxtb16 %[d], %[d]\n\t"

#define HE_TILE_SUM(sum, inputs, weights, start)                                                                   \
    "smlad %[" #sum "], %[" #inputs "], %[" #weights "], %[" #start "]\n\t"

/* The first pair: all sums start from those of position 0, which come last. */
#define HE_TILE_FIRST                                                                                              \
    "ldrd %[u], %[v], [%[x], #8]\n\t" HE_TILE_SUM(a2, u, c, a0) HE_TILE_SUM(a3, v, c, a0)                          \
        HE_TILE_SUM(b2, u, d, b0) HE_TILE_SUM(b3, v, d, b0) "ldrd %[u], %[v], [%[x]], #16\n\t"                     \
        HE_TILE_SUM(a1, v, c, a0) HE_TILE_SUM(a0, u, c, a0) HE_TILE_SUM(b1, v, d, b0) HE_TILE_SUM(b0, u, d, b0)

/* One more pair. */
#define HE_TILE_NEXT                                                                                               \
    "ldrd %[u], %[v], [%[x], #8]\n\t" HE_TILE_SUM(a2, u, c, a2) HE_TILE_SUM(a3, v, c, a3)                          \
        HE_TILE_SUM(b2, u, d, b2) HE_TILE_SUM(b3, v, d, b3) "ldrd %[u], %[v], [%[x]], #16\n\t"                     \
        HE_TILE_SUM(a1, v, c, a1) HE_TILE_SUM(a0, u, c, a0) HE_TILE_SUM(b1, v, d, b1) HE_TILE_SUM(b0, u, d, b0)

/* A statement on the register variables of he_tile_s8_two; `sums` is how it takes those that the first pair sets. */
#define HE_TILE_STATEMENT(text, sums)                                                                              \
    __asm__ volatile(text                                                                                          \
                     : [a0] "+&r"(a0), [a1] sums(a1), [a2] sums(a2), [a3] sums(a3), [b0] "+&r"(b0),                \
                       [b1] sums(b1), [b2] sums(b2), [b3] sums(b3), [x] "+&r"(x), [w] "+&r"(w), [c] "=&r"(c),      \
                       [d] "=&r"(d), [u] "=&r"(u), [v] "=&r"(v)                                                    \
                     :                                                                                             \
                     : "memory")
#define HE_TILE_STEP(pair, sums)                                                                                   \
    do {                                                                                                           \
        if (layout == HE_WEIGHTS_JOINED) {                                                                         \
            HE_TILE_STATEMENT(HE_TILE_WEIGHTS_16 pair HE_TILE_WEIGHTS_SECOND HE_TILE_NEXT, sums);                  \
        } else if (layout == HE_WEIGHTS_16) {                                                                      \
            HE_TILE_STATEMENT(HE_TILE_WEIGHTS_16 pair, sums);                                                      \
        } else {                                                                                                   \
            HE_TILE_STATEMENT(HE_TILE_WEIGHTS_8 pair, sums);                                                       \
        }                                                                                                          \
    } while (0)
#define HE_TILE_MORE HE_TILE_STEP(HE_TILE_NEXT, "+&r")

/* As he_tile_s8_taps for two channels. */
HE_ALWAYS_INLINE he_sums he_tile_s8_two(int32_t layout, int32_t unroll, int32_t pairs, int32_t a, int32_t b,
                                        const uint32_t *tile, const uint32_t **weights)
{
    register const uint32_t *x __asm__("r0") = tile;
    register const uint32_t *w __asm__("r1") = *weights;
    register uint32_t c __asm__("r2");
    register uint32_t d __asm__("r3");
    register int32_t a0 __asm__("r4") = a;
    register int32_t a1 __asm__("r5");
    register int32_t a2 __asm__("r6");
    register int32_t a3 __asm__("r7");
    register int32_t b0 __asm__("r8") = b;
    register int32_t b1 __asm__("r9");
    register int32_t b2 __asm__("r10");
    register int32_t b3 __asm__("r11");
    register uint32_t u __asm__("r12");
    register uint32_t v __asm__("lr");
    HE_TILE_STEP(HE_TILE_FIRST, "=&r");
    const int32_t joined = layout == HE_WEIGHTS_JOINED ? 1 : 0;
    const int32_t steps = (pairs >> joined) - 1, round = unroll >> joined;
    switch (steps & (round - 1)) {
    case 15:
        HE_TILE_MORE; /* fallthrough */
    case 14:
        HE_TILE_MORE; /* fallthrough */
    case 13:
        HE_TILE_MORE; /* fallthrough */
    case 12:
        HE_TILE_MORE; /* fallthrough */
    case 11:
        HE_TILE_MORE; /* fallthrough */
    case 10:
        HE_TILE_MORE; /* fallthrough */
    case 9:
        HE_TILE_MORE; /* fallthrough */
    case 8:
        HE_TILE_MORE; /* fallthrough */
    case 7:
        HE_TILE_MORE; /* fallthrough */
    case 6:
        HE_TILE_MORE; /* fallthrough */
    case 5:
        HE_TILE_MORE; /* fallthrough */
    case 4:
        HE_TILE_MORE; /* fallthrough */
    case 3:
        HE_TILE_MORE; /* fallthrough */
    case 2:
        HE_TILE_MORE; /* fallthrough */
    case 1:
        HE_TILE_MORE; /* fallthrough */
    default:
        break;
    }
    if (steps >= round) {
        /* No register is left for the end. */
        const uint32_t *volatile end = x + (4 << joined) * (steps & ~(round - 1));
        do {
            HE_TILE_MORE;
            HE_TILE_MORE;
            if (round >= 4) {
                HE_TILE_MORE;
                HE_TILE_MORE;
            }
            if (round == 8) {
                HE_TILE_MORE;
                HE_TILE_MORE;
                HE_TILE_MORE;
                HE_TILE_MORE;
            }
        } while (x != end);
    }
    *weights = w;
    const he_sums s = {a0, a1, a2, a3, b0, b1, b2, b3};
    return s;
}

#endif
#endif
