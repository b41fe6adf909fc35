/* SPDX-License-Identifier: Apache-2.0
 *
 * The window that the next inference will see, kept outside the arena: an invocation may overwrite its input, and
 * the window must outlive it to be inferred again. It holds the quantised input tensors, one after another, in the
 * model's own layout. Raw samples are quantised as they arrive, so that a raw window is never stored.
 */
#ifndef HE_WINDOW_H
#define HE_WINDOW_H

#include <stdbool.h>
#include <stdint.h>

#include "model.h"

/* Bytes of a raw window: int16 [window, raw_channels]. 0 if the model does not start at raw samples. */
uint32_t he_window_raw_bytes(void);

/* Start a new window; what was loaded before is forgotten. */
void he_window_start(bool raw);

/* True if a window of that kind has been started and not been left for the other kind. */
bool he_window_is(bool raw);

/* Bytes taken since he_window_start, and bytes still missing. */
uint32_t he_window_loaded(void);
uint32_t he_window_missing(void);

/* Append bytes of the kind that was started; count must be at most he_window_missing(). */
void he_window_append(const uint8_t *bytes, uint32_t count);

/* Copy a complete window into the arena. */
void he_window_to_model(void);

#endif
