"""fully_connected for the DSP instructions: packed weights of he_fully_connected_s8_dsp."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from harembed.ir.ops.base import DspForm, Goal
from harembed.ir.ops.conv_dsp import conv_scratch_bytes
from harembed.ir.ops.dot_dsp import (
    TILE_POSITIONS,
    WEIGHTS_8,
    WEIGHTS_16,
    WEIGHTS_JOINED,
    DotS8,
    dot_row,
    run_order,
)
from harembed.ir.ops.requantize_dsp import joined_channels, requantize_channels

JOINED_CHANNELS = 16  # from here on it pays to join the row


@dataclass(frozen=True, eq=False)
class FullyConnectedDspParams:
    """Field names as in he_fully_connected_s8_dsp_params."""

    rows: int
    input_c: int
    layout: int
    dot: DotS8


def dense_scratch_bytes(rows: Any, input_c: Any) -> Any:
    """One row in pairs of int16, an even number of them; from four rows on, what a 1x1 convolution takes.

    Sizes may be tensors, as in conv_scratch_bytes.
    """
    return conv_scratch_bytes(1, input_c) if rows >= TILE_POSITIONS else 2 * input_c + 2 * (-int(input_c) % 4)


def dense_dsp(p: Any, weights: np.ndarray, bias: np.ndarray | None, goal: Goal) -> DspForm:
    """
    Parameters
    ----------
    p : FullyConnectedParams
    weights : [O, I] int8
    bias : [O] int32
    """
    scales = (weights, bias, p.input_zero_point, p.multiplier, p.shift, p.output_zero_point, p.act_min, p.act_max)
    # Int16 weights would take fewer instructions, but more cycles: each weight is read once or a few times, so that
    # most lines of flash with weights are misses of the cache.
    channels = joined_channels(*scales) if goal != "size" and p.output_c >= JOINED_CHANNELS else None
    layout = WEIGHTS_JOINED
    if channels is None:
        layout = WEIGHTS_16 if goal == "speed" else WEIGHTS_8
        channels = requantize_channels(*scales, shift_weights=layout == WEIGHTS_16)
    dot = dot_row(channels, run_order(p.input_c), layout)
    params = FullyConnectedDspParams(p.rows, p.input_c, layout, dot)
    return DspForm("he_fully_connected_s8_dsp", params, inline=goal != "size")
