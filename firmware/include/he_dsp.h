/* SPDX-License-Identifier: Apache-2.0
 *
 * The Armv7E-M / Armv8-M DSP instructions that the kernels use (Cortex-M4, M7, M33, M55 ...), and the one
 * place that decides whether they are used: HE_USE_DSP. A kernel with a `_dsp` form has two files that
 * define the same function; each is guarded by HE_USE_DSP, so that both are always in the build.
 *
 * HE_FORCE_PORTABLE=1   the portable form even where the instructions exist (to compare)
 * HE_DSP_EMULATION=1    the `_dsp` form on any little-endian machine, each instruction emulated exactly in
 *                       C: what runs on a host, under sanitizers too, computes the bits of the target
 *
 * A "pair" is two int16 in one word, the first in the low half.
 */
#ifndef HE_DSP_H
#define HE_DSP_H

#include <stdint.h>

#if defined(HE_FORCE_PORTABLE) && HE_FORCE_PORTABLE
#define HE_USE_DSP 0
#elif defined(HE_DSP_EMULATION) && HE_DSP_EMULATION
#define HE_USE_DSP 1
#elif defined(__ARM_FEATURE_SIMD32) && defined(__ARM_FEATURE_DSP) && !defined(__ARM_BIG_ENDIAN)
#define HE_USE_DSP 1
#else
#define HE_USE_DSP 0
#endif

#if HE_USE_DSP

/* Inlined whatever the optimiser thinks: an argument that is constant at the call then folds away. Emulated
 * instructions need no constants, and one copy of the code compiles sooner. */
#if defined(HE_DSP_EMULATION) && HE_DSP_EMULATION
#define HE_ALWAYS_INLINE static inline
#else
#define HE_ALWAYS_INLINE static inline __attribute__((always_inline))
#endif

/* A loop of few and constant rounds becomes straight code. */
#if defined(HE_DSP_EMULATION) && HE_DSP_EMULATION
#define HE_UNROLL
#elif defined(__clang__)
#define HE_UNROLL _Pragma("clang loop unroll(enable)")
#else
#define HE_UNROLL _Pragma("GCC unroll 16")
#endif

/* A longer loop takes four rounds at once. */
#if defined(HE_DSP_EMULATION) && HE_DSP_EMULATION
#define HE_UNROLL_SOME
#elif defined(__clang__)
#define HE_UNROLL_SOME _Pragma("clang loop unroll_count(4)")
#else
#define HE_UNROLL_SOME _Pragma("GCC unroll 4")
#endif

/* What lives across this point goes to the stack rather than into these registers. */
#if defined(HE_DSP_EMULATION) && HE_DSP_EMULATION
#define HE_FREE_REGISTERS()
#else
#define HE_FREE_REGISTERS() __asm__ volatile("" : : : "r8", "r9", "r10", "r11")
#endif

/* A function of its own in every profile, whose registers and stack are not its caller's. */
#define HE_NEVER_INLINE static __attribute__((noinline))

/* Code of a layer and the tables that it alone reads, in sections that a linker script sorts by name: side by side they
 * do not drive each other out of a small cache of the flash, if it can hold both. */
#if defined(__arm__) && defined(__ELF__)
#define HE_NODE_CODE(node) __attribute__((section(".he_node." #node ".code")))
#define HE_NODE_DATA(node) __attribute__((section(".he_node." #node ".data")))
#else
#define HE_NODE_CODE(node)
#define HE_NODE_DATA(node)
#endif

/* Four int8 from any address: one LDR, which may be unaligned (an LDRD or LDM may not). */
HE_ALWAYS_INLINE uint32_t he_load_4(const int8_t *from)
{
    uint32_t word;
    __builtin_memcpy(&word, from, sizeof word);
    return word;
}

/* Four int8 to any address. */
HE_ALWAYS_INLINE void he_store_4(int8_t *to, uint32_t word)
{
    __builtin_memcpy(to, &word, sizeof word);
}

typedef struct {
    uint32_t first, second;
} he_words;

