/* SPDX-License-Identifier: Apache-2.0 */
#include "info.h"

#include "harembed.h"
#include "port.h"
#include "protocol.h"
#include "window.h"

/* Keeps the bytes from `first` to `first + capacity` of a text that is written from its beginning. */
typedef struct {
    uint32_t first, capacity, position;
    uint8_t *bytes;
} page;

static void put(page *p, char c)
{
    if (p->position >= p->first && p->position - p->first < p->capacity) {
        p->bytes[p->position - p->first] = (uint8_t)c;
    }
    ++p->position;
}

static void put_text(page *p, const char *text)
{
    for (; *text != '\0'; ++text) {
        put(p, *text);
    }
}

static void put_number(page *p, uint32_t value)
{
    char digits[10];
    uint32_t n = 0;
    do {
        digits[n++] = (char)('0' + value % 10U);
        value /= 10U;
    } while (value > 0);
    while (n > 0) {
        put(p, digits[--n]);
    }
}

static void put_signed(page *p, int32_t value)
{
    if (value < 0) {
        put(p, '-');
    }
    put_number(p, value < 0 ? 0U - (uint32_t)value : (uint32_t)value);
}

static void put_float_bits(page *p, float value)
{
    union {
        float f;
        uint32_t u;
    } bits = {.f = value};
    for (uint32_t i = 0; i < 8; ++i) {
        put(p, "0123456789abcdef"[(bits.u >> (28U - 4U * i)) & 15U]);
    }
}

static void put_line(page *p, const char *key, const char *text)
{
    put_text(p, key);
    put(p, ' ');
    put_text(p, text);
    put(p, '\n');
}

/* A line of a key and up to three numbers. */
static void put_numbers(page *p, const char *key, uint32_t count, const uint32_t *values)
{
    put_text(p, key);
    for (uint32_t i = 0; i < count; ++i) {
        put(p, ' ');
        put_number(p, values[i]);
    }
    put(p, '\n');
}

static void put_tensors(page *p, const char *key, uint32_t count, const he_tensor_info *tensors)
{
    static const char *const dtypes[] = {"int8", "int16", "int32", "bit"};
    for (uint32_t i = 0; i < count; ++i) {
        const he_tensor_info *t = &tensors[i];
        put_text(p, key);
        put(p, ' ');
        put_text(p, dtypes[t->dtype]);
        put(p, ' ');
        put_float_bits(p, t->scale);
        put(p, ' ');
        put_signed(p, t->zero_point);
        put(p, ' ');
        put_number(p, t->bytes);
        for (uint32_t d = 0; d < t->rank; ++d) {
            put(p, d == 0 ? ' ' : ',');
            put_number(p, t->dims[d]);
        }
        put(p, ' ');
        put_text(p, t->name);
        put(p, '\n');
    }
}

static void put_machine(page *p)
{
    port_info port;
    port_get_info(&port);
    put_numbers(p, "protocol", 1, (const uint32_t[]){HE_PROTOCOL_VERSION});
    put_numbers(p, "max_payload", 1, (const uint32_t[]){HE_MAX_PAYLOAD});
    put_line(p, "board", port.board);
    put_numbers(p, "clock_hz", 1, (const uint32_t[]){port.core_clock_hz});
    put_numbers(p, "cycles_are_real", 1, (const uint32_t[]){port.cycles_are_real});
    put_numbers(p, "icache", 2, (const uint32_t[]){port.icache_enabled, port.icache_ways});
}

static void put_model(page *p, const he_model_info *model)
{
    put_line(p, "model", model->name);
    put_line(p, "id", model->id);
    put_line(p, "generator", model->generator);
    put_line(p, "backend", model->backend);
    put_numbers(p, "arena_bytes", 1, (const uint32_t[]){model->arena_bytes});
    put_numbers(p, "window_bytes", 1, (const uint32_t[]){HE_MODEL_INPUT_BYTES});
    const he_input_spec *spec = model->input_spec;
    if (spec != 0) {
        put_numbers(p, "raw", 3, (const uint32_t[]){spec->window, spec->raw_channels, spec->channels});
    }
    put_tensors(p, "input", model->n_inputs, model->inputs);
    put_tensors(p, "output", model->n_outputs, model->outputs);
    put_tensors(p, "state", model->n_states, model->states);
    for (uint32_t i = 0; i < model->n_nodes; ++i) {
        const he_node_info *node = &model->nodes[i];
        put_text(p, "node ");
        put_text(p, node->op);
        put(p, ' ');
        put_number(p, node->macs);
        put(p, ' ');
        put_number(p, node->output_bytes);
        put(p, ' ');
        put_text(p, node->name);
        put(p, '\n');
    }
    for (uint32_t i = 0; i < model->n_labels; ++i) {
        put_line(p, "label", model->labels[i]);
    }
}

uint32_t he_info_text(uint32_t offset, uint8_t *bytes, uint32_t capacity)
{
    page p = {.first = offset, .capacity = capacity, .position = 0, .bytes = bytes};
    put_machine(&p);
    put_model(&p, he_model_get_info());
    return p.position;
}
