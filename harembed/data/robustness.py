"""Windows as a device would deliver them that sits otherwise: its frame turned, or bodies' places swapped.

Test windows changed so show how much a network depends on where and how its sensors are worn. They are int16
counts as all windows are, so a changed window takes the same path to the device.
"""

from collections.abc import Sequence

import numpy as np

from harembed.data.recording import Channel, Windows, vectors
from harembed.errors import DataError


def rotate_frames(windows: Windows, channels: Sequence[Channel], seed: int,
                  angle_deg: float | None = None) -> Windows:
    """Turn the frame of every device by a random rotation, another one for each window and place.

    All vectors of a place (acceleration, rotation, field) turn together, as one rigid device does; channels
    that belong to no vector stay as they are. Counts are rounded half to even and saturate at int16.

    Parameters
    ----------
    angle_deg : float    about an axis drawn evenly from the sphere; None: any orientation is equally likely

    Raises
    ------
    DataError    there are no vectors among the channels
    """
    triads = vectors(channels)
    if not triads:
        raise DataError("No three channels are x, y and z of one vector: there is no frame to rotate.")
    rng = np.random.default_rng(seed)
    turned = windows.raw.copy()
    for place in dict.fromkeys(channels[x].place for x, _, _ in triads):
        matrices = random_rotations(len(windows), rng, angle_deg)
        for triad in (t for t in triads if channels[t[0]].place == place):
            exact = np.einsum("nij,ntj->nti", matrices, windows.raw[:, :, triad].astype(np.float64))
            turned[:, :, triad] = np.clip(np.rint(exact), -32768, 32767).astype(np.int16)
    return Windows(turned, windows.y, windows.subject, windows.recording)


def random_rotations(n: int, rng: np.random.Generator, angle_deg: float | None = None) -> np.ndarray:
    """Rotation matrices [n, 3, 3].

    Without an angle they are uniform over all rotations: normalised Gaussian quaternions (Shoemake 1992). With
    one, a quaternion (cos(angle / 2), sin(angle / 2) axis).
    """
    q = rng.standard_normal((n, 4))
    if angle_deg is not None:
        half = np.deg2rad(angle_deg) / 2
        q[:, 1:] *= np.sin(half) / np.linalg.norm(q[:, 1:], axis=1, keepdims=True)
        q[:, 0] = np.cos(half)
    w, x, y, z = (q / np.linalg.norm(q, axis=1, keepdims=True)).T
    return np.stack([
        np.stack([1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)], axis=1),
        np.stack([2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)], axis=1),
        np.stack([2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)], axis=1)], axis=1)


def permute_places(windows: Windows, channels: Sequence[Channel], seed: int) -> Windows:
    """Swap the devices of equal kind among their places on the body at random, otherwise for each window.

    Places whose devices have the same channels (kind, unit and lsb, in order) may be swapped; at least two of
    them change in every window.

    Raises
    ------
    DataError    there are no two such places
    """
    if not can_swap(channels):
        raise DataError("No two places of the body carry devices with the same channels: none can be swapped.")
    rng = np.random.default_rng(seed)
    source = np.tile(np.arange(len(channels)), (len(windows), 1))  # [N, C]: where each channel comes from
    for group in (g for g in _alike(channels) if len(g) > 1):
        places = np.array(group)  # [P, channels of a place]
        for n in range(len(windows)):
            source[n, places] = places[_no_identity(len(places), rng)]
    swapped = np.take_along_axis(windows.raw, source[:, None, :], axis=2)
    return Windows(swapped, windows.y, windows.subject, windows.recording)


def can_swap(channels: Sequence[Channel]) -> bool:
    """Whether two places of the body carry devices with the same channels."""
    return any(len(group) > 1 for group in _alike(channels))


def _alike(channels: Sequence[Channel]) -> list[list[list[int]]]:
    """Channel indices of each place, grouped by the layout of the place."""
    of_place: dict[str, list[int]] = {}
    for i, channel in enumerate(channels):
        of_place.setdefault(channel.place, []).append(i)
    groups: dict[tuple[tuple[str, str, float], ...], list[list[int]]] = {}
    for indices in of_place.values():
        layout = tuple((channels[i].kind, channels[i].unit, channels[i].lsb) for i in indices)
        groups.setdefault(layout, []).append(indices)
    return list(groups.values())


def _no_identity(n: int, rng: np.random.Generator) -> np.ndarray:
    """A random permutation of n > 1 that is not the identity."""
    while True:
        order = rng.permutation(n)
        if (order != np.arange(n)).any():
            return order