#if defined(HE_DSP_EMULATION) && HE_DSP_EMULATION

HE_ALWAYS_INLINE uint32_t he_pair(int32_t low, int32_t high)
{
    return ((uint32_t)low & 0xFFFFU) | ((uint32_t)high << 16);
}

HE_ALWAYS_INLINE int32_t he_saturate(int64_t x, int32_t low, int32_t high)
{
    return x < low ? low : (x > high ? high : (int32_t)x);
}

HE_ALWAYS_INLINE uint32_t he_sxtb16(uint32_t bytes)
{
    return he_pair((int8_t)bytes, (int8_t)(bytes >> 16));
}

HE_ALWAYS_INLINE uint32_t he_sxtb16_ror8(uint32_t bytes)
{
    return he_sxtb16(bytes >> 8);
}

HE_ALWAYS_INLINE uint32_t he_sxtab16(uint32_t addend, uint32_t bytes)
{
    return he_pair((int16_t)addend + (int8_t)bytes, (int16_t)(addend >> 16) + (int8_t)(bytes >> 16));
}

HE_ALWAYS_INLINE uint32_t he_sxtab16_ror8(uint32_t addend, uint32_t bytes)
{
    return he_sxtab16(addend, bytes >> 8);
}

HE_ALWAYS_INLINE int32_t he_smlabb(uint32_t a, uint32_t b, int32_t sum)
{
    return (int32_t)((uint32_t)sum + (uint32_t)((int16_t)a * (int16_t)b));
}

HE_ALWAYS_INLINE int32_t he_smlatt(uint32_t a, uint32_t b, int32_t sum)
{
    return he_smlabb(a >> 16, b >> 16, sum);
}

HE_ALWAYS_INLINE int32_t he_smlabt(uint32_t a, uint32_t b, int32_t sum)
{
    return he_smlabb(a, b >> 16, sum);
}

HE_ALWAYS_INLINE int32_t he_smlatb(uint32_t a, uint32_t b, int32_t sum)
{
    return he_smlabb(a >> 16, b, sum);
}

HE_ALWAYS_INLINE int32_t he_smlad(uint32_t a, uint32_t b, int32_t sum)
{
    const int32_t low = (int16_t)a * (int16_t)b;
    const int32_t high = (int16_t)(a >> 16) * (int16_t)(b >> 16);
    return (int32_t)((uint32_t)sum + (uint32_t)low + (uint32_t)high);
}

HE_ALWAYS_INLINE int32_t he_smmla(int32_t a, int32_t b, int32_t sum)
{
    return (int32_t)((uint32_t)sum + (uint32_t)(((int64_t)a * b) >> 32));
}

HE_ALWAYS_INLINE int32_t he_smmlar(int32_t a, int32_t b, int32_t sum)
{
    return (int32_t)((uint32_t)sum + (uint32_t)(((int64_t)a * b + (INT64_C(1) << 31)) >> 32));
}

HE_ALWAYS_INLINE int32_t he_smmulr(int32_t a, int32_t b)
{
    return he_smmlar(a, b, 0);
}

HE_ALWAYS_INLINE int32_t he_smlal_high(int32_t a, int32_t b, uint32_t low, int32_t high)
{
    return (int32_t)(uint32_t)(((uint64_t)((int64_t)a * b) + low + ((uint64_t)(uint32_t)high << 32)) >> 32);
}

HE_ALWAYS_INLINE int32_t he_ssat8_asr(int32_t x, int32_t shift)
{
    return he_saturate(x >> shift, -128, 127);
}

HE_ALWAYS_INLINE int32_t he_ssat16_asr(int32_t x, int32_t shift)
{
    return he_saturate(x >> shift, INT16_MIN, INT16_MAX);
}

HE_ALWAYS_INLINE int32_t he_ssat24_doubled(int32_t x)
{
    return he_saturate((int32_t)((uint32_t)x << 1), -(1 << 23), (1 << 23) - 1);
}

