/* SPDX-License-Identifier: Apache-2.0
 *
 * Two bricks with the lines of a fragment in assembly, for gcc: as he_tile_s8_two (he_tile_s8_asm.h), whose registers
 * it takes. The taps of a row are straight code that finds what they see by constant offsets. Included by
 * he_lego_conv_s8_dsp.h.
 */
#ifndef HE_LEGO_TWO_ASM_H
#define HE_LEGO_TWO_ASM_H

#if HE_TILE_S8_ASM

/* A pair of both bricks in c and d, at the offsets `there` (positions 2 and 3) and `here`. */
#define HE_LEGO_PAIR(here, there)                                                                                  \
    "ldrd %[u], %[v], [%[x], %[" #there "]]\n\t" HE_TILE_SUM(a2, u, c, a2) HE_TILE_SUM(a3, v, c, a3)               \
        HE_TILE_SUM(b2, u, d, b2) HE_TILE_SUM(b3, v, d, b3) "ldrd %[u], %[v], [%[x], %[" #here "]]\n\t"            \
        HE_TILE_SUM(a1, v, c, a1) HE_TILE_SUM(a0, u, c, a0) HE_TILE_SUM(b1, v, d, b1) HE_TILE_SUM(b0, u, d, b0)

#define HE_LEGO_STATEMENT(text, at)                                                                                \
    __asm__ volatile(text                                                                                          \
                     : [a0] "+&r"(a0), [a1] "+&r"(a1), [a2] "+&r"(a2), [a3] "+&r"(a3), [b0] "+&r"(b0),             \
                       [b1] "+&r"(b1), [b2] "+&r"(b2), [b3] "+&r"(b3), [w] "+&r"(w), [c] "=&r"(c),                 \
                       [d] "=&r"(d), [u] "=&r"(u), [v] "=&r"(v)                                                    \
                     : [x] "r"(x), [first] "i"(4 * (at)), [first2] "i"(4 * (at) + 8),                              \
                       [second] "i"(4 * ((at) + p->line)), [second2] "i"(4 * ((at) + p->line) + 8)                 \
                     : "memory")

/* Tap n of four channels of each brick, if there is one. */
#define HE_LEGO_TAP(n)                                                                                             \
    if (p->taps > (n)) {                                                                                           \
        if (layout == HE_WEIGHTS_JOINED) {                                                                         \
            HE_LEGO_STATEMENT(HE_TILE_WEIGHTS_16 HE_LEGO_PAIR(first, first2) HE_TILE_WEIGHTS_SECOND                \
                              HE_LEGO_PAIR(second, second2), p->places[p->taps > (n) ? (n) : 0]);                  \
        } else {                                                                                                   \
            HE_LEGO_STATEMENT(HE_TILE_WEIGHTS_8 HE_LEGO_PAIR(first, first2) HE_TILE_WEIGHTS_8                      \
                              HE_LEGO_PAIR(second, second2), p->places[p->taps > (n) ? (n) : 0]);                  \
        }                                                                                                          \
    }

/* As he_lego_bricks for two, with constant params. */
HE_ALWAYS_INLINE he_sums he_lego_two(const he_lego_conv_s8_dsp_params *p, int32_t layout, const uint32_t *lines,
                                     const uint32_t **weights)
{
    register const uint32_t *x __asm__("r0") = lines;
    register const uint32_t *w __asm__("r1") = *weights;
    register uint32_t c __asm__("r2");
    register uint32_t d __asm__("r3");
    register int32_t a0 __asm__("r4") = 0;
    register int32_t a1 __asm__("r5") = 0;
    register int32_t a2 __asm__("r6") = 0;
    register int32_t a3 __asm__("r7") = 0;
    register int32_t b0 __asm__("r8") = 0;
    register int32_t b1 __asm__("r9") = 0;
    register int32_t b2 __asm__("r10") = 0;
    register int32_t b3 __asm__("r11") = 0;
    register uint32_t u __asm__("r12");
    register uint32_t v __asm__("lr");
    /* No register is left for the end. */
    const uint32_t *volatile end = lines + p->rows * ((p->channels + 3) >> 2) * 2 * p->line;
    do {
        HE_LEGO_TAP(0)
        HE_LEGO_TAP(1)
        HE_LEGO_TAP(2)
        HE_LEGO_TAP(3)
        HE_LEGO_TAP(4)
        HE_LEGO_TAP(5)
        HE_LEGO_TAP(6)
        HE_LEGO_TAP(7)
        HE_LEGO_TAP(8)
        HE_LEGO_TAP(9)
        HE_LEGO_TAP(10)
        HE_LEGO_TAP(11)
        HE_LEGO_TAP(12)
        HE_LEGO_TAP(13)
        HE_LEGO_TAP(14)
        HE_LEGO_TAP(15)
        x += 2 * p->line;
    } while (x != end);
    *weights = w;
    const he_sums s = {a0, a1, a2, a3, b0, b1, b2, b3};
    return s;
}

#endif
#endif
