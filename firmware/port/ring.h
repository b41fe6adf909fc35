/* SPDX-License-Identifier: Apache-2.0
 *
 * Bytes received and not yet read. One writer (an interrupt) and one reader (port_read) may work on it at the
 * same time: only the writer moves head, only the reader moves tail. A byte that finds no place is counted.
 */
#ifndef HE_RING_H
#define HE_RING_H

#include <stddef.h>
#include <stdint.h>

/* Four of the protocol's largest frames and more; a power of two. */
#define HE_RING_BYTES 512u
_Static_assert((HE_RING_BYTES & (HE_RING_BYTES - 1u)) == 0u, "the index is masked");

typedef struct {
    volatile uint32_t head; /* counts bytes ever written */
    volatile uint32_t tail; /* counts bytes ever read */
    volatile uint32_t overruns;
    uint8_t bytes[HE_RING_BYTES];
} he_ring;

static inline void he_ring_push(he_ring *ring, uint8_t byte)
{
    const uint32_t head = ring->head;
    if (head - ring->tail == HE_RING_BYTES) {
        ring->overruns = ring->overruns + 1u;
        return;
    }
    ring->bytes[head & (HE_RING_BYTES - 1u)] = byte;
    ring->head = head + 1u;
}

static inline size_t he_ring_pop(he_ring *ring, uint8_t *data, size_t capacity)
{
    size_t count = 0;
    uint32_t tail = ring->tail;
    while (count < capacity && tail != ring->head) {
        data[count++] = ring->bytes[tail & (HE_RING_BYTES - 1u)];
        ++tail;
    }
    ring->tail = tail;
    return count;
}

#endif
