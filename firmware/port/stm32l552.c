/* SPDX-License-Identifier: Apache-2.0
 *
 * STM32L552 on a NUCLEO-L552ZE-Q: clock, instruction cache, LPUART1 to the ST-LINK's virtual COM port, DWT.
 * Register names, addresses and bits are those of RM0438 (STM32L552xx and STM32L562xx reference manual) and
 * of ST's device header stm32l552xx.h, non-secure aliases; TrustZone is off as shipped (option bit TZEN = 0).
 */
#include "cm33.h"
#include "port.h"
#include "ring.h"

/* RM0438: reset and clock control. */
#define RCC_CR HE_REG(0x40021000u)
#define RCC_CR_MSION (1u << 0)
#define RCC_CR_MSIRDY (1u << 1)
#define RCC_CR_MSIRGSEL (1u << 3)
#define RCC_CR_MSIRANGE_POS 4u
#define RCC_CR_HSION (1u << 8)
#define RCC_CR_HSIRDY (1u << 10)
#define RCC_CR_PLLON (1u << 24)
#define RCC_CR_PLLRDY (1u << 25)
#define RCC_CFGR HE_REG(0x40021008u)
#define RCC_CFGR_SW_PLL 3u
#define RCC_CFGR_SWS_POS 2u
#define RCC_CFGR_HPRE_POS 4u
#define RCC_CFGR_HPRE_HALF 8u
#define RCC_PLLCFGR HE_REG(0x4002100Cu)
#define RCC_PLLCFGR_SRC_MSI 1u
#define RCC_PLLCFGR_M_POS 4u
#define RCC_PLLCFGR_N_POS 8u
#define RCC_PLLCFGR_REN (1u << 24)
#define RCC_PLLCFGR_R_POS 25u
#define RCC_AHB2ENR HE_REG(0x4002104Cu)
#define RCC_AHB2ENR_GPIOG (1u << 6)
#define RCC_APB1ENR1 HE_REG(0x40021058u)
#define RCC_APB1ENR1_PWR (1u << 28)
#define RCC_APB1ENR2 HE_REG(0x4002105Cu)
#define RCC_APB1ENR2_LPUART1 (1u << 0)
#define RCC_CCIPR1 HE_REG(0x40021088u)
#define RCC_CCIPR1_LPUART1_POS 10u
#define RCC_CCIPR1_LPUART1_HSI16 2u
#define RCC_CSR HE_REG(0x40021094u)
#define RCC_CSR_MSISRANGE_POS 8u

/* RM0438: power control. */
#define PWR_CR1 HE_REG(0x40007000u)
#define PWR_CR1_VOS_POS 9u
#define PWR_CR2 HE_REG(0x40007004u)
#define PWR_CR2_IOSV (1u << 9)
#define PWR_SR2 HE_REG(0x40007014u)
#define PWR_SR2_VOSF (1u << 10)

#define FLASH_ACR HE_REG(0x40022000u)
#define FLASH_ACR_LATENCY 0xFu

#define ICACHE_CR HE_REG(0x40030400u)
#define ICACHE_CR_EN (1u << 0)
#define ICACHE_CR_WAYSEL (1u << 2) /* 0: 1-way, 1: n-way, the value at reset */
#define ICACHE_SR HE_REG(0x40030404u)
#define ICACHE_SR_BUSYF (1u << 0)
#define ICACHE_N_WAYS 2u /* RM0438: the n of n-way on this chip */

#define GPIOG_MODER HE_REG(0x42021800u)
#define GPIOG_OSPEEDR HE_REG(0x42021808u)
#define GPIOG_PUPDR HE_REG(0x4202180Cu)
#define GPIOG_AFRL HE_REG(0x42021820u)
#define GPIOG_AFRH HE_REG(0x42021824u)
#define GPIO_MODE_ALTERNATE 2u
#define GPIO_AF_LPUART1 8u /* STM32L552 data sheet DS12737, alternate functions of port G */

