/* SPDX-License-Identifier: Apache-2.0 */
#include "window.h"

#include "he_input.h"

_Alignas(8) static uint8_t window[HE_MODEL_INPUT_BYTES];
static uint32_t loaded;
static bool started;
static bool is_raw;

#ifdef HE_MODEL_RAW_CHANNELS
#define RAW_FRAME_BYTES (2U * HE_MODEL_RAW_CHANNELS)
_Static_assert(HE_MODEL_RAW_CHANNELS > 0, "a raw frame has channels");

/* The frame that is arriving, byte by byte. */
static int16_t frame[HE_MODEL_RAW_CHANNELS];

uint32_t he_window_raw_bytes(void)
{
    return HE_MODEL_WINDOW * RAW_FRAME_BYTES;
}

static void append_raw(uint8_t byte)
{
    const uint32_t at = loaded % RAW_FRAME_BYTES;
    const uint32_t low = at % 2U == 0U ? 0U : (uint16_t)frame[at / 2U];
    frame[at / 2U] = (int16_t)(uint16_t)(at % 2U == 0U ? byte : (low | (uint32_t)byte << 8));
    if (at == RAW_FRAME_BYTES - 1U) {
        he_input_write_frame(he_model_get_info()->input_spec, frame, loaded / RAW_FRAME_BYTES, (int8_t *)window);
    }
}
#else
uint32_t he_window_raw_bytes(void)
{
    return 0;
}

static void append_raw(uint8_t byte)
{
    (void)byte;
}
#endif

void he_window_start(bool raw)
{
    started = true;
    is_raw = raw;
    loaded = 0;
}

bool he_window_is(bool raw)
{
    return started && is_raw == raw;
}

uint32_t he_window_loaded(void)
{
    return loaded;
}

uint32_t he_window_missing(void)
{
    return (is_raw ? he_window_raw_bytes() : HE_MODEL_INPUT_BYTES) - loaded;
}

void he_window_append(const uint8_t *bytes, uint32_t count)
{
    for (uint32_t i = 0; i < count; ++i) {
        if (is_raw) {
            append_raw(bytes[i]);
        } else {
            window[loaded] = bytes[i];
        }
        ++loaded;
    }
}

void he_window_to_model(void)
{
    const he_model_info *info = he_model_get_info();
    const uint8_t *from = window;
    for (uint32_t i = 0; i < info->n_inputs; ++i) {
        uint8_t *to = he_model_input(i);
        for (uint32_t k = 0; k < info->inputs[i].bytes; ++k) {
            to[k] = *from++;
        }
    }
}
