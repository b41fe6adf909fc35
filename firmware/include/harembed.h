/* SPDX-License-Identifier: Apache-2.0
 *
 * The face of a generated model. Application, ports and harness see only this; which backend computed the
 * kernels is invisible. All memory is static: no heap, no stdio.
 *
 * Use: write the input tensor (he_model_input), call he_model_invoke, read the logits (he_model_output).
 * Inputs live in the arena and may be overwritten by an invocation: write them before each one.
 */
#ifndef HAREMBED_H
#define HAREMBED_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum {
    HE_OK = 0,
    HE_ERROR_ARGUMENT = 1, /* an index or a pointer is out of range */
    HE_ERROR_BACKEND = 2   /* a foreign backend (CMSIS-NN, TFLM) reported an error */
} he_status;

typedef enum { HE_INT8 = 0, HE_INT16 = 1, HE_INT32 = 2, HE_BIT = 3 } he_dtype;

#define HE_MAX_RANK 5

/* One input, output or state tensor. real = scale * (integer - zero_point), zero_point with TFLite's sign. */
typedef struct {
    const char *name;
    he_dtype dtype;
    uint32_t rank;
    uint32_t dims[HE_MAX_RANK]; /* unused dimensions are 1 */
    float scale;
    int32_t zero_point;
    uint32_t arena_offset; /* byte */
    uint32_t bytes;
} he_tensor_info;

/* One node, in the order of execution, for profiles and taps. */
typedef struct {
    const char *name;
    const char *op;
    uint32_t macs;
    uint32_t output_offset; /* byte, of its first output in the arena */
    uint32_t output_bytes;
} he_node_info;

/* How one raw sensor channel becomes a row of the model's int8 input:
 * q = clamp(zero_point + multiply_by_quantized_multiplier(count - offset, multiplier, shift), -128, 127) */
typedef struct {
    uint32_t raw_channel; /* index in a raw frame, before channel pruning */
    int32_t offset;       /* counts */
    int32_t multiplier;   /* Q0.31 */
    int32_t shift;        /* positive: to the left */
} he_input_channel;

typedef struct {
    uint32_t window;         /* samples in a window */
    uint32_t raw_channels;   /* int16 values in one raw frame, pruned channels included */
    uint32_t channels;       /* channels that the model uses */
    uint32_t stride_time;    /* elements between two samples of a channel in the input tensor */
    uint32_t stride_channel; /* elements between two channels of a sample */
    int32_t zero_point;
    const he_input_channel *channel; /* [channels] */
} he_input_spec;

typedef struct {
    const char *name;
    const char *id;        /* 16 hex digits: the same graph has the same id everywhere */
    const char *generator; /* "harembed 0.1.0" */
    const char *backend;   /* "own", "cmsis_nn" or "tflm" */
    uint32_t arena_bytes;
    uint32_t n_inputs, n_outputs, n_states, n_nodes, n_labels;
    const he_tensor_info *inputs;
    const he_tensor_info *outputs;
    const he_tensor_info *states;
    const he_node_info *nodes;
    const char *const *labels;
    const he_input_spec *input_spec; /* NULL if the model does not start at raw samples */
} he_model_info;

const he_model_info *he_model_get_info(void);

/* NULL if index is out of range. */
void *he_model_input(uint32_t index);
const void *he_model_output(uint32_t index);

/* Set all state tensors to their zero_point. Called once by the generated code before the first invocation. */
void he_model_reset(void);

he_status he_model_invoke(void);

/* As he_model_invoke, and calls tap after each node, while that node's output is still in the arena. */
typedef void (*he_tap)(void *user, uint32_t node);
he_status he_model_invoke_tapped(he_tap tap, void *user);

/* First byte of the arena: for taps and memory traces. */
const void *he_model_arena(void);

#ifdef __cplusplus
}
#endif
#endif
