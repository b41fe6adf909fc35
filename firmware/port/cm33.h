/* SPDX-License-Identifier: Apache-2.0
 *
 * The registers of the Cortex-M33 itself that the ports use. Addresses and bits: Armv8-M Architecture
 * Reference Manual (DDI 0553), chapter D1, and Cortex-M33 Technical Reference Manual (100230).
 */
#ifndef HE_CM33_H
#define HE_CM33_H

#include <stdint.h>

#define HE_REG(address) (*(volatile uint32_t *)(address))

#define SYST_CSR HE_REG(0xE000E010u) /* SysTick control: 0 enable, 1 interrupt, 2 core clock */
#define SYST_RVR HE_REG(0xE000E014u)
#define SYST_CVR HE_REG(0xE000E018u)
#define SYST_MAX 0x00FFFFFFu

#define NVIC_ISER(irq) HE_REG(0xE000E100u + 4u * ((irq) / 32u))

#define SCB_ICSR HE_REG(0xE000ED04u)
#define SCB_ICSR_PENDSTSET (1u << 26)
#define SCB_ICSR_PENDSTCLR (1u << 25)
#define SCB_VTOR HE_REG(0xE000ED08u)
#define SCB_CPACR 0xE000ED88u /* bits 20-23: full access to CP10 and CP11, the FPU */

#define DCB_DEMCR HE_REG(0xE000EDFCu)
#define DCB_DEMCR_TRCENA (1u << 24)
#define DWT_CTRL HE_REG(0xE0001000u)
#define DWT_CTRL_CYCCNTENA 1u
#define DWT_CYCCNT HE_REG(0xE0001004u)

typedef void (*he_handler)(void);

/* The build names the board by -DHE_BOARD=stem_of_the_board_file, without quotes that shells would eat. */
#define HE_STRING_OF(token) #token
#define HE_STRING(macro) HE_STRING_OF(macro)

/* Masks interrupts; returns what unmask needs to restore the state before. */
static inline uint32_t he_irq_mask(void)
{
    uint32_t before;
    __asm__ volatile("mrs %0, primask\n\tcpsid i" : "=r"(before) : : "memory");
    return before;
}

static inline void he_irq_unmask(uint32_t before)
{
    __asm__ volatile("msr primask, %0" : : "r"(before) : "memory");
}

static inline void he_wait_for_interrupt(void)
{
    __asm__ volatile("dsb\n\twfi\n\tisb" : : : "memory");
}

#endif
