/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol.h"

uint32_t he_crc32(const uint8_t *data, size_t count)
{
    /* The reflected polynomial 0xEDB88320, four bits at a time: 64 bytes of table instead of 1,024. */
    static const uint32_t table[16] = {
        0x00000000u, 0x1DB71064u, 0x3B6E20C8u, 0x26D930ACu, 0x76DC4190u, 0x6B6B51F4u, 0x4DB26158u, 0x5005713Cu,
        0xEDB88320u, 0xF00F9344u, 0xD6D6A3E8u, 0xCB61B38Cu, 0x9B64C2B0u, 0x86D3D2D4u, 0xA00AE278u, 0xBDBDF21Cu};
    uint32_t crc = 0xFFFFFFFFu;
    for (size_t i = 0; i < count; ++i) {
        crc = table[(crc ^ data[i]) & 15u] ^ (crc >> 4);
        crc = table[(crc ^ (uint32_t)(data[i] >> 4)) & 15u] ^ (crc >> 4);
    }
    return ~crc;
}

size_t he_frame_encode(const he_frame *frame, uint8_t *bytes)
{
    const uint32_t length = frame->length;
    bytes[0] = HE_SYNC_0;
    bytes[1] = HE_SYNC_1;
    bytes[2] = frame->length;
    bytes[3] = frame->type;
    bytes[4] = (uint8_t)frame->sequence;
    bytes[5] = (uint8_t)(frame->sequence >> 8);
    for (uint32_t i = 0; i < length; ++i) {
        bytes[6 + i] = frame->payload[i];
    }
    he_put_u32(bytes + 6 + length, he_crc32(bytes + 2, 4 + length));
    return HE_FRAME_OVERHEAD + length;
}

void he_parser_push(he_parser *parser, uint8_t byte)
{
    parser->bytes[parser->count] = byte;
    ++parser->count;
}

static void drop(he_parser *parser, uint32_t count)
{
    parser->count -= count;
    for (uint32_t i = 0; i < parser->count; ++i) {
        parser->bytes[i] = parser->bytes[count + i];
    }
}

/* False if the collected bytes cannot be the start of a frame. */
static bool plausible(const he_parser *parser)
{
    const uint8_t *b = parser->bytes;
    return b[0] == HE_SYNC_0 && (parser->count < 2 || b[1] == HE_SYNC_1) &&
           (parser->count < 3 || b[2] <= HE_MAX_PAYLOAD);
}

bool he_parser_next(he_parser *parser, he_frame *frame)
{
    while (parser->count > 0) {
        if (plausible(parser)) {
            const uint32_t length = parser->count < 3 ? 0 : parser->bytes[2];
            if (parser->count < HE_FRAME_OVERHEAD + length) {
                return false;
            }
            if (he_crc32(parser->bytes + 2, 4 + length) == he_get_u32(parser->bytes + 6 + length)) {
                frame->length = (uint8_t)length;
                frame->type = parser->bytes[3];
                frame->sequence = (uint16_t)(parser->bytes[4] | parser->bytes[5] << 8);
                for (uint32_t i = 0; i < length; ++i) {
                    frame->payload[i] = parser->bytes[6 + i];
                }
                drop(parser, HE_FRAME_OVERHEAD + length);
                return true;
            }
            ++parser->crc_errors;
        }
        drop(parser, 1);
        ++parser->discarded;
    }
    return false;
}

static void answer_request(he_session *session, const he_frame *request, uint32_t request_crc)
{
    const bool repeated = session->answer_length > 0 && session->last_sequence == request->sequence &&
                          session->last_request_crc == request_crc;
    if (repeated) {
        return;
    }
    he_frame answer = {.type = (uint8_t)(request->type + HE_ANSWER), .length = 0, .sequence = request->sequence};
    session->handle(session->user, request, &answer);
    session->answer_length = (uint8_t)he_frame_encode(&answer, session->answer);
    session->last_sequence = request->sequence;
    session->last_request_crc = request_crc;
}

size_t he_session_receive(he_session *session, uint8_t byte)
{
    he_frame request;
    size_t length = 0;
    he_parser_push(&session->parser, byte);
    while (he_parser_next(&session->parser, &request)) {
        uint8_t bytes[HE_MAX_FRAME];
        const size_t count = he_frame_encode(&request, bytes);
        answer_request(session, &request, he_get_u32(bytes + count - 4));
        length = session->answer_length;
    }
    return length;
}
