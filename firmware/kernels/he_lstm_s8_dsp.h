/* SPDX-License-Identifier: Apache-2.0
 *
 * LSTM, int8 with int16 gates and cell: the form for the DSP instructions, equal to he_lstm_s8.c bit for bit.
 *
 * At each time step the input and output_state are widened into a row of scratch memory, from which the four gates of
 * a unit are computed side by side: two sums of int16 each (of the input, of the state), packed two to a word. Then
 * all cells are updated.
 *
 * Rows and weights are joined (he_dot_s8_dsp.h), each four values x0..x3 as the pairs (x0, x2), (x1, x3). Weights of
 * int16 would take fewer instructions still, but twice the loads at each time step, and mostly more cycles.
 *
 * A sum is doubled because SMMULR then computes floor(sum * multiplier / 2^31 + 1/2), the first of TFLite's two
 * roundings, exactly; the second adds half a step, one less below zero, and shifts. Products of gates are scaled by
 * powers of two: both roundings become one constant, 2 less below zero. The second half of a SMLAD subtracts those 2:
 * it multiplies them by the high half, all sign, of an int16 that lies in 32 bits.
 *
 * The sigmoid's knots less a half are odd in x. With negative ones stored, too, x and -x need not be told apart, but
 * for the rounding of ties; with both signs turned, one SMLAD interpolates between two neighbours, 2^15 being no
 * int16 but -2^15 one.
 */
#ifndef HE_LSTM_S8_DSP_H
#define HE_LSTM_S8_DSP_H

#include "he_dsp.h"

#if HE_USE_DSP

#include <stdbool.h>

#include "he_dot_s8_dsp.h"
#include "he_patch_s8_dsp.h"

/* Field names as in LstmDspParams (harembed/ir/ops/lstm_dsp.py). Gates in the order input, forget, cell, output. */
typedef struct {
    int32_t time_steps, input_size, units;
    int32_t layout; /* HE_WEIGHTS_JOINED */
    int32_t input_left[4], input_right[4]; /* shifts of the input's sums before and after they are multiplied; */
    int32_t state_left[4], state_right[4]; /* of output_state's; a negative one before is to the right */
    const int32_t *scales;   /* (multiplier, rounding) of 4 sums of the input, 4 of output_state, and the output */
    const uint32_t *weights; /* of a unit: 4 biases, input weights, 4 more biases, recurrent weights; weights for
                              * each four values, gate by gate */
    int32_t added_right;     /* shift of input gate * cell gate to the cell */
    int32_t cell_tanh_multiplier, cell_tanh_half; /* cell to units of 1/(12288 * 2^7), the last 7 bits then cut */
    int32_t cell_clip;         /* in steps of the cell; 32768: none */
    int32_t output_right;      /* shift of tanh(cell) * output gate to output_state */
    int32_t output_zero_point; /* what its rounding does not contain */
    const int16_t *knots;      /* [513] 32768 - 65536 sigmoid at x = -256/24 ... 256/24 */
} he_lstm_s8_dsp_params;

/* Words of a row: two pairs for each four values. */
HE_ALWAYS_INLINE int32_t he_lstm_pairs(int32_t count)
{
    return (count + 3) / 4 * 2;
}

/* The sums of four gates over `pairs` words of *x; *x and *w then point behind. */
HE_ALWAYS_INLINE he_sums he_lstm_dot(int32_t pairs, const uint32_t **x, const uint32_t **w)
{
    const he_words b = he_next_two(w), c = he_next_two(w);
    he_sums s = {(int32_t)b.first, (int32_t)b.second, (int32_t)c.first, (int32_t)c.second, 0, 0, 0, 0};
    if (__builtin_constant_p(pairs)) {
        HE_UNROLL_SOME
        for (int32_t rounds = pairs >> 1; rounds > 0; --rounds) {
            he_row_s8_four(HE_WEIGHTS_JOINED, &s, x, w);
        }
    } else {
        for (int32_t rounds = pairs >> 1; rounds > 0; --rounds) {
            he_row_s8_four(HE_WEIGHTS_JOINED, &s, x, w);
        }
    }
    return s;
}