/* RM0438: low-power UART. RXNE is RXFNE and TXE is TXFNF when the FIFO is on. */
#define LPUART1_CR1 HE_REG(0x40008000u)
#define LPUART1_CR1_UE (1u << 0)
#define LPUART1_CR1_RE (1u << 2)
#define LPUART1_CR1_TE (1u << 3)
#define LPUART1_CR1_RXNEIE (1u << 5)
#define LPUART1_CR1_FIFOEN (1u << 29)
#define LPUART1_BRR HE_REG(0x4000800Cu)
#define LPUART1_ISR HE_REG(0x4000801Cu)
#define LPUART1_ISR_ORE (1u << 3)
#define LPUART1_ISR_RXNE (1u << 5)
#define LPUART1_ISR_TXE (1u << 7)
#define LPUART1_ICR HE_REG(0x40008020u)
#define LPUART1_ICR_ORECF (1u << 3)
#define LPUART1_RDR HE_REG(0x40008024u)
#define LPUART1_TDR HE_REG(0x40008028u)
#define LPUART1_IRQ 66u

#define MSI_RANGE_4_MHZ 6u
#define HSI16_HZ 16000000u

/* MSI 4 MHz (PLLM = 1) times PLLN divided by PLLR = 2. Voltage range and wait states: RM0438, "Read access
 * latency" of the embedded flash (one wait state per 20 MHz in ranges 0 and 1). */
#if HE_CORE_CLOCK_HZ == 110000000
#define PLL_N 55u
#define VOLTAGE_RANGE 0u
#define WAIT_STATES 5u
#elif HE_CORE_CLOCK_HZ == 80000000
#define PLL_N 40u
#define VOLTAGE_RANGE 1u
#define WAIT_STATES 3u
#else
#error "HE_CORE_CLOCK_HZ must be 110000000 or 80000000"
#endif

/* RM0438: an LPUART divides by BRR / 256, and BRR must be in [0x300, 0xFFFFF]. */
#define LPUART_DIVIDER ((uint32_t)(((uint64_t)HSI16_HZ * 256u + HE_UART_BAUD / 2u) / HE_UART_BAUD))
_Static_assert(LPUART_DIVIDER >= 0x300u && LPUART_DIVIDER <= 0xFFFFFu, "HE_UART_BAUD is out of range");

void LPUART1_IRQHandler(void);
void SysTick_Handler(void);

static he_ring received;
static uint32_t hardware_overruns; /* each stands for at least one byte lost inside LPUART1 */
static uint64_t cycles_total;
static uint32_t cycles_last;

/* A peripheral answers two cycles after its clock is enabled: the read back waits for it (STM32L552 errata
 * sheet ES0448, "delay after an RCC peripheral clock enabling"). */
static void enable_clock(volatile uint32_t *enable_register, uint32_t bit)
{
    *enable_register |= bit;
    (void)*enable_register;
}

static void start_clock_tree(void)
{
    enable_clock(&RCC_APB1ENR1, RCC_APB1ENR1_PWR);
    PWR_CR1 = (PWR_CR1 & ~(3u << PWR_CR1_VOS_POS)) | (VOLTAGE_RANGE << PWR_CR1_VOS_POS);
    while ((PWR_SR2 & PWR_SR2_VOSF) != 0u) {
    }
    FLASH_ACR = (FLASH_ACR & ~FLASH_ACR_LATENCY) | WAIT_STATES;
    while ((FLASH_ACR & FLASH_ACR_LATENCY) != WAIT_STATES) {
    }
    RCC_CR |= RCC_CR_MSION;
    while ((RCC_CR & RCC_CR_MSIRDY) == 0u) {
    }
    RCC_CR = (RCC_CR & ~(0xFu << RCC_CR_MSIRANGE_POS)) | (MSI_RANGE_4_MHZ << RCC_CR_MSIRANGE_POS)
             | RCC_CR_MSIRGSEL;
    RCC_PLLCFGR = RCC_PLLCFGR_SRC_MSI | (PLL_N << RCC_PLLCFGR_N_POS); /* PLLM = 1 and PLLR = 2 are coded 0 */
    RCC_CR |= RCC_CR_PLLON;
    RCC_PLLCFGR |= RCC_PLLCFGR_REN;
    while ((RCC_CR & RCC_CR_PLLRDY) == 0u) {
    }
    /* RM0438: above 80 MHz the bus passes through half of the frequency, for at least a microsecond. */
    RCC_CFGR = (RCC_CFGR & ~(0xFu << RCC_CFGR_HPRE_POS)) | (RCC_CFGR_HPRE_HALF << RCC_CFGR_HPRE_POS);
    RCC_CFGR |= RCC_CFGR_SW_PLL;
    while (((RCC_CFGR >> RCC_CFGR_SWS_POS) & 3u) != RCC_CFGR_SW_PLL) {
    }
    for (volatile uint32_t i = 0; i < 64u; ++i) { /* more than 110 cycles */
    }
    RCC_CFGR &= ~(0xFu << RCC_CFGR_HPRE_POS);
}

