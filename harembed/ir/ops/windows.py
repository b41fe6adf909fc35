"""How a window slides over the height and width of an activation: shared by pooling and depthwise convolution."""

from collections.abc import Iterator
from typing import Protocol

import numpy as np


class Sliding(Protocol):
    """The integers that describe sliding; params dataclasses have them under these names."""

    @property
    def input_h(self) -> int: ...

    @property
    def input_w(self) -> int: ...

    @property
    def filter_h(self) -> int: ...

    @property
    def filter_w(self) -> int: ...

    @property
    def output_h(self) -> int: ...

    @property
    def output_w(self) -> int: ...

    @property
    def stride_h(self) -> int: ...

    @property
    def stride_w(self) -> int: ...

    @property
    def pad_top(self) -> int: ...

    @property
    def pad_left(self) -> int: ...


def taps(x: np.ndarray, p: Sliding, fill: int, dilation: tuple[int, int] = (1, 1)
         ) -> Iterator[tuple[int, int, np.ndarray]]:
    """Yield (row, column, values) for each tap of the window.

    Parameters
    ----------
    x : [N, H, W, C]
    fill : what a tap outside the input reads

    Returns
    -------
    iterator of (i, j, [N, output_h, output_w, C])    what tap (i, j) reads at every output position
    """
    last_h = (p.output_h - 1) * p.stride_h
    last_w = (p.output_w - 1) * p.stride_w
    bottom = max(last_h + (p.filter_h - 1) * dilation[0] + 1 - p.input_h - p.pad_top, 0)
    right = max(last_w + (p.filter_w - 1) * dilation[1] + 1 - p.input_w - p.pad_left, 0)
    padded = np.pad(x, ((0, 0), (p.pad_top, bottom), (p.pad_left, right), (0, 0)), constant_values=fill)
    for i in range(p.filter_h):
        for j in range(p.filter_w):
            top, left = i * dilation[0], j * dilation[1]
            yield i, j, padded[:, top : top + last_h + 1 : p.stride_h, left : left + last_w + 1 : p.stride_w]
