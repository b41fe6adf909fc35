"""Rotated frames and swapped places: what changes, and what must not."""

import numpy as np
import pytest

from harembed.data.dsads import CHANNELS as BODY
from harembed.data.motionsense import CHANNELS as PHONE
from harembed.data.opportunity import CHANNELS as KITCHEN
from harembed.data.recording import Channel, Windows
from harembed.data.robustness import permute_places, random_rotations, rotate_frames
from harembed.errors import DataError
from harembed.wear import worn_otherwise


def _windows(channels: int, n: int = 6) -> Windows:
    raw = np.random.default_rng(0).integers(-9000, 9000, (n, 20, channels)).astype(np.int16)
    return Windows(raw, np.zeros(n, np.int64), np.full(n, "p"), np.full(n, "r"))


@pytest.mark.parametrize("angle", [None, 0.0, 30.0, 180.0])
def test_rotations_are_rotations(angle: float | None) -> None:
    r = random_rotations(500, np.random.default_rng(1), angle)
    assert np.allclose(r @ r.transpose(0, 2, 1), np.eye(3))
    assert np.allclose(np.linalg.det(r), 1)
    if angle is None:
        assert np.abs(r.mean(axis=0)).max() < 0.1  # no direction is preferred
    else:
        assert np.allclose(np.trace(r, axis1=1, axis2=2), 1 + 2 * np.cos(np.deg2rad(angle)))


@pytest.mark.parametrize("channels", [PHONE, BODY])
def test_devices_turn_as_rigid_bodies(channels: tuple[Channel, ...]) -> None:
    before = _windows(len(channels))
    after = rotate_frames(before, channels, seed=3)
    old, new = (w.raw.reshape(6, 20, -1, 3).astype(float) for w in (before, after))
    assert np.abs(np.linalg.norm(old, axis=3) - np.linalg.norm(new, axis=3)).max() < 2  # lengths stay, up to rounding
    cosine = (old[:, :, 0] * old[:, :, 1]).sum(-1), (new[:, :, 0] * new[:, :, 1]).sum(-1)
    assert np.abs(cosine[0] - cosine[1]).max() < 60_000  # angles between vectors of a device stay: rounding of 0.5
    assert not np.array_equal(before.raw, after.raw)
    assert np.array_equal(after.raw, rotate_frames(before, channels, seed=3).raw)
    if channels is BODY:  # devices of two places turn apart
        apart = (old[:, :, 0] * old[:, :, 3]).sum(-1) - (new[:, :, 0] * new[:, :, 3]).sum(-1)
        assert np.abs(apart).max() > 1_000_000


def test_what_is_no_vector_stays_and_counts_saturate() -> None:
    before = _windows(len(KITCHEN))
    after = rotate_frames(before, KITCHEN, seed=0)
    fused = [i for i, c in enumerate(KITCHEN) if "fused" in c.name]
    assert len(fused) == 20
    assert np.array_equal(before.raw[:, :, fused], after.raw[:, :, fused])
    full = Windows(np.full((3, 5, 9), 32767, np.int16), *[np.zeros(3, np.int64)], *[np.full(3, "p")] * 2)
    assert rotate_frames(full, PHONE, seed=0).raw.max() == 32767  # 56,755 counts do not fit
    with pytest.raises(DataError, match="no frame"):
        rotate_frames(_windows(2), PHONE[:2], seed=0)


def test_places_are_swapped_whole() -> None:
    before = _windows(45, n=40)
    after = permute_places(before, BODY, seed=0)
    old, new = (w.raw.reshape(40, 20, 5, 9) for w in (before, after))
    for n in range(40):
        source = [next(p for p in range(5) if np.array_equal(new[n, :, q], old[n, :, p])) for q in range(5)]
        assert sorted(source) == list(range(5)) != source
    alone = permute_places(_windows(113), KITCHEN, seed=0)  # accelerometers, IMUs, shoes: each among themselves
    assert not np.array_equal(alone.raw[:, :, 81:], _windows(113).raw[:, :, 81:])
    assert set(alone.raw[0, 0, :36].tolist()) == set(_windows(113).raw[0, 0, :36].tolist())
    with pytest.raises(DataError, match="swapped"):
        permute_places(_windows(9), PHONE, seed=0)


@pytest.mark.parametrize("channels, ways", [(PHONE, 3), (BODY, 4), (PHONE[:2], 1)])
def test_a_network_that_looks_at_one_axis_suffers_from_rotation(channels: tuple[Channel, ...], ways: int) -> None:
    windows = _windows(len(channels), n=200)
    windows.raw[:100, :, 0] = 8000
    windows.raw[100:, :, 0] = -8000
    labelled = Windows(windows.raw, np.repeat([0, 1], 100), windows.subject, windows.recording)
    worn = worn_otherwise(lambda raw: (raw[:, :, 0].mean(axis=1) < 0).astype(np.int64), labelled, channels, 2, seed=0)
    assert len(worn) == ways
    assert worn[0] == {"how": "as recorded", "macro_f1": 1.0, "windows": 200}
    if ways > 1:  # half of all orientations turn the axis round
        assert 0.3 < worn[2]["macro_f1"] < 0.7 < worn[1]["macro_f1"]