HE_ALWAYS_INLINE uint32_t he_qadd16(uint32_t a, uint32_t b)
{
    return he_pair(he_saturate((int16_t)a + (int16_t)b, INT16_MIN, INT16_MAX),
                   he_saturate((int16_t)(a >> 16) + (int16_t)(b >> 16), INT16_MIN, INT16_MAX));
}

HE_ALWAYS_INLINE uint32_t he_ssub16(uint32_t a, uint32_t b)
{
    return he_pair((int16_t)a - (int16_t)b, (int16_t)(a >> 16) - (int16_t)(b >> 16));
}

HE_ALWAYS_INLINE int32_t he_smulbb(uint32_t a, uint32_t b)
{
    return (int16_t)a * (int16_t)b;
}

HE_ALWAYS_INLINE int32_t he_smultb(uint32_t a, uint32_t b)
{
    return (int16_t)(a >> 16) * (int16_t)b;
}

HE_ALWAYS_INLINE uint32_t he_smax8(uint32_t a, uint32_t b)
{
    uint32_t result = 0;
    for (uint32_t shift = 0; shift < 32U; shift += 8U) {
        const int8_t x = (int8_t)(a >> shift), y = (int8_t)(b >> shift);
        result |= (uint32_t)(uint8_t)(x > y ? x : y) << shift;
    }
    return result;
}

HE_ALWAYS_INLINE uint32_t he_smin8(uint32_t a, uint32_t b)
{
    return ~he_smax8(~a, ~b);
}

HE_ALWAYS_INLINE uint32_t he_pair_of_highs(uint32_t low, uint32_t high)
{
    return (low >> 16) | (high & 0xFFFF0000U);
}

HE_ALWAYS_INLINE uint32_t he_neighbours(const int16_t *table, int32_t index)
{
    return he_pair(table[index], table[index + 1]);
}

HE_ALWAYS_INLINE he_words he_two_at(const int32_t *from, int32_t index)
{
    const he_words words = {(uint32_t)from[index], (uint32_t)from[index + 1]};
    return words;
}

HE_ALWAYS_INLINE int32_t he_in_register(int32_t constant)
{
    return constant;
}

HE_ALWAYS_INLINE const int32_t *he_opaque(const int32_t *constants)
{
    return constants;
}

HE_ALWAYS_INLINE void he_smlad_to(int32_t *sum, uint32_t a, uint32_t b)
{
    *sum = he_smlad(a, b, *sum);
}

HE_ALWAYS_INLINE int32_t he_smlad_first(uint32_t a, uint32_t b, int32_t start)
{
    return he_smlad(a, b, start);
}

HE_ALWAYS_INLINE int32_t he_smlatb_first(uint32_t a, uint32_t b, int32_t start)
{
    return he_smlatb(a, b, start);
}

HE_ALWAYS_INLINE void he_smlabt_to(int32_t *sum, uint32_t a, uint32_t b)
{
    *sum = he_smlabt(a, b, *sum);
}

HE_ALWAYS_INLINE void he_smlatb_to(int32_t *sum, uint32_t a, uint32_t b)
{
    *sum = he_smlatb(a, b, *sum);
}

HE_ALWAYS_INLINE uint32_t he_next_word(const uint32_t **from)
{
    return *(*from)++;
}

HE_ALWAYS_INLINE uint32_t he_next_4(const int8_t **from)
{
    const uint32_t word = he_load_4(*from);
    *from += 4;
    return word;
}

HE_ALWAYS_INLINE he_words he_next_two(const uint32_t **from)
{
    const he_words words = {(*from)[0], (*from)[1]};
    *from += 2;
    return words;
}

HE_ALWAYS_INLINE he_words he_two_words(const uint32_t *from)
{
    const he_words words = {from[0], from[1]};
    return words;
}

HE_ALWAYS_INLINE void he_put_two(uint32_t **to, uint32_t first, uint32_t second)
{
    *(*to)++ = first;
    *(*to)++ = second;
}

#else

/* Inline assembly rather than <arm_acle.h>: that has no SMMLA, and no compiler folds the rotation or the
 * shift into SXTB16 and SSAT dependably. Not volatile: the compiler may move and drop them. */

