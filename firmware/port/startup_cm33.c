/* SPDX-License-Identifier: Apache-2.0
 *
 * From reset to main on a Cortex-M33, and the first 16 vectors. The interrupts of the chip follow them: each
 * port fills the section .vectors.irq, and the linker script puts it right behind .vectors.system.
 */
#include <stdint.h>

#include "cm33.h"

/* Given by the linker script. */
extern uint32_t he_stack_top[], he_stack_limit[];
extern uint32_t he_data_load[], he_data_start[], he_data_end[], he_bss_start[], he_bss_end[];
extern const he_handler he_vectors_system[];

int main(void);
void Reset_Handler(void);
void he_start(void);
void he_default_handler(void);

/* What follows main(): a simulated board ends the simulation, a real one stops. */
void he_exit(int code) __attribute__((weak));

/* A port overrides those that it uses. */
void HardFault_Handler(void) __attribute__((weak, alias("he_default_handler")));
void SysTick_Handler(void) __attribute__((weak, alias("he_default_handler")));

/* An unexpected exception stops here, where a debugger finds it. */
void he_default_handler(void)
{
    for (;;) {
    }
}

void he_exit(int code)
{
    (void)code;
    he_default_handler();
}

/* Stack limit and FPU come first: no compiled code may push or touch an FPU register before. Assembler,
 * because nothing keeps a compiler from using either in a prologue. */
__attribute__((naked)) void Reset_Handler(void)
{
    __asm__ volatile("ldr r0, =he_stack_limit\n\t"
                     "msr msplim, r0\n\t"
                     "ldr r0, =0xE000ED88\n\t" /* CPACR */
                     "ldr r1, [r0]\n\t"
                     "orr r1, r1, #0x00F00000\n\t"
                     "str r1, [r0]\n\t"
                     "dsb\n\t"
                     "isb\n\t"
                     "b he_start\n\t"
                     ".ltorg\n\t");
}

/* Sets up .data and .bss word by word (the linker script aligns both to 8 bytes), then runs the program. */
void he_start(void)
{
    SCB_VTOR = (uint32_t)(uintptr_t)he_vectors_system;
    const uint32_t *from = he_data_load;
    for (volatile uint32_t *to = he_data_start; to != he_data_end; ++to) {
        *to = *from++;
    }
    for (volatile uint32_t *to = he_bss_start; to != he_bss_end; ++to) {
        *to = 0u;
    }
    he_exit(main());
}

__attribute__((used, section(".vectors.system"))) const he_handler he_vectors_system[16] = {
    (he_handler)(uintptr_t)he_stack_top,
    Reset_Handler,
    he_default_handler, /* NMI */
    HardFault_Handler,
    HardFault_Handler, /* memory management, bus, usage, secure: escalate until enabled, listed for clarity */
    HardFault_Handler,
    HardFault_Handler,
    HardFault_Handler,
    0,
    0,
    0,
    he_default_handler, /* SVC */
    he_default_handler, /* debug monitor */
    0,
    he_default_handler, /* PendSV */
    SysTick_Handler,
};
