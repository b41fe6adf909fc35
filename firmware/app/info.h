/* SPDX-License-Identifier: Apache-2.0
 *
 * What the device tells about itself: a text with one fact a line, made anew for each page, so it needs no RAM.
 */
#ifndef HE_INFO_TEXT_H
#define HE_INFO_TEXT_H

#include <stdint.h>

/* Writes the part of the info text that starts at offset, at most capacity bytes; returns the length of the whole
 * text. The text is the same in every call. Lines:
 *   protocol VERSION            max_payload BYTES      board NAME
 *   clock_hz HZ                 cycles_are_real 0|1    icache ENABLED WAYS
 *   model NAME                  id HEX                 generator TEXT          backend NAME
 *   arena_bytes N               window_bytes N         (RAM of the window buffer, beside the arena)
 *   raw WINDOW RAW_CHANNELS CHANNELS                   (absent without an input spec)
 *   input|output|state DTYPE SCALE_BITS ZERO_POINT BYTES DIM,DIM,... NAME    (float32 as 8 hex digits)
 *   node OP MACS OUTPUT_BYTES NAME                     label TEXT
 */
uint32_t he_info_text(uint32_t offset, uint8_t *bytes, uint32_t capacity);

#endif
