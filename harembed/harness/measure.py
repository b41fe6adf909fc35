"""How long an inference takes, with the unit and the origin of every figure."""

from dataclasses import dataclass

import numpy as np

from harembed.errors import HarnessError
from harembed.harness.client import Device
from harembed.harness.protocol import DeviceInfo, TensorInfo


@dataclass(frozen=True)
class LayerTicks:
    name: str
    op: str
    macs: int
    ticks: int


@dataclass(frozen=True)
class LatencyReport:
    """Ticks of one inference on one device.

    Attributes
    ----------
    unit : "cycles" (a board's counter), "modelled_cycles", "instructions" or "nanoseconds" (a host)
    provenance : "measured", "simulated" or "estimated"
    clock_hz : core clock; 0 where a clock has no meaning
    quantise : ticks spent turning one raw window into the model's input; None if the input was sent quantised
    """

    board: str
    device: str
    unit: str
    provenance: str
    repeats: int
    median: int
    p95: int
    least: int
    clock_hz: int
    quantise: int | None
    layers: tuple[LayerTicks, ...]

    @property
    def latency_us(self) -> float | None:
        """Median time of an inference; None if the ticks are instructions, which have no duration."""
        if self.unit == "nanoseconds":
            return self.median / 1000.0
        if self.unit in ("cycles", "modelled_cycles") and self.clock_hz:
            return self.median / self.clock_hz * 1e6
        return None


def bench(device: Device, repeats: int = 11, window: np.ndarray | None = None) -> LatencyReport:
    """Time inferences of one window, one by one, and then each node.

    Parameters
    ----------
    device : Device
    repeats : int    inferences; a simulator's ticks repeat exactly, so 1 is enough there
    window : [window, raw_channels] int16    raw samples; None sends fixed full-range model inputs

    Raises
    ------
    HarnessError    the device does not answer, or its simulator was told to count nothing
    """
    info = device.info()
    unit, provenance = _origin(device, info)
    quantise = None
    if window is not None:
        quantise = device.load_raw(window)
    else:
        rng = np.random.default_rng(0)
        device.load_input(*(full_range(rng, t) for t in info.inputs))
    ticks = sorted(device.infer() for _ in range(repeats))
    layers = tuple(LayerTicks(n.name, n.op, n.macs, t) for n, t in zip(info.nodes, device.profile(), strict=True))
    return LatencyReport(
        board=info.board, device=device.transport.name, unit=unit, provenance=provenance, repeats=repeats,
        median=ticks[len(ticks) // 2], p95=ticks[min(len(ticks) - 1, int(np.ceil(0.95 * len(ticks))) - 1)],
        least=ticks[0], clock_hz=info.clock_hz, quantise=quantise, layers=layers,
    )


def full_range(rng: np.random.Generator, tensor: TensorInfo) -> np.ndarray:
    """Random values over the whole range of a tensor's dtype."""
    dtype = np.dtype("uint32" if tensor.dtype == "bit" else tensor.dtype)
    limits = np.iinfo(dtype)
    return rng.integers(limits.min, limits.max, tensor.nbytes // dtype.itemsize, dtype, endpoint=True)


def _origin(device: Device, info: DeviceInfo) -> tuple[str, str]:
    """(unit, provenance): a simulator says itself what it counts; the firmware cannot know."""
    simulated = getattr(device.transport, "ticks", None)
    if simulated == "nothing":
        raise HarnessError(f"{device.transport.name} counts nothing.", "Open it with count=\"instructions\".")
    if simulated == "modelled_cycles":  # a formula over what a simulator counts
        return simulated, "estimated"
    if simulated is not None:
        return simulated, "simulated"
    if info.cycles_are_real:
        return "cycles", "measured"
    return ("nanoseconds", "measured") if info.clock_hz == 0 else ("instructions", "simulated")
