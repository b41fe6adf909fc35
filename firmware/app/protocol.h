/* SPDX-License-Identifier: Apache-2.0
 *
 * The framed serial protocol between a host and a device: pure functions, no I/O. Its twin is
 * harembed/harness/protocol.py. All numbers are little-endian.
 *
 * A frame
 *   byte 0, 1   sync, 0xA5 0x5A
 *   byte 2      L, length of the payload, 0..64
 *   byte 3      type
 *   byte 4, 5   sequence number
 *   6 .. 6+L-1  payload
 *   then 4      CRC-32 (zlib's) over bytes 2 .. 6+L-1
 *
 * The host asks, the device answers each request once, with the request's sequence number and its type
 * + 0x80. A request that comes again (same sequence number, same CRC) is not executed again: its answer is
 * re-sent. So the host may repeat whatever stayed unanswered. Damaged frames are counted and not answered.
 *
 *   type               request payload            answer payload
 *   0x01 INFO          u32 offset                 u32 total, part of the info text from offset on
 *   0x02 STATUS        -                          u32 overruns, u32 crc_errors, u32 discarded, u32 runs
 *   0x10 LOAD_RAW      u32 offset, bytes          u32 next offset, u32 counter ticks spent quantising so far
 *   0x11 LOAD_INPUT    u32 offset, bytes          u32 next offset, u32 0
 *   0x20 INFER         -                          u64 counter ticks of one invocation
 *   0x21 REPEAT        u32 n >= 1                 u32 n, u64 least, u64 most, u64 sum of the ticks
 *   0x22 PROFILE       u32 first node             u32 nodes, u32 first, u32 ticks of each node from there on
 *   0x30 READ_OUTPUT   u32 offset                 u32 total, part of the outputs from offset on
 *   0x31 READ_TAP      u32 node, u32 offset       u32 total, part of that node's first output
 *   0xFF ERROR         (answer only)              u8 code, u8 request type, u16 0, u32 detail
 *
 * The info text has one fact a line, `key value...`, written by info.c. LOAD_RAW takes the samples of one
 * window, frame after frame, int16; LOAD_INPUT takes the input tensors, one after another. Chunks come in order;
 * offset 0 starts a new window. INFER, REPEAT, PROFILE and READ_TAP reset the states and copy the window into
 * the arena before each invocation. PROFILE and READ_TAP invoke once for every answer. Outputs follow one another
 * in READ_OUTPUT. Ticks are what port_cycles counts; those of a single node saturate at 2^32 - 1.
 */
#ifndef HE_PROTOCOL_H
#define HE_PROTOCOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HE_PROTOCOL_VERSION 1u
#define HE_SYNC_0 0xA5u
#define HE_SYNC_1 0x5Au
#define HE_MAX_PAYLOAD 64u
#define HE_FRAME_OVERHEAD 10u
#define HE_MAX_FRAME (HE_MAX_PAYLOAD + HE_FRAME_OVERHEAD)

enum {
    HE_INFO = 0x01,
    HE_STATUS = 0x02,
    HE_LOAD_RAW = 0x10,
    HE_LOAD_INPUT = 0x11,
    HE_INFER = 0x20,
    HE_REPEAT = 0x21,
    HE_PROFILE = 0x22,
    HE_READ_OUTPUT = 0x30,
    HE_READ_TAP = 0x31,
    HE_ANSWER = 0x80, /* added to a request's type */
    HE_ERROR = 0xFF
};

/* Codes of an ERROR answer; the meaning of detail in brackets. */
enum {
    HE_E_UNKNOWN_TYPE = 1,      /* [0] */
    HE_E_PAYLOAD_LENGTH = 2,    /* [the length that came] */
    HE_E_OFFSET = 3,            /* [the offset expected next, or the size] */
    HE_E_WINDOW_INCOMPLETE = 4, /* [bytes still missing] */
    HE_E_NO_INPUT_SPEC = 5,     /* [0]: this model does not start at raw samples */
    HE_E_INDEX = 6,             /* [the number of nodes] */
    HE_E_MODEL = 7              /* [he_status] */
};

typedef struct {
    uint8_t type;
    uint8_t length;
    uint16_t sequence;
    uint8_t payload[HE_MAX_PAYLOAD];
} he_frame;

/* Collects bytes into frames. Zero it to start. */
typedef struct {
    uint8_t bytes[HE_MAX_FRAME];
    uint32_t count;
    uint32_t crc_errors; /* candidate frames with a wrong CRC */
    uint32_t discarded;  /* bytes that belonged to no frame */
} he_parser;

/* zlib's CRC-32 of count bytes. */
uint32_t he_crc32(const uint8_t *data, size_t count);

/* Writes a frame of at most HE_MAX_FRAME bytes; returns its length. frame->length must be <= HE_MAX_PAYLOAD. */
size_t he_frame_encode(const he_frame *frame, uint8_t *bytes);

/* Takes one byte. Call he_parser_next until it returns false before the next byte. */
void he_parser_push(he_parser *parser, uint8_t byte);

/* True if a whole frame has come. After a wrong CRC only its first byte is dropped and the others are searched
 * again, so noise that looks like the start of a frame hides no later frame for good. */
bool he_parser_next(he_parser *parser, he_frame *frame);

/* Fills answer's type, length and payload; its sequence number is set already. */
typedef void (*he_handler)(void *user, const he_frame *request, he_frame *answer);

/* One conversation. Zero it, then set handle and user. */
typedef struct {
    he_parser parser;
    he_handler handle;
    void *user;
    uint32_t last_request_crc;
    uint16_t last_sequence;
    uint8_t answer_length; /* 0 before the first request */
    uint8_t answer[HE_MAX_FRAME];
} he_session;

/* Takes one byte. If it completes requests they are answered: returns the length of the last answer, which is in
 * session->answer and must be sent, or 0. */
size_t he_session_receive(he_session *session, uint8_t byte);

static inline uint32_t he_get_u32(const uint8_t *bytes)
{
    return (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
}

static inline void he_put_u32(uint8_t *bytes, uint32_t value)
{
    for (uint32_t i = 0; i < 4; ++i) {
        bytes[i] = (uint8_t)(value >> (8 * i));
    }
}

static inline void he_put_u64(uint8_t *bytes, uint64_t value)
{
    he_put_u32(bytes, (uint32_t)value);
    he_put_u32(bytes + 4, (uint32_t)(value >> 32));
}

#endif
