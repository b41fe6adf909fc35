"""Random changes of training windows that keep their class."""

from dataclasses import dataclass, replace
from typing import NamedTuple

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

    def using(self, channels: tuple[int, ...] | None) -> "Sensors":
        """The same sensors for a network with these channels; None is all."""
        return replace(self, used=channels)

    def select(self, x: Tensor) -> Tensor:
        """[N, 1, C, T] to what the network gets, [N, 1, len(used), T]."""
        if self.used is None or self.used == tuple(range(x.shape[2])):
            return x
        return x.index_select(2, torch.tensor(self.used).to(x.device))


@dataclass(frozen=True, eq=False)
class Changes:
    """What happens to each of N windows, drawn for many windows at once: a training step should do little more than
    compute its network.

    Attributes
    ----------
    turns : Turns    None: no device is turned
    gains, offsets : [N, 1, S, 1] float    of the channels that the network gets; None: 1 and 0
    sensors : None leaves out the selection
    """

    turns: "Turns | None"
    gains: Tensor | None
    offsets: Tensor | None
    sensors: Sensors | None

    def to(self, device: torch.device) -> "Changes":
        """The same changes, where the windows are."""
        def moved(x: Tensor | None) -> Tensor | None:
            return None if x is None else x.to(device)

        turns = self.turns and Turns(self.turns.matrices.to(device), self.turns.shifts.to(device))
        return Changes(turns, moved(self.gains), moved(self.offsets), self.sensors)

    def apply(self, x: Tensor, first: int = 0) -> Tensor:
        """Turn, select, scale and shift windows x [n, 1, C, T] by what was drawn for n windows from `first` on."""
        part = slice(first, first + len(x))
        if self.turns is not None and self.sensors is not None:
            x = turn(x, self.turns.matrices[part], self.turns.shifts[part], self.sensors)
        if self.sensors is not None:
            x = self.sensors.select(x)
        if self.gains is not None:
            x = x * self.gains[part]
        return x if self.offsets is None else x + self.offsets[part]


class Turns(NamedTuple):
    """Rotations of devices, for normalised values: what they are multiplied by, and what is added then."""

    matrices: Tensor  # [N, vectors, 3, 3]
    shifts: Tensor  # [N, vectors, 3, 1]


def draw_changes(windows: int, channels: int, recipe: Recipe, generator: torch.Generator,
                 sensors: Sensors | None = None) -> Changes:
    """Draw what the recipe says for so many windows.

    Parameters
    ----------
    channels : of the recording
    sensors : None leaves out the rotation and the selection
    """
    turns = None
    if sensors is not None and recipe.rotation and sensors.vectors:
        turns = draw_turns(windows, recipe.rotation, generator, sensors)
    kept = channels if sensors is None or sensors.used is None else len(sensors.used)
    size = (windows, 1, kept, 1)
    gains = 1 + recipe.gain * torch.randn(size, generator=generator) if recipe.gain else None
    offsets = recipe.offset * torch.randn(size, generator=generator) if recipe.offset else None
    return Changes(turns, gains, offsets, sensors)


def augment(x: Tensor, recipe: Recipe, generator: torch.Generator, sensors: Sensors | None = None) -> Tensor:
    """Turn, select, scale and shift windows [N, 1, C, T], normalised, all channels, as the recipe says."""
    return draw_changes(len(x), x.shape[2], recipe, generator, sensors).to(x.device).apply(x)


def draw_turns(windows: int, angle: float, generator: torch.Generator, sensors: Sensors) -> Turns:
    """Turn the device of each window at random: a phone or watch that sits a little differently on the body.

    All vectors of a window turn together. Rotation needs counts, so the normalisation is undone for it.

    Parameters
    ----------
    angle : float    radians, standard deviation of each component of the rotation vector
    """
    rows = [row for vector in sensors.vectors for row in vector]
    mean = torch.from_numpy(np.round(sensors.mean[rows])).float().reshape(1, -1, 3, 1)  # rounded as in normalise()
    std = torch.from_numpy(sensors.std[rows]).float().reshape(1, -1, 3, 1)
    turned = rotation_matrices(angle * torch.randn((windows, 3), generator=generator))[:, None]
    # (R (x std + mean) - mean) / std as one matrix and one shift of each vector of each window
    return Turns(turned * std.transpose(2, 3) / std, (turned @ mean - mean) / std)


def turn(x: Tensor, matrices: Tensor, shifts: Tensor, sensors: Sensors) -> Tensor:
    """Apply rotations to windows x [N, 1, C, T]. Channels that belong to no vector stay as they are."""
    rows = [row for vector in sensors.vectors for row in vector]
    everything = rows == list(range(x.shape[2]))
    where = torch.tensor(rows).to(x.device)
    read = x if everything else x[:, 0].index_select(1, where)
    turned = torch.baddbmm(shifts.reshape(-1, 3, 1), matrices.reshape(-1, 3, 3), read.reshape(-1, 3, x.shape[3]))
    if everything:
        return turned.view(x.shape)
    result = x.clone()
    result[:, 0].index_copy_(1, where, turned.reshape(len(x), len(rows), x.shape[3]))
    return result


def rotation_matrices(vectors: Tensor) -> Tensor:
    """Rotation vectors [N, 3], radians, to matrices [N, 3, 3] by Rodrigues' formula, which is the exponential of the
    cross-product matrix K: I + sin(a) K + (1 - cos(a)) K^2 about the unit vector, a the length."""
    angle = vectors.norm(dim=1).reshape(-1, 1, 1)
    x, y, z = F.normalize(vectors, dim=1).unbind(1)
    zero = torch.zeros_like(x)
    cross = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], dim=1).reshape(-1, 3, 3)
    return torch.eye(3) + torch.sin(angle) * cross + (1 - torch.cos(angle)) * cross @ cross
