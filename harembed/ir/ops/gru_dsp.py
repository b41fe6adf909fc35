"""gru for the DSP instructions: the params of he_gru_s8_dsp, which are those of the kernels of one time step."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from harembed.ir.ops.base import DspForm, Goal
from harembed.ir.ops.dense_dsp import FullyConnectedDspParams, dense_scratch_bytes
from harembed.ir.ops.dot_dsp import WEIGHTS_8, WEIGHTS_16
from harembed.ir.ops.elementwise_dsp import AddDspParams, MulDspParams


@dataclass(frozen=True, eq=False)
class GruDspParams:
    """Field names as in he_gru_s8_dsp_params."""

    time_steps: int
    input_size: int
    units: int
    layout: int
    zero_point: int
    row_bytes: int
    input: FullyConnectedDspParams
    recurrent: FullyConnectedDspParams
    gate_sum: AddDspParams
    reset_product: MulDspParams
    new_sum: AddDspParams
    difference: AddDspParams
    update_product: MulDspParams
    output_sum: AddDspParams
    logistic: np.ndarray  # [256] int8
    tanh: np.ndarray  # [256] int8


def gru_scratch_bytes(input_size: int, units: int) -> int:
    """A row in pairs of int16, the sums of input and state, and the first state."""
    return dense_scratch_bytes(1, max(input_size, units)) + 7 * units


def gru_dsp(p: Any, forms: Mapping[str, DspForm | None], goal: Goal) -> DspForm | None:
    """
    Parameters
    ----------
    p : GruParams
    forms : of the operators of a time step that have one, by role; None if one is left to the portable kernel
    """
    params = {role: form.params for role, form in forms.items() if form is not None}
    if len(params) < len(forms):
        return None
    small = {params["input"].layout, params["recurrent"].layout} == {WEIGHTS_8}
    result = GruDspParams(
        time_steps=p.time_steps, input_size=p.input_size, units=p.units, layout=WEIGHTS_8 if small else WEIGHTS_16,
        zero_point=p.zero_point, row_bytes=dense_scratch_bytes(1, max(p.input_size, p.units)), logistic=p.logistic,
        tanh=p.tanh, **params)
    return DspForm("he_gru_s8_dsp", result, inline=goal != "size")
