"""batch_matmul for the DSP instructions: the roles of both operands in he_batch_matmul_s8_dsp."""

from dataclasses import dataclass
from typing import Any

from harembed.ir.ops.base import DspForm, Goal
from harembed.ir.ops.dot_dsp import TILE_POSITIONS
from harembed.ir.ops.requantize_dsp import ScaleS8, scale_s8

LARGEST_TERM = 255**2  # of two int8 less their zero_points


@dataclass(frozen=True)
class Vectors:
    """Field names as in he_matmul_vectors."""

    batch_stride: tuple[int, ...]
    count: int
    stride: int
    depth_stride: int
    zero_point: int
    output_stride: int


@dataclass(frozen=True)
class BatchMatMulDspParams:
    """Field names as in he_batch_matmul_s8_dsp_params."""

    layout: int
    batch: tuple[int, ...]
    depth: int
    lhs_gives_positions: int
    positions: Vectors
    channels: Vectors
    scale: ScaleS8


def matmul_scratch_bytes(rows: Any, columns: Any, depth: Any) -> Any:
    """Four positions and two channels in pairs of int16, in whole fours; 0 if the portable kernel serves.

    Sizes may be tensors, as in conv_scratch_bytes.
    """
    return 12 * (depth + -int(depth) % 4) if max(rows, columns) >= TILE_POSITIONS else 0


def matmul_dsp(p: Any, goal: Goal) -> DspForm | None:
    """
    Parameters
    ----------
    p : BatchMatMulParams
    """
    scale = scale_s8(p.multiplier, p.shift, LARGEST_TERM * p.depth, p.output_zero_point)
    if scale is None or max(p.rows, p.columns) < TILE_POSITIONS:
        return None
    lhs = Vectors(p.lhs_stride, p.rows, p.lhs_row_stride, p.lhs_depth_stride, p.lhs_zero_point, p.columns)
    rhs = Vectors(p.rhs_stride, p.columns, p.rhs_column_stride, p.rhs_depth_stride, p.rhs_zero_point, 1)
    by_rows = _as_positions(lhs) >= _as_positions(rhs)
    params = BatchMatMulDspParams(0, p.batch, p.depth, int(by_rows), lhs if by_rows else rhs, rhs if by_rows else lhs,
                                  scale)
    return DspForm("he_batch_matmul_s8_dsp", params, inline=goal != "size", takes_constants=True)


def _as_positions(v: Vectors) -> tuple[bool, bool, bool]:
    """How good an operand is for positions: enough of them, terms that are dear to gather one by one, whole tiles."""
    return v.count >= TILE_POSITIONS, v.depth_stride != 1, v.count % TILE_POSITIONS == 0
