"""hard_swish: x * min(max(x + 3, 0), 6) / 6 (TFLite's HARD_SWISH).

inputs: input int8
output: int8 of the input's shape

TFLM computes in 16 bits: the input as Q8.7 of its own steps, the second factor as Q0.15. All of it is done here,
once for each int8 value.
"""

import numpy as np

from harembed.errors import GraphError
from harembed.ir.fixedpoint import quantize_multiplier, rounding_divide_by_pot
from harembed.ir.graph import IntGraph, Node
from harembed.ir.ops.lookup import Lookup, centred_values
from harembed.ir.ops.unary import unary_case

FRACTION_BITS = 7  # given to the input before it is scaled
MAX_RIGHT_SHIFT = 15  # what 16 bits can be shifted by
INT16_MIN, INT16_MAX = -(2**15), 2**15 - 1


def quantize_multiplier_16(real: float) -> tuple[int, int]:
    """As quantize_multiplier, with a multiplier in Q0.15: the upper half, rounded, of the one in Q0.31."""
    multiplier, shift = quantize_multiplier(real)
    return min((multiplier + (1 << 15)) >> 16, INT16_MAX), shift


def _rounding_high_mul(a, b: int):
    """round(a * b / 2^15), ties towards +infinity; b is not INT16_MIN."""
    product = np.asarray(a, np.int64) * b
    product = product + np.where(product >= 0, 1 << 14, 1 - (1 << 14))
    return np.where(product >= 0, product >> 15, -((-product) >> 15))


def _truncating_high_mul(a, b):
    """a * b / 2^15 without its fraction; never both INT16_MIN here."""
    product = np.asarray(a, np.int64) * b
    return np.where(product >= 0, product >> 15, -((-product) >> 15))


def _saturating_left_shift(a, bits: int):
    return np.clip(np.asarray(a, np.int64) << bits, INT16_MIN, INT16_MAX)


def _relu6_factor(fine, real: float):
    """min(max(x + 3, 0), 6) / 6 in Q0.15 for the inputs `fine`; real = 3 steps of Q0.15 per step of `fine`."""
    multiplier, shift = quantize_multiplier_16(real)
    value = _rounding_high_mul(_saturating_left_shift(fine, max(shift - 1, 0)), multiplier)
    if shift > 0:
        value = _saturating_left_shift(value, 1)
    return (rounding_divide_by_pot(value, max(-shift, 0)) + (1 << 15)) >> 1


class HardSwish(Lookup):
    name = "hard_swish"

    def table(self, graph: IntGraph, node: Node) -> np.ndarray:
        x, y = graph[node.inputs[0]], graph[node.outputs[0]]
        fine = centred_values(x.zero_point) << FRACTION_BITS
        # TFLM divides in float32; the step of `fine` and the limit 3 are exact there.
        fine_scale = np.float32(x.scale) / np.float32(1 << FRACTION_BITS)
        multiplier, shift = quantize_multiplier_16(float(fine_scale / np.float32(y.scale)))
        real = float(fine_scale / np.float32(3 / 2**15))
        if not -MAX_RIGHT_SHIFT <= shift <= 0 or quantize_multiplier(real)[1] < -MAX_RIGHT_SHIFT:
            raise GraphError(f"Node {node.name!r}: hard_swish from scale {x.scale} to {y.scale} leaves 16 bits.",
                             "The input scale must lie between 2^-7 and 2^7 times the output's, and above 2^-21.")
        product = _truncating_high_mul(_relu6_factor(fine, real), _rounding_high_mul(fine, multiplier))
        return np.clip(rounding_divide_by_pot(product, -shift) + y.zero_point, -128, 127).astype(np.int8)


HardSwish.CASES = (
    unary_case(HardSwish(), "typical", (1, 3, 5, 7), None, (0.05, 0.03), (4, -110)),
    unary_case(HardSwish(), "all_values", (1, 300), None, (0.08, 0.05), (-11, -120)),
    unary_case(HardSwish(), "within_three", (1, 300), None, (0.01, 0.008), (0, -50)),
    unary_case(HardSwish(), "wide", (1, 300), None, (0.9, 0.9), (5, -7)),
    unary_case(HardSwish(), "very_wide", (1, 300), None, (90.0, 50.0), (-5, 7)),
    unary_case(HardSwish(), "tiny", (1, 300), None, (1e-4, 4e-5), (-5, 7)),
    unary_case(HardSwish(), "power_of_two", (1, 300), None, (0.125, 0.0625), (0, 0)),
    unary_case(HardSwish(), "saturating", (1, 300), None, (0.1, 0.001), (0, -128)),
    unary_case(HardSwish(), "zero_point_bottom", (1, 300), None, (0.0235, 0.0235), (-128, -128)),
    unary_case(HardSwish(), "zero_point_top", (1, 300), None, (0.05, 0.02), (127, 127)),
    unary_case(HardSwish(), "length_one", (1, 1), None, (0.05, 0.03), (4, -110)),
)