/* 1-way, because the cycle model of the board file was calibrated so. WAYSEL may change only while the cache
 * is off and after the invalidation that follows a reset. */
static void start_instruction_cache(void)
{
    ICACHE_CR &= ~ICACHE_CR_EN;
    while ((ICACHE_SR & ICACHE_SR_BUSYF) != 0u) {
    }
    ICACHE_CR &= ~ICACHE_CR_WAYSEL;
    ICACHE_CR |= ICACHE_CR_EN;
}

/* PG7 transmits, PG8 receives. HSI16 is the kernel clock: it is trimmed at the factory and does not change
 * with the core clock. */
static void start_uart(void)
{
    RCC_CR |= RCC_CR_HSION;
    while ((RCC_CR & RCC_CR_HSIRDY) == 0u) {
    }
    PWR_CR2 |= PWR_CR2_IOSV; /* port G hangs on VDDIO2, which is isolated after a reset */
    enable_clock(&RCC_AHB2ENR, RCC_AHB2ENR_GPIOG);
    GPIOG_AFRL = (GPIOG_AFRL & ~(0xFu << 28)) | (GPIO_AF_LPUART1 << 28);
    GPIOG_AFRH = (GPIOG_AFRH & ~0xFu) | GPIO_AF_LPUART1;
    GPIOG_OSPEEDR |= 1u << 14; /* medium: enough for a megabaud */
    GPIOG_PUPDR = (GPIOG_PUPDR & ~(3u << 16)) | (1u << 16); /* an open line idles high */
    GPIOG_MODER = (GPIOG_MODER & ~(0xFu << 14)) | (GPIO_MODE_ALTERNATE << 14) | (GPIO_MODE_ALTERNATE << 16);

    RCC_CCIPR1 = (RCC_CCIPR1 & ~(3u << RCC_CCIPR1_LPUART1_POS))
                 | (RCC_CCIPR1_LPUART1_HSI16 << RCC_CCIPR1_LPUART1_POS);
    enable_clock(&RCC_APB1ENR2, RCC_APB1ENR2_LPUART1);
    LPUART1_CR1 = 0u;
    LPUART1_BRR = LPUART_DIVIDER;
    LPUART1_CR1 = LPUART1_CR1_FIFOEN | LPUART1_CR1_RE | LPUART1_CR1_TE | LPUART1_CR1_RXNEIE;
    LPUART1_CR1 |= LPUART1_CR1_UE;
    NVIC_ISER(LPUART1_IRQ) = 1u << (LPUART1_IRQ % 32u);
}

/* SysTick interrupts every 2^24 cycles, long before the 32-bit cycle counter wraps. */
static void start_cycle_counter(void)
{
    DCB_DEMCR |= DCB_DEMCR_TRCENA;
    DWT_CYCCNT = 0u;
    DWT_CTRL |= DWT_CTRL_CYCCNTENA;
    SYST_RVR = SYST_MAX;
    SYST_CVR = 0u;
    SYST_CSR = 7u;
}

void port_init(void)
{
    start_clock_tree();
    start_instruction_cache();
    start_uart();
    start_cycle_counter();
}

/* Moves what LPUART1 holds into the ring. Runs with its interrupt masked, or inside it. */
static void drain_uart(void)
{
    for (;;) {
        const uint32_t status = LPUART1_ISR;
        if ((status & LPUART1_ISR_ORE) != 0u) {
            LPUART1_ICR = LPUART1_ICR_ORECF;
            ++hardware_overruns;
        }
        if ((status & LPUART1_ISR_RXNE) == 0u) {
            return;
        }
        he_ring_push(&received, (uint8_t)LPUART1_RDR);
    }
}

