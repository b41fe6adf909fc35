"""What a call of CMSIS-NN has to do, counted: the terms of the latency model of that backend.

A counter for each of its functions, by name, says which loops run how often on a core with DSP instructions. Nodes
that have no call run on our portable kernels, which work.py counts.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from harembed.cost.block_copies import added, copy_terms, set_terms
from harembed.cost.work import Work
from harembed.cost.work_cmsis_nn_conv import (
    Counted,
    convolve_work,
    dense_rows_work,
    dense_work,
    depthwise_work,
    vector_matrix,
)
from harembed.errors import GraphError

Values = Mapping[str, Any]
Counter = Callable[[Any, Values], Counted]


def cmsis_nn_work(function: str, params: Any, values: Values) -> Work:
    """The work of one call.

    Parameters
    ----------
    function : of CMSIS-NN
    params : of the portable kernel, which are the same numbers
    values : further numbers of the call, as CmsisNnForm has them

    Raises
    ------
    GraphError    nobody has said what this function's work is
    """
    if function not in COUNTERS:
        raise GraphError(f"The latency model of CMSIS-NN has no {function}.",
                         "Add a counter in harembed/cost/work_cmsis_nn.py and fit again.")
    kind, terms = COUNTERS[function](params, values)
    return Work(kind, {name: float(count) for name, count in terms.items()})


def _windows(p: Any) -> tuple[int, int, int]:
    """(positions, rows of windows inside the input, their taps) of a pooling."""
    def inside(outputs: int, stride: int, pad: int, window: int, length: int) -> int:
        start = np.arange(outputs) * stride - pad
        return int((np.clip(start + window, 0, length) - np.clip(start, 0, length)).sum())

    rows = inside(p.output_h, p.stride_h, p.pad_top, p.filter_h, p.input_h)
    columns = inside(p.output_w, p.stride_w, p.pad_left, p.filter_w, p.input_w)
    return p.output_h * p.output_w, rows * p.output_w, rows * columns


def _average_pool(p: Any, values: Values) -> Counted:
    """Sums as int32 in memory, the first tap stored, the others added."""
    positions, rows, taps = _windows(p)
    return "arm_avgpool_s8", {
        "calls": 1, "rows": p.output_h, "positions": positions, "window rows": rows, "taps": taps,
        "outputs": positions * p.channels, "elements added": (taps - positions) * p.channels}


def _max_pool(p: Any, values: Values) -> Counted:
    """The first tap copied, the others compared four channels at a time; the whole output clamped at the end."""
    positions, rows, taps = _windows(p)
    fours, ones = divmod(p.channels, 4)
    oy, ox = np.divmod(np.arange(positions), p.output_w)
    first = (np.maximum(oy * p.stride_h - p.pad_top, 0) * p.input_w
             + np.maximum(ox * p.stride_w - p.pad_left, 0)) * p.channels
    outputs = positions * p.channels
    return "arm_max_pool_s8", {
        "calls": 1, "rows": p.output_h, "positions": positions, "window rows": rows, "taps": taps - positions,
        "fours": (taps - positions) * fours, "ones": (taps - positions) * ones, "clamped fours": outputs // 4,
        "clamped ones": outputs % 4, **copy_terms(p.channels, first, np.arange(positions) * p.channels)}


def _softmax(p: Any, values: Values) -> Counted:
    return "arm_softmax_s8", {"calls": 1, "rows": p.rows, "elements": p.rows * p.depth}


def _elementwise(kind: str) -> Counter:
    def count(p: Any, values: Values) -> Counted:
        fours, ones = divmod(values["elements"], 4)
        return kind, {"calls": 1, "fours": fours, "ones": ones}

    return count


def _transpose(p: Any, values: Values) -> Counted:
    return "arm_transpose_s8", {"calls": 1, **_turned(values)}


def _turned(t: Values) -> dict[str, float]:
    n, h, w, c = t["input_dims"]
    return {"planes": n * h, "turned rows": n * h * w, "turned": n * h * w * c}


def _pad(p: Any, values: Values) -> Counted:
    """Blocks in the order in which they are written: planes before, rows above, pixels left, channels, ..."""
    (n, h, w, c), (front, above, left, first), (back, below, right, last) = p.input_dims, p.before, p.after
    pixel = first + c + last
    row = (left + w + right) * pixel
    plane = (above + h + below) * row
    top = (front + np.arange(n)) * plane
    start = ((top + above * row)[:, np.newaxis] + np.arange(h) * row).ravel()
    blocks = [set_terms(front * plane, 0), set_terms(above * row, top), set_terms(left * pixel, start),
              set_terms(right * pixel, start + (left + w) * pixel),
              set_terms(below * row, top + (above + h) * row), set_terms(back * plane, (front + n) * plane)]
    if first or last:
        at = (start[:, np.newaxis] + (left + np.arange(w)) * pixel).ravel()
        blocks += [set_terms(first, at), copy_terms(c, np.arange(n * h * w) * c, at + first),
                   set_terms(last, at + first + c)]
    else:
        blocks.append(copy_terms(w * c, np.arange(n * h) * w * c, start + left * pixel))
    return "arm_pad_s8", {"calls": 1, "rows": n * h, **added(*blocks)}


def _concatenation(p: Any, values: Values) -> Counted:
    row = np.arange(p.outer)
    copies = [copy_terms(width, row * width, row * values["width"] + offset) for width, offset in values["pieces"]]
    return "arm_concatenation_s8_x", {"calls": 1, "pieces": len(copies), **added(*copies)}


def _batch_matmul(p: Any, values: Values) -> Counted:
    """Every row of the left operand times the right one."""
    turned = added({"operands turned": len(values["turned"])}, *(_turned(t) for t in values["turned"].values()))
    return "arm_batch_matmul_s8", {"calls": 1, "matrices": values["batch"], **turned,
                                   **vector_matrix(values["batch"] * p.rows, p.depth, p.columns)}


def _lstm(p: Any, values: Values) -> Counted:
    """Four gates, each of the input and of the state; then element by element on int16."""
    lengths = (p.input_size, p.units)
    fours, ones = (sum(f(n) for n in lengths) for f in (lambda n: n // 4, lambda n: n % 4))
    twos, odd = divmod(p.units, 2)
    gates = 4 * p.time_steps
    return "arm_lstm_unidirectional_s8", {
        "calls": 1, "steps": p.time_steps, "unit steps": p.time_steps * p.units, "odd units": p.time_steps * odd,
        "fours": gates * twos * fours, "ones": gates * twos * ones, "fours of odd units": gates * odd * fours,
        "ones of odd units": gates * odd * ones}


COUNTERS: dict[str, Counter] = {
    "arm_convolve_wrapper_s8": lambda p, values: convolve_work(p),
    "arm_convolve_1x1_s8_fast": lambda p, values: dense_rows_work(p),
    "arm_depthwise_conv_wrapper_s8": lambda p, values: depthwise_work(p),
    "arm_fully_connected_s8": lambda p, values: dense_work(p),
    "arm_fully_connected_per_channel_s8": lambda p, values: dense_work(p),
    "arm_avgpool_s8": _average_pool,
    "arm_max_pool_s8": _max_pool,
    "arm_softmax_s8": _softmax,
    "arm_elementwise_add_s8": _elementwise("arm_elementwise_add_s8"),
    "arm_elementwise_mul_s8": _elementwise("arm_elementwise_mul_s8"),
    "arm_transpose_s8": _transpose,
    "arm_pad_s8": _pad,
    "arm_concatenation_s8_x": _concatenation,
    "arm_batch_matmul_s8": _batch_matmul,
    "arm_lstm_unidirectional_s8": _lstm,
}
