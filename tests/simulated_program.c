/* SPDX-License-Identifier: Apache-2.0
 *
 * A program for the simulated STM32L552 that does one thing, chosen by TASK, and then waits for ever.
 */
#include <stdint.h>

#define REG(address) (*(volatile uint32_t *)(address))

extern uint32_t he_stack_top[], he_stack_limit[];
void start(void);
void systick(void);
volatile uint32_t result[2];

void systick(void)
{
    /* Destroys what an exception handler may destroy. */
    __asm__ volatile("vmov s0, %0\n\tvmov s15, %0\n\tvmul.f32 s1, s0, s0\n\tvmul.f32 s7, s0, s0\n\tmovs r1, #0\n\t"
                     "movs r2, #0\n\tmov r12, r1\n\tcmp r1, r2"
                     :
                     : "r"(0x7FC00000u)
                     : "r1", "r2", "r12", "cc");
    result[1] = result[1] + 1u;
}

static void write_flash(void) { REG(0x08001000u) = 1u; }
static void read_null(void) { __asm__ volatile("ldr r0, [%0]" : : "r"(0) : "r0"); } /* in C it may be left out */
static void write_beyond_ram(void) { REG(0x20040000u) = 1u; }
static void uart_without_clock(void) { REG(0x40008028u) = 'x'; }
static void uart_without_pins(void)
{
    REG(0x40021058u) |= 1u << 28;
    REG(0x40007004u) |= 1u << 9;
    REG(0x4002104Cu) |= 1u << 6;
    REG(0x4002105Cu) |= 1u;
    REG(0x4000800Cu) = 0x8000u;
    REG(0x40008000u) = 0xDu;
}
static void use_timer(void) { REG(0x40000000u) = 1u; }
static void supervisor_call(void) { __asm__ volatile("svc 0"); }
static void use_fpu(void) { __asm__ volatile("vmov.f32 s0, #1.0" : : : "s0"); }
__attribute__((noinline)) static uint32_t deeper(uint32_t n)
{
    volatile uint32_t local[16];
    local[n % 16u] = n;
    return deeper(n + 1u) + local[(n + 1u) % 16u];
}
static void stack_overflow(void)
{
    __asm__ volatile("msr msplim, %0" : : "r"(he_stack_limit));
    result[0] = deeper(0u);
}
static void interrupted_sum(void)
{
    REG(0xE000ED88u) |= 0xFu << 20;
    REG(0xE000E014u) = 50u;
    REG(0xE000E010u) = 7u;
    float sum = 0.0f;
    for (uint32_t i = 0; i < 2000u; ++i) {
        sum += (float)i * 0.5f;
        __asm__ volatile("" : "+t"(sum));
    }
    REG(0xE000E010u) = 0u;
    result[0] = (uint32_t)sum;
}

static void loop_for_ever(void)
{
    for (;;) {
        __asm__ volatile("");
    }
}
/* 7 unless the condition of the IT block lives on behind it. */
static void load_conditionally(void)
{
    __asm__ volatile("movs r2, #5\n\tmovs r3, #0\n\tcmp r3, #0\n\tit eq\n\tldreq r1, [%0]\n\tcmp r3, #1\n\tb 1f\n"
                     "1:\tmovs r2, #7\n\tstr r2, [%0]"
                     :
                     : "r"(result)
                     : "r1", "r2", "r3", "cc", "memory");
}
/* The same, with the IT block's load behind the end of a page of 1 KiB. */
static void load_conditionally_across_pages(void)
{
    __asm__ volatile("movs r2, #5\n\tmovs r3, #0\n\tb 2f\n\t.balign 1024\n\t.rept 510\n\tnop\n\t.endr\n"
                     "2:\tcmp r3, #0\n\tit eq\n\tldreq r1, [%0]\n\tcmp r3, #1\n\tb 1f\n"
                     "1:\tmovs r2, #7\n\tstr r2, [%0]"
                     :
                     : "r"(result)
                     : "r1", "r2", "r3", "cc", "memory");
}

void start(void)
{
    TASK();
    for (;;) {
        __asm__ volatile("wfi");
    }
}

__attribute__((used, section(".vectors"))) static void (*const vectors[16])(void) = {
    (void (*)(void))(uintptr_t)he_stack_top, start, [15] = systick,
};