/* The low halves of two words. */
HE_ALWAYS_INLINE uint32_t he_pair(int32_t low, int32_t high)
{
    uint32_t pair;
    __asm__("pkhbt %0, %1, %2, lsl #16" : "=r"(pair) : "r"(low), "r"(high));
    return pair;
}

/* Bytes 0 and 2, sign-extended to a pair. */
HE_ALWAYS_INLINE uint32_t he_sxtb16(uint32_t bytes)
{
    uint32_t pair;
    __asm__("sxtb16 %0, %1" : "=r"(pair) : "r"(bytes));
    return pair;
}

/* Bytes 1 and 3, sign-extended to a pair. */
HE_ALWAYS_INLINE uint32_t he_sxtb16_ror8(uint32_t bytes)
{
    uint32_t pair;
    __asm__("sxtb16 %0, %1, ror #8" : "=r"(pair) : "r"(bytes));
    return pair;
}

/* As he_sxtb16, with a pair added. */
HE_ALWAYS_INLINE uint32_t he_sxtab16(uint32_t addend, uint32_t bytes)
{
    uint32_t pair;
    __asm__("sxtab16 %0, %1, %2" : "=r"(pair) : "r"(addend), "r"(bytes));
    return pair;
}

/* As he_sxtb16_ror8, with a pair added. */
HE_ALWAYS_INLINE uint32_t he_sxtab16_ror8(uint32_t addend, uint32_t bytes)
{
    uint32_t pair;
    __asm__("sxtab16 %0, %1, %2, ror #8" : "=r"(pair) : "r"(addend), "r"(bytes));
    return pair;
}

/* sum + a.low * b.low; the sum wraps. */
HE_ALWAYS_INLINE int32_t he_smlabb(uint32_t a, uint32_t b, int32_t sum)
{
    int32_t result;
    __asm__("smlabb %0, %1, %2, %3" : "=r"(result) : "r"(a), "r"(b), "r"(sum));
    return result;
}

/* sum + a.high * b.high; the sum wraps. */
HE_ALWAYS_INLINE int32_t he_smlatt(uint32_t a, uint32_t b, int32_t sum)
{
    int32_t result;
    __asm__("smlatt %0, %1, %2, %3" : "=r"(result) : "r"(a), "r"(b), "r"(sum));
    return result;
}

/* sum + a.low * b.low + a.high * b.high; the sum wraps. */
HE_ALWAYS_INLINE int32_t he_smlad(uint32_t a, uint32_t b, int32_t sum)
{
    int32_t result;
    __asm__("smlad %0, %1, %2, %3" : "=r"(result) : "r"(a), "r"(b), "r"(sum));
    return result;
}

/* sum + floor(a * b / 2^32); the sum wraps. */
HE_ALWAYS_INLINE int32_t he_smmla(int32_t a, int32_t b, int32_t sum)
{
    int32_t result;
    __asm__("smmla %0, %1, %2, %3" : "=r"(result) : "r"(a), "r"(b), "r"(sum));
    return result;
}

/* sum + floor(a * b / 2^32 + 1/2); the sum wraps. */
HE_ALWAYS_INLINE int32_t he_smmlar(int32_t a, int32_t b, int32_t sum)
{
    int32_t result;
    __asm__("smmlar %0, %1, %2, %3" : "=r"(result) : "r"(a), "r"(b), "r"(sum));
    return result;
}

/* The same without a sum. */
HE_ALWAYS_INLINE int32_t he_smmulr(int32_t a, int32_t b)
{
    int32_t result;
    __asm__("smmulr %0, %1, %2" : "=r"(result) : "r"(a), "r"(b));
    return result;
}

/* The high word of a * b + 2^32 * high + low, which wraps. */
HE_ALWAYS_INLINE int32_t he_smlal_high(int32_t a, int32_t b, uint32_t low, int32_t high)
{
    __asm__("smlal %0, %1, %2, %3" : "+&r"(low), "+&r"(high) : "r"(a), "r"(b));
    return high;
}

