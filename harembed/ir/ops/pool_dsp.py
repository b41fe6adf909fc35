"""average_pool_2d and max_pool_2d for the DSP instructions."""

from dataclasses import dataclass, fields
from typing import Any

from harembed.ir.ops.base import DspForm, Goal

FOUR = 4  # channels at a time
LARGEST_WINDOW = 255  # 128 times that is a sum that int16 holds


@dataclass(frozen=True)
class Pool2DDspParams:
    """Field names as in he_average_pool_2d_s8_dsp_params and he_max_pool_2d_s8_dsp_params."""

    layout: int
    clipped: int
    input_h: int
    input_w: int
    channels: int
    filter_h: int
    filter_w: int
    output_h: int
    output_w: int
    stride_h: int
    stride_w: int
    pad_top: int
    pad_left: int
    act_min: int
    act_max: int


def pool_dsp(name: str, p: Any, goal: Goal) -> DspForm | None:
    """
    Parameters
    ----------
    name : "average_pool_2d" or "max_pool_2d"
    p : Pool2DParams
    """
    if p.channels < FOUR or (name == "average_pool_2d" and p.filter_h * p.filter_w > LARGEST_WINDOW):
        return None
    bottom = (p.output_h - 1) * p.stride_h - p.pad_top + p.filter_h
    right = (p.output_w - 1) * p.stride_w - p.pad_left + p.filter_w
    clipped = p.pad_top > 0 or p.pad_left > 0 or bottom > p.input_h or right > p.input_w
    params = Pool2DDspParams(0, int(clipped), **{f.name: getattr(p, f.name) for f in fields(p)})
    return DspForm(f"he_{name}_s8_dsp", params, inline=goal != "size")
