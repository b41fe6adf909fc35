/* SPDX-License-Identifier: Apache-2.0 */
#include "commands.h"

#include "harembed.h"
#include "info.h"
#include "port.h"
#include "window.h"

#define PAGE_BYTES (HE_MAX_PAYLOAD - 4U)         /* after a u32 total */
#define PAGE_NODES ((HE_MAX_PAYLOAD - 8U) / 4U) /* after u32 nodes, u32 first */

static uint32_t runs;
static uint64_t quantise_ticks;

static void fail(he_frame *answer, uint8_t code, const he_frame *request, uint32_t detail)
{
    answer->type = HE_ERROR;
    answer->length = 8;
    answer->payload[0] = code;
    answer->payload[1] = request->type;
    answer->payload[2] = 0;
    answer->payload[3] = 0;
    he_put_u32(answer->payload + 4, detail);
}

static uint32_t saturate(uint64_t ticks)
{
    return ticks > UINT32_MAX ? UINT32_MAX : (uint32_t)ticks;
}

static void info(const he_frame *request, he_frame *answer)
{
    const uint32_t offset = he_get_u32(request->payload);
    const uint32_t total = he_info_text(offset, answer->payload + 4, PAGE_BYTES);
    const uint32_t rest = offset < total ? total - offset : 0;
    he_put_u32(answer->payload, total);
    answer->length = (uint8_t)(4U + (rest < PAGE_BYTES ? rest : PAGE_BYTES));
}

static void status(const he_session *session, he_frame *answer)
{
    he_put_u32(answer->payload, port_overruns());
    he_put_u32(answer->payload + 4, session->parser.crc_errors);
    he_put_u32(answer->payload + 8, session->parser.discarded);
    he_put_u32(answer->payload + 12, runs);
    answer->length = 16;
}

static void load(const he_frame *request, he_frame *answer)
{
    const bool raw = request->type == HE_LOAD_RAW;
    const uint32_t offset = he_get_u32(request->payload);
    const uint32_t count = request->length - 4U;
    if (raw && he_window_raw_bytes() == 0) {
        fail(answer, HE_E_NO_INPUT_SPEC, request, 0);
        return;
    }
    if (offset == 0) {
        he_window_start(raw);
        quantise_ticks = 0;
    }
    if (!he_window_is(raw) || offset != he_window_loaded()) {
        fail(answer, HE_E_OFFSET, request, he_window_is(raw) ? he_window_loaded() : 0);
        return;
    }
    if (count > he_window_missing()) {
        fail(answer, HE_E_OFFSET, request, he_window_loaded() + he_window_missing());
        return;
    }
    const uint64_t before = port_cycles();
    he_window_append(request->payload + 4, count);
    quantise_ticks += raw ? port_cycles() - before : 0;
    he_put_u32(answer->payload, he_window_loaded());
    he_put_u32(answer->payload + 4, saturate(quantise_ticks));
    answer->length = 8;
}

/* Ready the model for an invocation; false (and an error answer) if no complete window is there. */
static bool prepare(const he_frame *request, he_frame *answer)
{
    const bool any = he_window_is(true) || he_window_is(false);
    if (!any || he_window_missing() > 0) {
        fail(answer, HE_E_WINDOW_INCOMPLETE, request, any ? he_window_missing() : HE_MODEL_INPUT_BYTES);
        return false;
    }
    he_model_reset();
    he_window_to_model();
    ++runs;
    return true;
}

static void infer(const he_frame *request, he_frame *answer)
{
    const bool repeat = request->type == HE_REPEAT;
    const uint32_t n = repeat ? he_get_u32(request->payload) : 1;
    uint64_t least = UINT64_MAX;
    uint64_t most = 0;
    uint64_t sum = 0;
    if (n == 0) {
        fail(answer, HE_E_INDEX, request, 0);
        return;
    }
    for (uint32_t i = 0; i < n; ++i) {
        if (!prepare(request, answer)) {
            return;
        }
        const uint64_t before = port_cycles();
        const he_status result = he_model_invoke();
        const uint64_t ticks = port_cycles() - before;
        if (result != HE_OK) {
            fail(answer, HE_E_MODEL, request, (uint32_t)result);
            return;
        }
        least = ticks < least ? ticks : least;
        most = ticks > most ? ticks : most;
        sum += ticks;
    }
    if (repeat) {
        he_put_u32(answer->payload, n);
        he_put_u64(answer->payload + 4, least);
        he_put_u64(answer->payload + 12, most);
    }
    he_put_u64(answer->payload + (repeat ? 20 : 0), sum);
    answer->length = repeat ? 28 : 8;
}

/* Ticks of the nodes [first, first + PAGE_NODES), as one tapped invocation passes them. */
typedef struct {
    uint32_t first;
    uint64_t start; /* of the node that runs */
    uint8_t *ticks;
} profile_page;

static void profile_tap(void *user, uint32_t node)
{
    const uint64_t now = port_cycles();
    profile_page *page = user;
    if (node >= page->first && node - page->first < PAGE_NODES) {
        he_put_u32(page->ticks + 4 * (node - page->first), saturate(now - page->start));
    }
    page->start = port_cycles();
}

