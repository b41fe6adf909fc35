/* SPDX-License-Identifier: Apache-2.0
 *
 * Requests to the host of a simulator: Arm's semihosting interface (github.com/ARM-software/abi-aa, document
 * semihosting), of which the operation goes in r0, a pointer to its arguments in r1.
 */
#ifndef HE_SEMIHOSTING_H
#define HE_SEMIHOSTING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HE_HOST_READ 0u  /* modes of he_host_open: fopen's "r" */
#define HE_HOST_WRITE 4u /* and "w" */

static inline int32_t he_host_call(uint32_t request, const void *arguments)
{
    register uint32_t operation __asm__("r0") = request;
    register const void *argument __asm__("r1") = arguments;
    __asm__ volatile("bkpt 0xAB" : "+r"(operation) : "r"(argument) : "memory");
    return (int32_t)operation;
}

/* Whether the simulator was given an argument for the program (SYS_GET_CMDLINE). */
static inline bool he_host_has_argument(void)
{
    char text[64];
    const uint32_t block[2] = {(uint32_t)(uintptr_t)text, sizeof text};
    text[0] = '\0';
    return he_host_call(0x15u, block) == 0 && text[0] != '\0';
}

/* ":tt" is the host's console: standard input or output. Negative if it cannot be opened (SYS_OPEN). */
static inline int32_t he_host_open(const char *name, uint32_t mode)
{
    uint32_t length = 0;
    while (name[length] != '\0') {
        ++length;
    }
    const uint32_t block[3] = {(uint32_t)(uintptr_t)name, mode, length};
    return he_host_call(0x01u, block);
}

/* Waits for at least one byte; 0 at the end of the input (SYS_READ returns what is missing). */
static inline size_t he_host_read(int32_t handle, uint8_t *data, size_t capacity)
{
    const uint32_t block[3] = {(uint32_t)handle, (uint32_t)(uintptr_t)data, capacity};
    const int32_t missing = he_host_call(0x06u, block);
    return missing < 0 || (size_t)missing > capacity ? 0 : capacity - (size_t)missing;
}

static inline void he_host_write(int32_t handle, const uint8_t *data, size_t count)
{
    const uint32_t block[3] = {(uint32_t)handle, (uint32_t)(uintptr_t)data, count};
    (void)he_host_call(0x05u, block);
}

/* Ends the simulator with an exit status: SYS_EXIT_EXTENDED, ADP_Stopped_ApplicationExit. */
static inline void he_host_exit(int code)
{
    const uint32_t block[2] = {0x20026u, (uint32_t)code};
    (void)he_host_call(0x20u, block);
    for (;;) {
    }
}

#endif