void LPUART1_IRQHandler(void)
{
    drain_uart();
}

size_t port_read(uint8_t *data, size_t capacity)
{
    /* Correct without any interrupt too, be it masked by a debugger or absent in a simulator. */
    const uint32_t before = he_irq_mask();
    drain_uart();
    he_irq_unmask(before);
    return he_ring_pop(&received, data, capacity);
}

void port_write(const uint8_t *data, size_t count)
{
    for (size_t i = 0; i < count; ++i) {
        while ((LPUART1_ISR & LPUART1_ISR_TXE) == 0u) {
        }
        LPUART1_TDR = data[i];
    }
}

uint32_t port_overruns(void)
{
    return received.overruns + hardware_overruns;
}

uint64_t port_cycles(void)
{
    const uint32_t before = he_irq_mask();
    const uint32_t now = DWT_CYCCNT;
    cycles_total += now - cycles_last;
    cycles_last = now;
    const uint64_t total = cycles_total;
    he_irq_unmask(before);
    return total;
}

void SysTick_Handler(void)
{
    (void)port_cycles();
}

void port_idle(void)
{
    /* Masked, so that a byte arriving between the test and WFI still ends the sleep. */
    const uint32_t before = he_irq_mask();
    if (received.head == received.tail && (LPUART1_ISR & LPUART1_ISR_RXNE) == 0u) {
        he_wait_for_interrupt();
    }
    he_irq_unmask(before);
}

/* RM0438, MSIRANGE: the frequencies of the multi-speed oscillator. */
static uint32_t msi_hz(void)
{
    static const uint32_t range_khz[12] = {100,  200,  400,  800,   1000,  2000,
                                           4000, 8000, 16000, 24000, 32000, 48000};
    const uint32_t control = RCC_CR;
    const uint32_t range = (control & RCC_CR_MSIRGSEL) != 0u ? (control >> RCC_CR_MSIRANGE_POS) & 0xFu
                                                             : (RCC_CSR >> RCC_CSR_MSISRANGE_POS) & 0xFu;
    return range < 12u ? range_khz[range] * 1000u : 0u;
}

/* 0 for an external oscillator, whose frequency no register tells. */
static uint32_t pll_hz(void)
{
    const uint32_t config = RCC_PLLCFGR;
    const uint32_t source = config & 3u;
    const uint32_t input_hz = source == 1u ? msi_hz() : (source == 2u ? HSI16_HZ : 0u);
    const uint32_t m = ((config >> RCC_PLLCFGR_M_POS) & 0xFu) + 1u;
    const uint32_t n = (config >> RCC_PLLCFGR_N_POS) & 0x7Fu;
    const uint32_t r = (((config >> RCC_PLLCFGR_R_POS) & 3u) + 1u) * 2u;
    return input_hz / m * n / r;
}

static uint32_t core_clock_hz(void)
{
    static const uint8_t prescaler_shift[16] = {0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 6, 7, 8, 9};
    const uint32_t config = RCC_CFGR;
    const uint32_t source = (config >> RCC_CFGR_SWS_POS) & 3u;
    uint32_t hz = 0u;
    if (source == 0u) {
        hz = msi_hz();
    } else if (source == 1u) {
        hz = HSI16_HZ;
    } else if (source == 3u) {
        hz = pll_hz();
    }
    return hz >> prescaler_shift[(config >> RCC_CFGR_HPRE_POS) & 0xFu];
}

void port_get_info(port_info *info)
{
    const uint32_t cache = ICACHE_CR;
    info->board = HE_STRING(HE_BOARD);
    info->core_clock_hz = core_clock_hz();
    info->cycles_are_real = 1u;
    info->icache_enabled = (cache & ICACHE_CR_EN) != 0u ? 1u : 0u;
    info->icache_ways = (cache & ICACHE_CR_WAYSEL) != 0u ? ICACHE_N_WAYS : 1u;
    info->reserved = 0u;
}

/* Positions up to LPUART1's are the other interrupts of the chip, none of which is enabled. */
__attribute__((used, section(".vectors.irq"))) static const he_handler irq_vectors[LPUART1_IRQ + 1u] = {
    [LPUART1_IRQ] = LPUART1_IRQHandler,
};
