"""Where on the body devices are worn: for drawings, and to match the sensors of two datasets."""

import math
from collections.abc import Sequence

from harembed.data.recording import Channel
from harembed.errors import DataError

# Where places are on a person who faces the reader: right is on the left of the picture. Heights run from the feet
# (0) to the crown (8). A place whose side the data do not name (a wrist, a pocket) is drawn on the person's right.
SPOTS: dict[str, tuple[float, float]] = {
    "torso": (0.0, 5.5), "chest": (0.0, 5.7), "trunk": (0.0, 5.0), "waist": (0.0, 4.25),
    "right arm": (-1.17, 4.95), "left arm": (1.17, 4.95), "wrist": (-1.38, 4.0), "hand": (-1.43, 3.72),
    "right leg": (-0.47, 2.15), "left leg": (0.47, 2.15), "thigh": (-0.42, 3.0), "pocket": (-0.5, 3.55),
    "ankle": (-0.5, 0.6),
    # As OPPORTUNITY abbreviates them.
    "BACK": (0.0, 5.9), "IMU BACK": (0.0, 5.4), "HIP": (0.35, 4.2), "RUA^": (-0.92, 5.9), "LUA^": (0.92, 5.9),
    "IMU RUA": (-1.0, 5.6), "IMU LUA": (1.0, 5.6), "RUA_": (-1.08, 5.3), "LUA_": (1.08, 5.3),
    "IMU RLA": (-1.25, 4.6), "IMU LLA": (1.25, 4.6), "RWR": (-1.38, 4.0), "LWR": (1.38, 4.0), "RH": (-1.43, 3.7),
    "LH": (1.43, 3.7), "RKN^": (-0.45, 2.5), "RKN_": (-0.48, 1.8), "R-SHOE": (-0.58, 0.3), "L-SHOE": (0.58, 0.3)}

# What stands for a kind of channel that the other dataset lacks: the gravity of a resting phone is most of its
# acceleration, and that of a moving one is in it.
_INSTEAD = {"body_acc": ("acc",), "gravity": ("acc",), "acc": ("gravity",)}


def matched(wanted: Sequence[Channel], there: Sequence[Channel]) -> tuple[int, ...]:
    """For each wanted channel the index of the one that comes nearest: of its kind and axis, at the nearest place.

    Raises
    ------
    DataError    names a channel that has no counterpart
    """
    return tuple(_nearest(channel, there) for channel in wanted)


def _nearest(wanted: Channel, there: Sequence[Channel]) -> int:
    for kind in (wanted.kind, *_INSTEAD.get(wanted.kind, ())):
        alike = [i for i, c in enumerate(there) if c.kind == kind and c.name[-1].lower() == wanted.name[-1].lower()]
        if alike:
            return min(alike, key=lambda i: _distance(wanted.place, there[i].place))
    kinds = ", ".join(sorted({c.kind for c in there}))
    raise DataError(f"Nothing matches channel {wanted.name} ({wanted.kind}); the other recordings have {kinds}.",
                    "Take a network that reads other channels, or other recordings.")


def _distance(one: str, other: str) -> float:
    """In the units of SPOTS; places that are not known are far from all but themselves."""
    if one == other:
        return 0.0
    return math.dist(SPOTS[one], SPOTS[other]) if one in SPOTS and other in SPOTS else 10.0
