"""lstm for the DSP instructions: packed weights and scales of he_lstm_s8_dsp.

Where a shift or a sum leaves what the kernel's arithmetic covers, the portable kernel serves; he_lstm_s8_dsp.h says
why it is equal elsewhere.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from harembed.ir.ops.base import DspForm, Goal
from harembed.ir.ops.dot_dsp import (
    WEIGHTS_JOINED,
    join,
    joined_start,
    run_order,
    to_quads,
)
from harembed.ir.ops.requantize_dsp import JOINED_SHIFT, reach

LARGEST_PRODUCT = 2**30  # of two int16, of which one is no -32768


@dataclass(frozen=True, eq=False)
class LstmDspParams:
    """Field names as in he_lstm_s8_dsp_params."""

    time_steps: int
    input_size: int
    units: int
    layout: int
    input_left: tuple[int, ...]
    input_right: tuple[int, ...]
    state_left: tuple[int, ...]
    state_right: tuple[int, ...]
    scales: np.ndarray  # [9, 2] int32
    weights: np.ndarray  # uint32
    added_right: int
    cell_tanh_multiplier: int
    cell_tanh_half: int
    cell_clip: int
    output_right: int
    output_zero_point: int
    knots: np.ndarray  # [513] int16


@dataclass(frozen=True, eq=False)
class _Sums:
    """The sums of one gate over the input, or over output_state: how they start, and how they become int16."""

    quads: np.ndarray  # [U, K / 4, 4] weights by slot, int64
    bias: np.ndarray  # [U] int64, what else the zero_point and the layout add included; may wrap
    multiplier: int
    rounding: int
    left: int
    right: int


def lstm_scratch_bytes(input_size: Any, units: Any) -> Any:
    """One row of input and state in pairs of int16, each in whole fours; the gates of one time step.

    Sizes may be tensors, as in conv_scratch_bytes.
    """
    fill = -int(input_size) % 4 + -int(units) % 4
    return 2 * (input_size + units) + 2 * fill + 8 * units


def lstm_dsp(p: Any, input_weights: Sequence[np.ndarray], state_weights: Sequence[np.ndarray],
             biases: Sequence[np.ndarray], goal: Goal) -> DspForm | None:
    """
    Parameters
    ----------
    p : LstmParams
    input_weights : 4 x [U, I] int8     of the input, forget, cell and output gate
    state_weights : 4 x [U, U] int8
    biases : 4 x [U] int32
    """
    none = np.zeros(p.units, np.int32)
    sums = [_sums(input_weights[g], biases[g], p.input_zero_point, p.input_multiplier[g], p.input_shift[g])
            for g in range(4)]
    sums += [_sums(state_weights[g], none, p.output_state_zero_point, p.recurrent_multiplier[g],
                   p.recurrent_shift[g]) for g in range(4)]
    known = [s for s in sums if s is not None]
    cell_tanh, output = _cell_tanh(p), _output(p)
    added_right = 1 - p.input_cell_shift
    powers_of_two = p.forget_cell_multiplier == p.input_cell_multiplier == 2**30 and p.forget_cell_shift == -14
    if len(known) != 8 or cell_tanh is None or output is None or not powers_of_two or not 2 <= added_right <= 30:
        return None
    scales = [(s.multiplier, s.rounding) for s in known] + [(p.output_multiplier, output[0])]
    params = LstmDspParams(
        time_steps=p.time_steps, input_size=p.input_size, units=p.units, layout=WEIGHTS_JOINED,
        input_left=tuple(s.left for s in known[:4]), input_right=tuple(s.right for s in known[:4]),
        state_left=tuple(s.left for s in known[4:]), state_right=tuple(s.right for s in known[4:]),
        scales=np.array(scales, np.int32), weights=_packed(known[:4], known[4:]), added_right=added_right,
        cell_tanh_multiplier=cell_tanh[0], cell_tanh_half=cell_tanh[1], cell_clip=p.cell_clip,
        output_right=-p.output_shift, output_zero_point=output[1], knots=_odd_knots(p.sigmoid_table),
    )
    return DspForm("he_lstm_s8_dsp", params, inline=goal != "size")


def _sums(weights: np.ndarray, bias: np.ndarray, zero_point: int, multiplier: int, shift: int) -> _Sums | None:
    """None if something leaves int32, or weights int16. What is multiplied is the sum times 2^(1 + left shift)."""
    low, high = reach(weights, bias.astype(np.int64), zero_point)
    largest = int(max(np.abs(low).max(), np.abs(high).max()))
    left, right = max(shift, 0), max(-shift, 0)
    rounding = 1 << right >> 1
    product = (largest << left) * multiplier >> 31
    doubled = largest << max(left + 1, JOINED_SHIFT)
    if doubled >= 2**31 or product + rounding + 2 >= 2**31 or weights.min() == -128:
        return None
    w = weights.astype(np.int64)
    quads = to_quads(w, run_order(w.shape[1]))
    start = joined_start(bias.astype(np.int64) - zero_point * w.sum(axis=1), quads)
    return _Sums(quads, start, multiplier, rounding, left + 1 - JOINED_SHIFT, right)


def _cell_tanh(p: Any) -> tuple[int, int] | None:
    """(multiplier, half): tanh's argument in units 2^7 times finer, the last 7 bits of which are cut.

    The reference rounds a cell * multiplier / 2^shift half up, which this is if it cuts no more than it gains.
    """
    if p.cell_tanh_shift > 7 or p.cell_tanh_multiplier > 2**15 >> 7:
        return None
    return p.cell_tanh_multiplier << (7 - p.cell_tanh_shift), 64 if p.cell_tanh_shift > 0 else 0


def _output(p: Any) -> tuple[int, int] | None:
    """(rounding, zero_point): what is added before the last shift, and behind it; None if that leaves int32."""
    right = -p.output_shift
    half = 1 << right >> 1
    largest = (LARGEST_PRODUCT * p.output_multiplier >> 31) + half + 2
    if not 1 <= right <= 31 or largest >= 2**31:
        return None
    zero_point = p.output_state_zero_point
    if largest + (abs(zero_point) << right) < 2**31:
        return half + (zero_point << right), 0
    return half, zero_point


def _odd_knots(table: np.ndarray) -> np.ndarray:
    """[513] int16: 32768 less the knot at each x, negative ones included, from those at x >= 0."""
    one_side = 32768 - table.astype(np.int64)
    return np.concatenate([-one_side[-1:], -one_side[:0:-1], one_side, one_side[-1:]]).astype(np.int16)


def _packed(from_input: list[_Sums], from_state: list[_Sums]) -> np.ndarray:
    """[U, words of a unit] in the order of the kernel."""
    parts = []
    for sums in (from_input, from_state):
        parts.append((np.stack([s.bias for s in sums], axis=1) & 0xFFFFFFFF).astype(np.uint32))
        parts.append(_interleaved(np.stack([s.quads for s in sums], axis=1)))
    return np.concatenate(parts, axis=1)


def _interleaved(quads: np.ndarray) -> np.ndarray:
    """Words [U, n] of weights [U, gate, K / 4, 4]: for each four values those of the four gates."""
    pairs = join(quads).astype("<i2")
    flat = np.ascontiguousarray(pairs.transpose(0, 2, 1, 3)).reshape(len(quads), -1)
    return flat.view("<u4").astype(np.uint32)