/* floor(x / 2^shift), saturated to int8; shift is in 0..31, and one instruction if it is constant. */
HE_ALWAYS_INLINE int32_t he_ssat8_asr(int32_t x, int32_t shift)
{
    int32_t result;
    if (__builtin_constant_p(shift) && shift > 0) {
        __asm__("ssat %0, #8, %1, asr %2" : "=r"(result) : "r"(x), "i"(shift));
    } else {
        __asm__("ssat %0, #8, %1" : "=r"(result) : "r"(x >> shift));
    }
    return result;
}

/* floor(x / 2^shift), saturated to int16; shift is in 0..31, and one instruction if it is constant. */
HE_ALWAYS_INLINE int32_t he_ssat16_asr(int32_t x, int32_t shift)
{
    int32_t result;
    if (__builtin_constant_p(shift) && shift > 0) {
        __asm__("ssat %0, #16, %1, asr %2" : "=r"(result) : "r"(x), "i"(shift));
    } else {
        __asm__("ssat %0, #16, %1" : "=r"(result) : "r"(x >> shift));
    }
    return result;
}

/* 2 * x, saturated to 24 bits; the product wraps. */
HE_ALWAYS_INLINE int32_t he_ssat24_doubled(int32_t x)
{
    int32_t result;
    __asm__("ssat %0, #24, %1, lsl #1" : "=r"(result) : "r"(x));
    return result;
}

/* Two sums of int16, each saturated. */
HE_ALWAYS_INLINE uint32_t he_qadd16(uint32_t a, uint32_t b)
{
    uint32_t sums;
    __asm__("qadd16 %0, %1, %2" : "=r"(sums) : "r"(a), "r"(b));
    return sums;
}

/* Two differences of int16, which wrap. */
HE_ALWAYS_INLINE uint32_t he_ssub16(uint32_t a, uint32_t b)
{
    uint32_t differences;
    __asm__("ssub16 %0, %1, %2" : "=r"(differences) : "r"(a), "r"(b));
    return differences;
}

/* a.low * b.low. */
HE_ALWAYS_INLINE int32_t he_smulbb(uint32_t a, uint32_t b)
{
    int32_t product;
    __asm__("smulbb %0, %1, %2" : "=r"(product) : "r"(a), "r"(b));
    return product;
}

/* a.high * b.low. */
HE_ALWAYS_INLINE int32_t he_smultb(uint32_t a, uint32_t b)
{
    int32_t product;
    __asm__("smultb %0, %1, %2" : "=r"(product) : "r"(a), "r"(b));
    return product;
}

/* The larger of four int8 each. */
HE_ALWAYS_INLINE uint32_t he_smax8(uint32_t a, uint32_t b)
{
    uint32_t larger;
    __asm__("ssub8 %0, %1, %2\n\tsel %0, %1, %2" : "=&r"(larger) : "r"(a), "r"(b));
    return larger;
}

/* The smaller of four int8 each. */
HE_ALWAYS_INLINE uint32_t he_smin8(uint32_t a, uint32_t b)
{
    uint32_t smaller;
    __asm__("ssub8 %0, %1, %2\n\tsel %0, %2, %1" : "=&r"(smaller) : "r"(a), "r"(b));
    return smaller;
}

/* The high halves of two words. */
HE_ALWAYS_INLINE uint32_t he_pair_of_highs(uint32_t low, uint32_t high)
{
    uint32_t pair;
    __asm__("pkhtb %0, %1, %2, asr #16" : "=r"(pair) : "r"(high), "r"(low));
    return pair;
}

/* table[index] and the next, of a constant table: one LDR, which may be unaligned. */
HE_ALWAYS_INLINE uint32_t he_neighbours(const int16_t *table, int32_t index)
{
    uint32_t pair;
    __asm__("ldr %0, [%1, %2, lsl #1]" : "=r"(pair) : "r"(table), "r"(index));
    return pair;
}

