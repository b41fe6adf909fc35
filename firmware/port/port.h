/* SPDX-License-Identifier: Apache-2.0
 *
 * What the application needs from a machine. One file implements it: stm32l552.c, mps2_an505.c, host.c.
 */
#ifndef HE_PORT_H
#define HE_PORT_H

#include <stddef.h>
#include <stdint.h>

/* Facts about the machine as it runs, read back from its registers rather than assumed. */
typedef struct {
    const char *board;        /* the stem of the board file */
    uint32_t core_clock_hz;   /* 0 where a clock has no meaning */
    uint8_t cycles_are_real;  /* 1: port_cycles counts core cycles (DWT); 0: it counts something else */
    uint8_t icache_enabled;
    uint8_t icache_ways;
    uint8_t reserved;
} port_info;

void port_init(void);
void port_get_info(port_info *info);

/* Bytes that have arrived since the last call, at most capacity; never blocks. */
size_t port_read(uint8_t *data, size_t capacity);

/* Sends all bytes; may block. */
void port_write(const uint8_t *data, size_t count);

/* Bytes lost because nobody read in time, since port_init. */
uint32_t port_overruns(void);

/* Free-running 64-bit counter: DWT cycles on silicon, instructions (SysTick under -icount) on QEMU,
 * nanoseconds on a host. port_info says which. */
uint64_t port_cycles(void);

/* Called when there is nothing to do: WFI on a board. */
void port_idle(void);

#endif
