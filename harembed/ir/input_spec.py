"""How raw sensor counts become the model's int8 input: the first arithmetic of every inference.

One function here, its twin he_input_write_frame in firmware/include/he_input.h.
"""

from dataclasses import dataclass

import numpy as np

from harembed.errors import GraphError
from harembed.ir.fixedpoint import multiply_by_quantized_multiplier, quantize_multiplier


@dataclass(frozen=True)
class InputChannel:
    raw_channel: int  # index in a raw frame, before channel pruning
    offset: int  # counts
    multiplier: int  # Q0.31
    shift: int  # positive: to the left


@dataclass(frozen=True)
class InputSpec:
    """Raw frames [window, raw_channels] int16 to an input tensor of int8.

    Element (t, i) of the tensor, flattened, is at t * stride_time + i * stride_channel.
    """

    window: int  # samples
    raw_channels: int
    stride_time: int
    stride_channel: int
    zero_point: int
    channels: tuple[InputChannel, ...]

    def check(self, elements: int) -> None:
        """Refuse a spec that does not fill an input tensor of `elements`, or whose arithmetic could wrap."""
        if self.window * len(self.channels) != elements:
            raise GraphError(f"The input spec yields {self.window} x {len(self.channels)} values, "
                             f"the input tensor holds {elements}.")
        for c in self.channels:
            if not 0 <= c.raw_channel < self.raw_channels:
                raise GraphError(f"Input channel {c.raw_channel} is not one of {self.raw_channels} raw channels.")
            # int16 minus an int16 offset needs 17 bits and a sign; more than 14 to the left would wrap.
            if c.shift > 14 or not -32768 <= c.offset <= 32767:
                raise GraphError(f"Input channel {c.raw_channel}: offset {c.offset}, shift {c.shift} could wrap.")

    def quantise(self, raw: np.ndarray) -> np.ndarray:
        """Quantise windows.

        Parameters
        ----------
        raw : [N, window, raw_channels] int16    counts

        Returns
        -------
        [N, window * channels] int8    in the order of the input tensor
        """
        raw = np.asarray(raw)
        if raw.dtype != np.int16 or raw.shape[1:] != (self.window, self.raw_channels):
            raise GraphError(f"Raw windows must be int16 [N, {self.window}, {self.raw_channels}], "
                             f"got {raw.dtype} {raw.shape}.")
        out = np.empty((len(raw), self.window * len(self.channels)), np.int8)
        times = np.arange(self.window) * self.stride_time
        for i, c in enumerate(self.channels):
            centred = raw[:, :, c.raw_channel].astype(np.int64) - c.offset
            q = multiply_by_quantized_multiplier(centred, c.multiplier, c.shift) + self.zero_point
            out[:, times + i * self.stride_channel] = np.clip(q, -128, 127)
        return out


def make_input_spec(mean: np.ndarray, std: np.ndarray, scale: float, zero_point: int, window: int,
                    kept: list[int], stride_time: int, stride_channel: int) -> InputSpec:
    """Fold normalisation (count - mean) / std and quantisation by `scale` into one step of integers.

    Parameters
    ----------
    mean, std : [raw_channels] float    counts
    scale, zero_point                   of the input tensor
    kept : indices of the raw channels that the model uses, in its order
    """
    channels = []
    for c in kept:
        multiplier, shift = quantize_multiplier(1.0 / (float(std[c]) * scale))
        channels.append(InputChannel(int(c), round(float(mean[c])), multiplier, shift))
    return InputSpec(window, len(mean), stride_time, stride_channel, zero_point, tuple(channels))
