/* SPDX-License-Identifier: Apache-2.0
 *
 * memcpy, memmove, memset, memcmp: compilers call them even in freestanding code, and not every toolchain
 * brings a libc. Used with all toolchains, so that an image's behaviour does not depend on which one built it.
 * The empty asm statements keep compilers from recognising a loop and calling the function inside itself.
 */
#include <stddef.h>
#include <stdint.h>

/* May stand at any address: the core loads single words unaligned (not pairs, hence no uint64_t). */
typedef struct __attribute__((packed, may_alias)) {
    uint32_t value;
} word_anywhere;

#define NO_IDIOM() __asm__ volatile("" : : : "memory")

void *memcpy(void *restrict to, const void *restrict from, size_t count);
void *memmove(void *to, const void *from, size_t count);
void *memset(void *to, int value, size_t count);
int memcmp(const void *a, const void *b, size_t count);

static void copy_upwards(uint8_t *to, const uint8_t *from, size_t count)
{
    for (; count >= 16u; count -= 16u, to += 16, from += 16) {
        word_anywhere *t = (word_anywhere *)(void *)to;
        const word_anywhere *f = (const word_anywhere *)(const void *)from;
        const uint32_t a = f[0].value, b = f[1].value, c = f[2].value, d = f[3].value;
        t[0].value = a;
        t[1].value = b;
        t[2].value = c;
        t[3].value = d;
        NO_IDIOM();
    }
    for (; count > 0u; --count) {
        *to++ = *from++;
        NO_IDIOM();
    }
}

void *memcpy(void *restrict to, const void *restrict from, size_t count)
{
    copy_upwards((uint8_t *)to, (const uint8_t *)from, count);
    return to;
}

void *memmove(void *to, const void *from, size_t count)
{
    uint8_t *t = (uint8_t *)to;
    const uint8_t *f = (const uint8_t *)from;
    /* Upwards is right unless the target begins inside the source. The unrolled copy reads 16 bytes before it
     * writes them, which is as good as one by one when the target lies below. */
    if ((uintptr_t)t - (uintptr_t)f >= count) {
        copy_upwards(t, f, count);
        return to;
    }
    while (count > 0u) {
        --count;
        t[count] = f[count];
        NO_IDIOM();
    }
    return to;
}

void *memset(void *to, int value, size_t count)
{
    uint8_t *t = (uint8_t *)to;
    const uint8_t byte = (uint8_t)value;
    const uint32_t word = byte * UINT32_C(0x01010101);
    for (; count >= 4u; count -= 4u, t += 4) {
        ((word_anywhere *)(void *)t)->value = word;
        NO_IDIOM();
    }
    for (; count > 0u; --count) {
        *t++ = byte;
        NO_IDIOM();
    }
    return to;
}

int memcmp(const void *a, const void *b, size_t count)
{
    const uint8_t *x = (const uint8_t *)a;
    const uint8_t *y = (const uint8_t *)b;
    for (size_t i = 0; i < count; ++i) {
        if (x[i] != y[i]) {
            return (int)x[i] - (int)y[i];
        }
    }
    return 0;
}