static void profile(const he_frame *request, he_frame *answer)
{
    const uint32_t nodes = he_model_get_info()->n_nodes;
    const uint32_t first = he_get_u32(request->payload);
    if (first >= nodes) {
        fail(answer, HE_E_INDEX, request, nodes);
        return;
    }
    if (!prepare(request, answer)) {
        return;
    }
    profile_page page = {.first = first, .ticks = answer->payload + 8};
    page.start = port_cycles();
    const he_status result = he_model_invoke_tapped(profile_tap, &page);
    if (result != HE_OK) {
        fail(answer, HE_E_MODEL, request, (uint32_t)result);
        return;
    }
    he_put_u32(answer->payload, nodes);
    he_put_u32(answer->payload + 4, first);
    answer->length = (uint8_t)(8U + 4U * (nodes - first < PAGE_NODES ? nodes - first : PAGE_NODES));
}

/* Copies one page of `bytes`, which follow `before` others that were passed already. */
static void copy_page(he_frame *answer, uint32_t offset, uint32_t before, const uint8_t *bytes, uint32_t count)
{
    for (uint32_t i = 0; i < count; ++i) {
        const uint32_t at = before + i;
        if (at >= offset && at - offset < PAGE_BYTES) {
            answer->payload[4U + (at - offset)] = bytes[i];
        }
    }
}

static void end_pages(const he_frame *request, he_frame *answer, uint32_t offset, uint32_t total)
{
    if (offset > total) {
        fail(answer, HE_E_OFFSET, request, total);
        return;
    }
    he_put_u32(answer->payload, total);
    answer->length = (uint8_t)(4U + (total - offset < PAGE_BYTES ? total - offset : PAGE_BYTES));
}

static void read_output(const he_frame *request, he_frame *answer)
{
    const he_model_info *model = he_model_get_info();
    const uint32_t offset = he_get_u32(request->payload);
    uint32_t total = 0;
    for (uint32_t i = 0; i < model->n_outputs; ++i) {
        copy_page(answer, offset, total, he_model_output(i), model->outputs[i].bytes);
        total += model->outputs[i].bytes;
    }
    end_pages(request, answer, offset, total);
}

typedef struct {
    uint32_t node;
    uint32_t offset;
    he_frame *answer;
} tap_page;

static void copy_tap(void *user, uint32_t node)
{
    const tap_page *page = user;
    if (node == page->node) {
        const he_node_info *info = &he_model_get_info()->nodes[node];
        const uint8_t *arena = he_model_arena();
        copy_page(page->answer, page->offset, 0, arena + info->output_offset, info->output_bytes);
    }
}

static void read_tap(const he_frame *request, he_frame *answer)
{
    const he_model_info *model = he_model_get_info();
    const uint32_t node = he_get_u32(request->payload);
    const uint32_t offset = he_get_u32(request->payload + 4);
    if (node >= model->n_nodes) {
        fail(answer, HE_E_INDEX, request, model->n_nodes);
        return;
    }
    if (!prepare(request, answer)) {
        return;
    }
    tap_page page = {.node = node, .offset = offset, .answer = answer};
    const he_status result = he_model_invoke_tapped(copy_tap, &page);
    if (result != HE_OK) {
        fail(answer, HE_E_MODEL, request, (uint32_t)result);
        return;
    }
    end_pages(request, answer, offset, model->nodes[node].output_bytes);
}

/* Least and most bytes of payload; false for a type that does not exist. */
static bool payload_limits(uint8_t type, uint32_t *least, uint32_t *most)
{
    *least = 4;
    *most = 4;
    switch (type) {
    case HE_STATUS:
    case HE_INFER:
        *least = 0;
        *most = 0;
        return true;
    case HE_LOAD_RAW:
    case HE_LOAD_INPUT:
        *least = 5;
        *most = HE_MAX_PAYLOAD;
        return true;
    case HE_READ_TAP:
        *least = 8;
        *most = 8;
        return true;
    case HE_INFO:
    case HE_REPEAT:
    case HE_PROFILE:
    case HE_READ_OUTPUT:
        return true;
    default:
        return false;
    }
}

void he_handle_command(void *user, const he_frame *request, he_frame *answer)
{
    uint32_t least;
    uint32_t most;
    if (!payload_limits(request->type, &least, &most)) {
        fail(answer, HE_E_UNKNOWN_TYPE, request, 0);
        return;
    }
    if (request->length < least || request->length > most) {
        fail(answer, HE_E_PAYLOAD_LENGTH, request, request->length);
        return;
    }
    switch (request->type) {
    case HE_INFO:
        info(request, answer);
        break;
    case HE_STATUS:
        status(user, answer);
        break;
    case HE_LOAD_RAW:
    case HE_LOAD_INPUT:
        load(request, answer);
        break;
    case HE_INFER:
    case HE_REPEAT:
        infer(request, answer);
        break;
    case HE_PROFILE:
        profile(request, answer);
        break;
    case HE_READ_OUTPUT:
        read_output(request, answer);
        break;
    default: /* READ_TAP: payload_limits knows no other */
        read_tap(request, answer);
        break;
    }
}
