"""Random changes of training windows that keep their class."""

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from harembed.train.recipe import Recipe


@dataclass(frozen=True, eq=False)
class Sensors:
    """What the rows of normalised windows are, so that they can be changed as a body or a strap would.

    Attributes
    ----------
    mean, std : [C] float    counts, of the normalisation
    vectors : which rows are the x, y, z of one vector; all belong to one rigid device
    used : the rows that the network gets, in its order; None is all
    """

    mean: np.ndarray
    std: np.ndarray
    vectors: tuple[tuple[int, int, int], ...] = ()
    used: tuple[int, ...] | None = None

    def using(self, channels: tuple[int, ...]) -> "Sensors":
        """The same sensors for a network with these channels."""
        return replace(self, used=channels)

    def select(self, x: Tensor) -> Tensor:
        """[N, 1, C, T] to what the network gets, [N, 1, len(used), T]."""
        return x if self.used is None else x[:, :, list(self.used)]


def augment(x: Tensor, recipe: Recipe, generator: torch.Generator, sensors: Sensors | None = None) -> Tensor:
    """Turn, select, scale and shift windows as the recipe says.

    Parameters
    ----------
    x : [N, 1, C, T] float, normalised, all channels
    sensors : None leaves out the rotation and the selection
    """
    if sensors is not None:
        if recipe.rotation and sensors.vectors:
            x = rotate(x, recipe.rotation, generator, sensors)
        x = sensors.select(x)
    return gain_and_offset(x, recipe.gain, recipe.offset, generator)


def rotate(x: Tensor, angle: float, generator: torch.Generator, sensors: Sensors) -> Tensor:
    """Turn the device of each window at random: a phone or watch that sits a little differently on the body.

    All vectors of a window turn together. Channels that belong to no vector stay as they are. Rotation needs
    counts, so the normalisation is undone for it.

    Parameters
    ----------
    x : [N, 1, C, T] float, normalised
    angle : float    radians, standard deviation of each component of the rotation vector
    """
    rows = [row for vector in sensors.vectors for row in vector]
    mean = torch.from_numpy(np.round(sensors.mean[rows])).float().reshape(1, -1, 3, 1)  # rounded as in normalise()
    std = torch.from_numpy(sensors.std[rows]).float().reshape(1, -1, 3, 1)
    turn = rotation_matrices(angle * torch.randn((len(x), 3), generator=generator))[:, None]
    # (R (x std + mean) - mean) / std as one matrix and one shift of each vector of each window
    matrices = (turn * std.transpose(2, 3) / std).reshape(-1, 3, 3)
    shifts = ((turn @ mean - mean) / std).reshape(-1, 3, 1)
    turned = torch.baddbmm(shifts, matrices, x[:, 0, rows].reshape(-1, 3, x.shape[3]))
    result = x.clone()
    result[:, 0, rows] = turned.reshape(len(x), len(rows), x.shape[3])
    return result


def rotation_matrices(vectors: Tensor) -> Tensor:
    """Rotation vectors [N, 3], radians, to matrices [N, 3, 3] by Rodrigues' formula, which is the exponential of the
    cross-product matrix K: I + sin(a) K + (1 - cos(a)) K^2 about the unit vector, a the length."""
    angle = vectors.norm(dim=1).reshape(-1, 1, 1)
    x, y, z = F.normalize(vectors, dim=1).unbind(1)
    zero = torch.zeros_like(x)
    cross = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], dim=1).reshape(-1, 3, 3)
    return torch.eye(3) + torch.sin(angle) * cross + (1 - torch.cos(angle)) * cross @ cross


def gain_and_offset(x: Tensor, gain: float, offset: float, generator: torch.Generator) -> Tensor:
    """Scale and shift each channel of each window at random: a sensor calibrated a little differently.

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