/* A sum in Q3.12, as int16. scales[at], [at + 1]: multiplier, rounding. */
HE_ALWAYS_INLINE int32_t he_lstm_scale(int32_t sum, const int32_t *scales, int32_t at, int32_t left, int32_t right)
{
    sum = left >= 0 ? (int32_t)((uint32_t)sum << left) : sum >> -left;
    if (right == 0) {
        return he_ssat16_asr(he_smmulr(sum, scales[at]), 0);
    }
    const he_words scale = he_two_at(scales, at);
    return he_ssat16_asr(he_smmlar(sum, (int32_t)scale.first, (int32_t)scale.second + (sum >> 31)), right);
}

/* Of four gates. */
HE_ALWAYS_INLINE he_words he_lstm_scale_4(const he_sums *s, const int32_t *scales, int32_t at, const int32_t *left,
                                          const int32_t *right)
{
    const int32_t g0 = he_lstm_scale(s->a0, scales, at, left[0], right[0]);
    const int32_t g1 = he_lstm_scale(s->a1, scales, at + 2, left[1], right[1]);
    const int32_t g2 = he_lstm_scale(s->a2, scales, at + 4, left[2], right[2]);
    const int32_t g3 = he_lstm_scale(s->a3, scales, at + 6, left[3], right[3]);
    return (he_words){he_pair(g0, g1), he_pair(g2, g3)};
}

/* row: input and state, widened; gates [units][2 words]. */
HE_ALWAYS_INLINE void he_lstm_gates(const he_lstm_s8_dsp_params *p, const uint32_t *row, uint32_t *gates)
{
    const int32_t *const scales = he_opaque(p->scales);
    const uint32_t *w = p->weights;
    for (int32_t left = p->units; left > 0; --left) {
        const uint32_t *x = row;
        he_sums s = he_lstm_dot(he_lstm_pairs(p->input_size), &x, &w);
        const he_words a = he_lstm_scale_4(&s, scales, 0, p->input_left, p->input_right);
        s = he_lstm_dot(he_lstm_pairs(p->units), &x, &w);
        const he_words b = he_lstm_scale_4(&s, scales, 8, p->state_left, p->state_right);
        he_put_two(&gates, he_qadd16(a.first, b.first), he_qadd16(a.second, b.second));
    }
}

/* What interpolation needs, kept in registers as far as there are some. */
typedef struct {
    const int16_t *middle; /* of the knots */
    int32_t x_to_knots;    /* Q3.12 to 2^15 steps a knot */
    int32_t all;           /* 2^16 - 1 */
    int32_t unit;          /* 2^15 */
    int32_t half;          /* of the sigmoid's last bit, and the half that knots are less */
} he_lstm_curve;

/* start plus 2^15 times the table at x = at / 2^15 knots, 1 less if `at` is negative. */
HE_ALWAYS_INLINE int32_t he_lstm_knots(const he_lstm_curve *c, int32_t at, int32_t mask, int32_t start)
{
    /* The pair (fraction - 2^15, -fraction). */
    const int32_t fractions = (int32_t)((uint32_t)c->unit - (uint32_t)(at & mask) * (uint32_t)c->all);
    return he_smlad(he_neighbours(c->middle, at >> 15), (uint32_t)fractions, start + (at >> 31));
}

/* Its high half is sigmoid(x) in Q0.15, of x in 1/2^15 knots. */
HE_ALWAYS_INLINE int32_t he_lstm_sigmoid(const he_lstm_curve *c, int32_t at)
{
    return he_lstm_knots(c, at, 0x7FFF, c->half);
}

/* tanh(x) in Q0.15, of 2 x in 1/2^15 knots, the last 7 bits of which do not count. */
HE_ALWAYS_INLINE int32_t he_lstm_tanh(const he_lstm_curve *c, int32_t at)
{
    return he_lstm_knots(c, at, 0x7F80, 1 << 14) >> 15;
}

