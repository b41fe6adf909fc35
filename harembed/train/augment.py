"""Random changes of training windows that keep their class."""

import torch
from torch import Tensor


def gain_and_offset(x: Tensor, gain: float, offset: float, generator: torch.Generator) -> Tensor:
    """Scale and shift each channel of each window at random: a sensor worn or calibrated a little differently.

    Parameters
    ----------
    x : [N, 1, S, T] float, normalised
    gain, offset : float    standard deviations around 1 and 0

    Returns
    -------
    Tensor    of x's shape; x itself if both are 0
    """
    size = (*x.shape[:3], 1)
    if gain:
        x = x * (1 + gain * torch.randn(size, generator=generator))
    if offset:
        x = x + offset * torch.randn(size, generator=generator)
    return x
