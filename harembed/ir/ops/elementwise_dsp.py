"""add, sub and mul for the DSP instructions: scales of he_add_s8_dsp and he_mul_s8_dsp, axes put together."""

from dataclasses import dataclass
from typing import Any

from harembed.ir.ops.base import DspForm, Goal
from harembed.ir.ops.requantize_dsp import ScaleS8, scale_s8

LARGEST_CENTRED = 255  # an int8 less a zero_point


@dataclass(frozen=True)
class AddDspParams:
    """Field names as in he_add_s8_dsp_params."""

    layout: int
    shape: tuple[int, ...]
    stride1: tuple[int, ...]
    stride2: tuple[int, ...]
    input2_sign: int
    input1_start: int
    input1_left: int
    input1_multiplier: int
    input1_right: int
    input2_start: int
    input2_left: int
    input2_multiplier: int
    input2_right: int
    scale: ScaleS8


@dataclass(frozen=True)
class MulDspParams:
    """Field names as in he_mul_s8_dsp_params."""

    layout: int
    shape: tuple[int, ...]
    stride1: tuple[int, ...]
    stride2: tuple[int, ...]
    input1_zero_point: int
    input2_zero_point: int
    scale: ScaleS8


def add_dsp(p: Any, goal: Goal) -> DspForm | None:
    """
    Parameters
    ----------
    p : AddParams
    """
    scale = scale_s8(p.output_multiplier, p.output_shift, 2 * (LARGEST_CENTRED << p.left_shift - 1),
                     p.output_zero_point, p.act_min, p.act_max, doubled=True)
    input1 = _scaled(p.input1_zero_point, p.left_shift, p.input1_multiplier, p.input1_shift)
    input2 = _scaled(p.input2_zero_point, p.left_shift, p.input2_multiplier, p.input2_shift)
    if scale is None or input1 is None or input2 is None:
        return None
    shape, stride1, stride2 = merged_axes(p.shape, p.stride1, p.stride2)
    params = AddDspParams(0, shape, stride1, stride2, p.input2_sign, *input1, *input2, scale)
    return DspForm("he_add_s8_dsp", params, inline=goal != "size", takes_constants=True)


def mul_dsp(p: Any, goal: Goal) -> DspForm | None:
    """
    Parameters
    ----------
    p : MulParams
    """
    scale = scale_s8(p.output_multiplier, p.output_shift, LARGEST_CENTRED**2, p.output_zero_point, p.act_min,
                     p.act_max, doubled=True)
    if scale is None:
        return None
    shape, stride1, stride2 = merged_axes(p.shape, p.stride1, p.stride2)
    params = MulDspParams(0, shape, stride1, stride2, p.input1_zero_point, p.input2_zero_point, scale)
    return DspForm("he_mul_s8_dsp", params, inline=goal != "size", takes_constants=True)


def _scaled(zero_point: int, left: int, multiplier: int, shift: int) -> tuple[int, int, int, int] | None:
    """(start, left shift, multiplier or 0, right shift) of twice an input's scaled value.

    The portable form computes (x - zero_point) * 2^left * multiplier / 2^31, at most half of the shifted input, which
    by 2^30 it is exactly.
    """
    if shift > 0:
        return None
    if (multiplier, shift) == (2**30, 0):
        return -zero_point << left, left, 0, 0
    return -zero_point << (left + 1), left + 1, multiplier, -shift


def merged_axes(shape: tuple[int, ...], *strides: tuple[int, ...]) -> tuple[tuple[int, ...], ...]:
    """The same elements in the same order over as few axes as possible, the last of as many as given.

    Two neighbours become one where each operand steps along the outer by a whole inner axis.
    """
    axes: list[tuple[int, ...]] = []  # (length, stride of each operand), outermost first
    for length, *steps in zip(shape, *strides, strict=True):
        if length == 1:
            continue
        if axes and all(outer == step * length for outer, step in zip(axes[-1][1:], steps, strict=True)):
            axes[-1] = (axes[-1][0] * length, *steps)
        else:
            axes.append((length, *steps))
    axes = [(1, *(0 for _ in strides))] * (len(shape) - len(axes)) + axes
    return tuple(zip(*axes, strict=True))