/* Two neighbouring constants; index is a constant. */
HE_ALWAYS_INLINE he_words he_two_at(const int32_t *from, int32_t index)
{
    he_words words;
    __asm__("ldrd %0, %1, [%2, %3]" : "=&r"(words.first), "=r"(words.second) : "r"(from), "i"(index * 4));
    return words;
}

/* A constant that is kept, not built from immediates at each use. */
HE_ALWAYS_INLINE int32_t he_in_register(int32_t constant)
{
    __asm__("" : "+r"(constant));
    return constant;
}

/* A pointer through which the compiler is to load, though it might know what is there. */
HE_ALWAYS_INLINE const int32_t *he_opaque(const int32_t *constants)
{
    __asm__("" : "+r"(constants));
    return constants;
}

/* From here on volatile: eight sums and what they are made of fill the registers, and in any other order than
 * the written one the compiler spills. */

/* *sum += a.low * b.low + a.high * b.high; the sum wraps. */
HE_ALWAYS_INLINE void he_smlad_to(int32_t *sum, uint32_t a, uint32_t b)
{
    __asm__ volatile("smlad %0, %1, %2, %0" : "+r"(*sum) : "r"(a), "r"(b));
}

/* The same into a register of its own: the first of a sum. */
HE_ALWAYS_INLINE int32_t he_smlad_first(uint32_t a, uint32_t b, int32_t start)
{
    int32_t result;
    __asm__ volatile("smlad %0, %1, %2, %3" : "=r"(result) : "r"(a), "r"(b), "r"(start));
    return result;
}

/* As he_smlad_first: start + a.high * b.low. */
HE_ALWAYS_INLINE int32_t he_smlatb_first(uint32_t a, uint32_t b, int32_t start)
{
    int32_t result;
    __asm__ volatile("smlatb %0, %1, %2, %3" : "=r"(result) : "r"(a), "r"(b), "r"(start));
    return result;
}

/* *sum += a.low * b.high; the sum wraps. */
HE_ALWAYS_INLINE void he_smlabt_to(int32_t *sum, uint32_t a, uint32_t b)
{
    __asm__ volatile("smlabt %0, %1, %2, %0" : "+r"(*sum) : "r"(a), "r"(b));
}

/* *sum += a.high * b.low; the sum wraps. */
HE_ALWAYS_INLINE void he_smlatb_to(int32_t *sum, uint32_t a, uint32_t b)
{
    __asm__ volatile("smlatb %0, %1, %2, %0" : "+r"(*sum) : "r"(a), "r"(b));
}

/* The word at *from, which then points behind it. */
HE_ALWAYS_INLINE uint32_t he_next_word(const uint32_t **from)
{
    uint32_t word;
    __asm__ volatile("ldr %0, [%1], #4" : "=&r"(word), "+&r"(*from) : : "memory");
    return word;
}

/* The same for four int8 at any address. */
HE_ALWAYS_INLINE uint32_t he_next_4(const int8_t **from)
{
    uint32_t word;
    __asm__ volatile("ldr %0, [%1], #4" : "=&r"(word), "+&r"(*from) : : "memory");
    return word;
}

/* Two words at *from, which is a multiple of 4 and then points behind them. */
HE_ALWAYS_INLINE he_words he_next_two(const uint32_t **from)
{
    he_words words;
    __asm__ volatile("ldrd %0, %1, [%2], #8"
                     : "=&r"(words.first), "=&r"(words.second), "+&r"(*from) : : "memory");
    return words;
}

/* Two words at `from`, which is a multiple of 4. */
HE_ALWAYS_INLINE he_words he_two_words(const uint32_t *from)
{
    he_words words;
    __asm__ volatile("ldrd %0, %1, [%2]" : "=&r"(words.first), "=r"(words.second) : "r"(from) : "memory");
    return words;
}

/* Store two words at *to, which is a multiple of 4 and then points behind them. */
HE_ALWAYS_INLINE void he_put_two(uint32_t **to, uint32_t first, uint32_t second)
{
    __asm__ volatile("strd %1, %2, [%0], #8" : "+&r"(*to) : "r"(first), "r"(second) : "memory");
}

#endif
#endif
#endif
