/* SPDX-License-Identifier: Apache-2.0
 *
 * Blocks of outputs with the DSP instructions: see he_block_s8_dsp.h.
 *
 * `positions` is the constant 1 or 2 everywhere and folds away when the functions are inlined into the two at
 * the end. Those are not inlined further, so that the loop over the taps has all registers.
 */
#include "he_block_s8_dsp.h"

#if HE_USE_DSP

/* From here on fields are read anew: without it the compiler loads all of them first and spills the sums. */
#define READ_LATE() __asm__ volatile("" ::: "memory")

/* s<position><channel> */
typedef struct {
    int32_t s00, s01, s10, s11;
} sums;

HE_ALWAYS_INLINE sums sum_taps(const he_block_s8 *block, int positions, const int8_t *x)
{
    const int8_t *w = block->w;
    int32_t s00 = block->bias[0], s10 = s00;
    int32_t s01 = block->bias[1], s11 = s01;
    int32_t rows = block->rows;
    do {
        const int32_t next_x = block->x_position_step;
        const int32_t next_w = block->w_channel_step;
        const uint32_t offset = block->minus_input_zero_point;
        for (const int8_t *const end = w + block->quads; w != end;) {
            const uint32_t b = positions == 2 ? he_load_4(x + next_x) : 0U;
            const uint32_t a = he_load_4(x);
            x += 4;
            const uint32_t b_even = he_sxtab16(offset, b);
            const uint32_t b_odd = he_sxtab16_ror8(offset, b);
            const uint32_t a_even = he_sxtab16(offset, a);
            const uint32_t a_odd = he_sxtab16_ror8(offset, a);
            const uint32_t v1 = he_load_4(w + next_w);
            const uint32_t v1_even = he_sxtb16(v1);
            const uint32_t v1_odd = he_sxtb16_ror8(v1);
            s01 = he_smlad(a_odd, v1_odd, he_smlad(a_even, v1_even, s01));
            if (positions == 2) {
                s11 = he_smlad(b_odd, v1_odd, he_smlad(b_even, v1_even, s11));
            }
            const uint32_t v0 = he_load_4(w);
            w += 4;
            const uint32_t v0_even = he_sxtb16(v0);
            const uint32_t v0_odd = he_sxtb16_ror8(v0);
            s00 = he_smlad(a_odd, v0_odd, he_smlad(a_even, v0_even, s00));
            if (positions == 2) {
                s10 = he_smlad(b_odd, v0_odd, he_smlad(b_even, v0_even, s10));
            }
        }
        READ_LATE();
        for (const int8_t *const end = w + block->rest; w != end;) {
            const int32_t zero_point = block->input_zero_point;
            const int32_t b = positions == 2 ? x[block->x_position_step] - zero_point : 0;
            const int32_t a = *x++ - zero_point;
            const int32_t v1 = w[block->w_channel_step];
            const int32_t v0 = *w++;
            s00 = he_mla(a, v0, s00);
            s01 = he_mla(a, v1, s01);
            if (positions == 2) {
                s10 = he_mla(b, v0, s10);
                s11 = he_mla(b, v1, s11);
            }
        }
        READ_LATE();
        x += block->x_step;
        w += block->w_step;
    } while (--rows > 0);
    READ_LATE();
    return (sums){s00, s01, s10, s11};
}

HE_ALWAYS_INLINE sums requantize(const he_block_s8 *block, int positions, sums s)
{
    const int32_t m0 = block->multiplier[0], m1 = block->multiplier[1];
    sums q = {0, 0, 0, 0};
    if (block->quick) {
        const int32_t halvings0 = -1 - block->shift[0], halvings1 = -1 - block->shift[1];
        const int32_t rounding = 1 + 2 * block->output_zero_point;
        q.s00 = he_requantize_s8_quick(s.s00, m0, halvings0, rounding);
        q.s01 = he_requantize_s8_quick(s.s01, m1, halvings1, rounding);
        if (positions == 2) {
            q.s10 = he_requantize_s8_quick(s.s10, m0, halvings0, rounding);
            q.s11 = he_requantize_s8_quick(s.s11, m1, halvings1, rounding);
        }
    } else {
        const int32_t zero_point = block->output_zero_point;
        q.s00 = he_requantize_s8_general(s.s00, m0, block->shift[0], zero_point);
        q.s01 = he_requantize_s8_general(s.s01, m1, block->shift[1], zero_point);
        if (positions == 2) {
            q.s10 = he_requantize_s8_general(s.s10, m0, block->shift[0], zero_point);
            q.s11 = he_requantize_s8_general(s.s11, m1, block->shift[1], zero_point);
        }
    }
    if (block->narrow) {
        q.s00 = he_clamp(q.s00, block->act_min, block->act_max);
        q.s01 = he_clamp(q.s01, block->act_min, block->act_max);
        q.s10 = he_clamp(q.s10, block->act_min, block->act_max);
        q.s11 = he_clamp(q.s11, block->act_min, block->act_max);
    }
    return q;
}

HE_ALWAYS_INLINE void compute(const he_block_s8 *block, int positions, const int8_t *x, int8_t *y)
{
    const sums q = requantize(block, positions, sum_taps(block, positions, x));
    const int32_t next_channel = block->y_channel_step;
    if (positions == 2) {
        int8_t *const y1 = y + block->y_position_step;
        y1[0] = (int8_t)q.s10;
        y1[next_channel] = (int8_t)q.s11;
    }
    y[0] = (int8_t)q.s00;
    y[next_channel] = (int8_t)q.s01;
}

void he_block_s8_one(const he_block_s8 *block, const int8_t *x, int8_t *y)
{
    compute(block, 1, x, y);
}

void he_block_s8_two(const he_block_s8 *block, const int8_t *x, int8_t *y)
{
    compute(block, 2, x, y);
}

#endif
