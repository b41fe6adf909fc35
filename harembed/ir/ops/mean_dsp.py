"""mean for the DSP instructions: the scale of he_mean_s8_dsp."""

from dataclasses import dataclass
from typing import Any

from harembed.ir.ops.base import DspForm, Goal
from harembed.ir.ops.requantize_dsp import ScaleS8, scale_s8

FOUR = 4  # elements at a time


@dataclass(frozen=True)
class MeanDspParams:
    """Field names as in he_mean_s8_dsp_params."""

    layout: int
    outer: int
    reduced: int
    inner: int
    start: int
    scale: ScaleS8


def mean_dsp(p: Any, goal: Goal) -> DspForm | None:
    """
    Parameters
    ----------
    p : MeanParams
    """
    scale = scale_s8(p.multiplier, p.shift, 255 * p.reduced, p.output_zero_point)
    if scale is None or 1 < p.inner < FOUR:
        return None
    params = MeanDspParams(0, p.outer, p.reduced, p.inner, -p.reduced * p.input_zero_point, scale)
    return DspForm("he_mean_s8_dsp", params, inline=goal != "size")
