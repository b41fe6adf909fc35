"""softmax for cores with DSP instructions: the table of he_softmax_s8_dsp."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from harembed.ir.fixedpoint import exp_on_negative_values, multiply_by_quantized_multiplier
from harembed.ir.ops.base import DspForm, Goal

DIFF_INTEGER_BITS = 5  # differences to the maximum are Q5.26
# A table of 1 KiB is worth it from this number of elements on; for fewer the portable kernel computes exponentials.
FEWEST_ELEMENTS = {"speed": 16, "balanced": 64, "size": 256}


@dataclass(frozen=True, eq=False)
class SoftmaxDspParams:
    """Field names as in he_softmax_s8_dsp_params."""

    layout: int
    rows: int
    depth: int
    exponentials: np.ndarray  # [256] int32


def exponentials(p: Any, diff: np.ndarray) -> np.ndarray:
    """exp of differences to the maximum in Q0.31, int64; 0 where they do not count.

    Parameters
    ----------
    p : SoftmaxParams
    """
    counts = diff >= p.diff_min
    scaled = multiply_by_quantized_multiplier(np.where(counts, diff, 0), p.multiplier, p.shift)
    return np.where(counts, exp_on_negative_values(scaled, DIFF_INTEGER_BITS), 0)


def softmax_dsp(p: Any, goal: Goal) -> DspForm | None:
    """
    Parameters
    ----------
    p : SoftmaxParams
    """
    if goal == "size" or p.rows * p.depth < FEWEST_ELEMENTS[goal]:
        return None
    table = exponentials(p, -np.arange(256, dtype=np.int64)).astype(np.int32)
    return DspForm("he_softmax_s8_dsp", SoftmaxDspParams(0, p.rows, p.depth, table), inline=True)
