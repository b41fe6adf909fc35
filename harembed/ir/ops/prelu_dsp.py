"""prelu for the DSP instructions: both scales of he_prelu_s8_dsp, axes put together."""

from dataclasses import dataclass
from typing import Any

from harembed.ir.ops.base import DspForm, Goal
from harembed.ir.ops.elementwise_dsp import LARGEST_CENTRED, merged_axes
from harembed.ir.ops.requantize_dsp import ScaleS8, scale_s8


@dataclass(frozen=True)
class PreluDspParams:
    """Field names as in he_prelu_s8_dsp_params."""

    layout: int
    shape: tuple[int, ...]
    alpha_stride: tuple[int, ...]
    input_zero_point: int
    alpha_zero_point: int
    positive: ScaleS8
    negative: ScaleS8


def prelu_dsp(p: Any, goal: Goal) -> DspForm | None:
    """
    Parameters
    ----------
    p : PreluParams
    """
    positive = scale_s8(p.positive_multiplier, p.positive_shift, LARGEST_CENTRED, p.output_zero_point)
    negative = scale_s8(p.negative_multiplier, p.negative_shift, LARGEST_CENTRED**2, p.output_zero_point)
    if positive is None or negative is None:
        return None
    shape, alpha_stride = merged_axes(p.shape, p.alpha_stride)
    params = PreluDspParams(0, shape, alpha_stride, p.input_zero_point, p.alpha_zero_point, positive, negative)
    return DspForm("he_prelu_s8_dsp", params, inline=goal != "size", takes_constants=True)
