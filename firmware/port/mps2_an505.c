/* SPDX-License-Identifier: Apache-2.0
 *
 * Arm MPS2+ board with FPGA image AN505 (a Cortex-M33), as QEMU models it: UART0 as serial port, SysTick as
 * counter of executed instructions. QEMU's UART costs a switch between two of its threads for each byte; started
 * with `arg=stdio`, the line is QEMU's standard input and output instead, by semihosting, ten times as fast. Addresses: Arm application note DAI 0505, secure aliases, since the core
 * starts in secure state; UART: Cortex-M System Design Kit TRM (DDI 0479), APB UART.
 */
#include "cm33.h"
#include "port.h"
#include "ring.h"
#include "semihosting.h"

#define UART0_DATA HE_REG(0x50200000u)
#define UART0_STATE HE_REG(0x50200004u)
#define UART0_STATE_TX_FULL (1u << 0)
#define UART0_STATE_RX_FULL (1u << 1)
#define UART0_STATE_RX_OVERRUN (1u << 3)
#define UART0_CTRL HE_REG(0x50200008u)
#define UART0_CTRL_TX (1u << 0)
#define UART0_CTRL_RX (1u << 1)
#define UART0_CTRL_RX_IRQ (1u << 3)
#define UART0_INTCLEAR HE_REG(0x5020000Cu)
#define UART0_INT_RX (1u << 1)
#define UART0_BAUDDIV HE_REG(0x50200010u)
#define UART0_RX_IRQ 32u

/* With `-icount shift=HE_ICOUNT_SHIFT` QEMU lets 2^HE_ICOUNT_SHIFT ns pass for each instruction. */
#define NS_PER_TICK (1000000000u / HE_CORE_CLOCK_HZ)

void UART0_RX_Handler(void);
void SysTick_Handler(void);
void HardFault_Handler(void);
void he_exit(int code);

static he_ring received;
static uint32_t hardware_overruns;
static uint32_t wraps; /* of SysTick: 2^24 ticks each */

/* The line by semihosting; `input` is negative if UART0 is the line. */
static int32_t input = -1;
static int32_t output;

void port_init(void)
{
    UART0_BAUDDIV = 16u; /* the smallest that is allowed; QEMU's characters take no time */
    UART0_CTRL = UART0_CTRL_TX | UART0_CTRL_RX | UART0_CTRL_RX_IRQ;
    NVIC_ISER(UART0_RX_IRQ) = 1u << (UART0_RX_IRQ % 32u);
    SYST_RVR = SYST_MAX;
    SYST_CVR = 0u;
    SYST_CSR = 7u;
    if (he_host_has_argument()) {
        input = he_host_open(":tt", HE_HOST_READ);
        output = he_host_open(":tt", HE_HOST_WRITE);
    }
}

static void drain_uart(void)
{
    for (;;) {
        const uint32_t state = UART0_STATE;
        if ((state & UART0_STATE_RX_OVERRUN) != 0u) {
            UART0_STATE = UART0_STATE_RX_OVERRUN; /* write 1 to clear */
            ++hardware_overruns;
        }
        if ((state & UART0_STATE_RX_FULL) == 0u) {
            return;
        }
        UART0_INTCLEAR = UART0_INT_RX;
        he_ring_push(&received, (uint8_t)UART0_DATA);
    }
}

void UART0_RX_Handler(void)
{
    UART0_INTCLEAR = UART0_INT_RX;
    drain_uart();
}

size_t port_read(uint8_t *data, size_t capacity)
{
    if (input < 0) {
        const uint32_t before = he_irq_mask();
        drain_uart();
        he_irq_unmask(before);
    }
    return he_ring_pop(&received, data, capacity);
}

void port_write(const uint8_t *data, size_t count)
{
    if (input >= 0) {
        he_host_write(output, data, count);
        return;
    }
    for (size_t i = 0; i < count; ++i) {
        while ((UART0_STATE & UART0_STATE_TX_FULL) != 0u) {
        }
        UART0_DATA = data[i];
    }
}

uint32_t port_overruns(void)
{
    return received.overruns + hardware_overruns;
}

uint64_t port_cycles(void)
{
    const uint32_t before = he_irq_mask();
    uint32_t value = SYST_CVR;
    uint32_t periods = wraps;
    if ((SCB_ICSR & SCB_ICSR_PENDSTSET) != 0u) {
        /* It wrapped, and the handler has not counted that yet. */
        value = SYST_CVR;
        ++periods;
    }
    he_irq_unmask(before);
    /* It counts down from SYST_MAX, and 0 is the last value of a period. */
    const uint64_t ticks = (uint64_t)periods * (SYST_MAX + 1u) + ((SYST_MAX - value) & SYST_MAX);
    return (ticks * NS_PER_TICK + (1u << HE_ICOUNT_SHIFT) - 1u) >> HE_ICOUNT_SHIFT;
}

void SysTick_Handler(void)
{
    ++wraps;
}

/* Waits for bytes of the host; no simulated time passes meanwhile. QEMU ends when the host closes the line. */
static void await_host(void)
{
    uint8_t bytes[128];
    const size_t count = he_host_read(input, bytes, sizeof bytes);
    if (count == 0) {
        he_exit(0);
    }
    for (size_t i = 0; i < count; ++i) {
        he_ring_push(&received, bytes[i]);
    }
}

void port_idle(void)
{
    if (input >= 0) {
        await_host();
        return;
    }
    const uint32_t before = he_irq_mask();
    if (received.head == received.tail && (UART0_STATE & UART0_STATE_RX_FULL) == 0u) {
        /* SysTick stands still meanwhile: time without instructions shall not count, and with `sleep=off`
         * QEMU would jump from one wrap to the next as fast as the host can. */
        SYST_CSR = 6u;
        he_wait_for_interrupt();
        SYST_CSR = 7u;
    }
    he_irq_unmask(before);
}

void port_get_info(port_info *info)
{
    info->board = HE_STRING(HE_BOARD);
    info->core_clock_hz = HE_CORE_CLOCK_HZ;
    info->cycles_are_real = 0u;
    info->icache_enabled = 0u;
    info->icache_ways = 0u;
    info->reserved = 0u;
}

/* What main() returns becomes the exit status of QEMU. */
void he_exit(int code)
{
    he_host_exit(code);
}

/* A fault ends the simulation instead of hanging a test. */
void HardFault_Handler(void)
{
    he_exit(70);
}

__attribute__((used, section(".vectors.irq"))) static const he_handler irq_vectors[UART0_RX_IRQ + 1u] = {
    [UART0_RX_IRQ] = UART0_RX_Handler,
};