/* forget and gate_in in the high half. */
HE_ALWAYS_INLINE int32_t he_lstm_new_cell(const he_lstm_s8_dsp_params *p, int32_t forget, int32_t gate_in,
                                          int32_t candidate, int32_t cell)
{
    const uint32_t keep = he_pair_of_highs((uint32_t)forget, 2U << 16);
    const uint32_t add = he_pair_of_highs((uint32_t)gate_in, 2U << 16);
    const int32_t right = p->added_right;
    const int32_t kept = he_smlad(keep, (uint32_t)cell, (1 << 14) + 1) >> 15;
    int32_t added = he_smlad(add, (uint32_t)candidate, (int32_t)((UINT32_C(1) << right) >> 1) + 1);
    added = right < 15 ? he_ssat16_asr(added, right) : added >> right;
    int32_t sum = he_ssat16_asr(added + kept, 0);
    if (p->cell_clip < INT16_MAX) {
        sum = sum > p->cell_clip ? p->cell_clip : sum;
    }
    return sum < -p->cell_clip ? -p->cell_clip : sum;
}

/* gates [units][2 words]; cell [units]; output [units]. */
HE_ALWAYS_INLINE void he_lstm_update(const he_lstm_s8_dsp_params *p, const uint32_t *gates, int16_t *cell,
                                     int8_t *output)
{
    const he_lstm_curve c = {p->knots + 256, he_in_register(192), he_in_register(0xFFFF), he_in_register(0x8000),
                             he_in_register((1 << 30) + (1 << 15))};
    const he_words scale = he_two_at(he_opaque(p->scales), 16);
    for (int32_t left = p->units; left > 0; --left) {
        const he_words g = he_next_two(&gates);
        const uint32_t to_knots = (uint32_t)c.x_to_knots;
        const int32_t gate_in = he_lstm_sigmoid(&c, he_smulbb(g.first, to_knots));
        const int32_t candidate = he_lstm_tanh(&c, he_ssat24_doubled(he_smulbb(g.second, to_knots)));
        const int32_t forget = he_lstm_sigmoid(&c, he_smultb(g.first, to_knots));
        const int32_t new_cell = he_lstm_new_cell(p, forget, gate_in, candidate, *cell);
        *cell++ = (int16_t)new_cell;
        int32_t at = new_cell * p->cell_tanh_multiplier + p->cell_tanh_half;
        if (p->cell_tanh_multiplier > 255) {
            at = he_clamp(at, -(1 << 23), (1 << 23) - 1);
        }
        const int32_t shown = he_lstm_tanh(&c, at);
        const int32_t gate_out = he_lstm_sigmoid(&c, he_smultb(g.second, to_knots));
        const int32_t doubled = he_smultb((uint32_t)gate_out, (uint32_t)shown) * 2;
        const int32_t q = he_smmlar(doubled, (int32_t)scale.first, (int32_t)scale.second + (shown >> 31));
        *output++ = (int8_t)(p->output_zero_point == 0
                                 ? he_ssat8_asr(q, p->output_right)
                                 : he_clamp((q >> p->output_right) + p->output_zero_point, INT8_MIN, INT8_MAX));
    }
}

/* With constant params and layout everything folds that does not depend on the data. */
HE_ALWAYS_INLINE void he_lstm_s8_dsp_inline(const he_lstm_s8_dsp_params *p, int32_t layout, const int8_t *input,
                                            int8_t *output_state, int16_t *cell_state, int8_t *output,
                                            uint8_t *scratch)
{
    uint32_t *const row = (uint32_t *)(void *)scratch;
    uint32_t *const gates = row + he_lstm_pairs(p->input_size) + he_lstm_pairs(p->units);
    const int8_t *state = output_state;
    (void)layout;
    for (int32_t left = p->time_steps; left > 0; --left) {
        uint32_t *const behind = he_widen_run(row, 1, input, p->input_size, HE_JOINED);
        (void)he_widen_run(behind, 1, state, p->units, HE_JOINED);
        he_lstm_gates(p, row, gates);
        he_lstm_update(p, gates, cell_state, output);
        state = output;
        input += p->input_size;
        output += p->units;
    }
    for (int32_t u = 0; u < p->units; ++u) {
        output_state[u] = state[u];
        __asm__ volatile("" : : : "memory"); /* no call of memcpy */
    }
}

/* The same for any params: one copy in a program. input [T, I], output [T, U]; output_state [U] and
 * cell_state [U] hold the state before the call and that after it; scratch starts at a multiple of 4. */
void he_lstm_s8_dsp(const he_lstm_s8_dsp_params *params, const int8_t *input, int8_t *output_state,
                    int16_t *cell_state, int8_t *output, uint8_t *scratch);

#endif
#endif
