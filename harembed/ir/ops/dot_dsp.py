"""Weights in the order in which the DSP kernels read them: twin of firmware/kernels/he_dot_s8_dsp.h."""

from dataclasses import dataclass

import numpy as np

from harembed.ir.ops.requantize_dsp import JOINED_SHIFT, Channels, RequantizeS8

WEIGHTS_16, WEIGHTS_8, WEIGHTS_JOINED = range(3)  # HE_WEIGHTS_16, HE_WEIGHTS_8, HE_WEIGHTS_JOINED
TILE_POSITIONS = 4


@dataclass(frozen=True, eq=False)
class DotS8:
    """Field names as in he_dot_s8."""

    pairs: int
    unroll: int
    channels: int
    weights: np.ndarray  # uint32; of a tile, with the words of the channels among them
    channel: np.ndarray | None  # [O, 4] int32, of a row
    requantize: RequantizeS8

    @property
    def nbytes(self) -> int:
        """Of all tables."""
        return self.weights.nbytes + (0 if self.channel is None else self.channel.nbytes)


def run_order(run: int) -> list[int]:
    """Bytes of one run in the order of he_widen_run, two to a pair; -1 where a pair is not full."""
    order = [4 * q + k for q in range(run // 4) for k in (0, 2, 1, 3)]
    first = run - run % 4
    return order + [[], [first, -1], [first, first + 1], [first, first + 2, first + 1, -1]][run % 4]


def pairs_of_run(run: int) -> int:
    """Length of run_order in pairs."""
    return run // 4 * 2 + (run % 4 + 1) // 2


def filled(order: list[int]) -> list[int]:
    """The same up to whole quads, as joined weights need each run to be."""
    return order + [-1] * (-len(order) % 4)


def dot_tile(channels: Channels, order: list[int], layout: int, unroll: int) -> DotS8:
    """For he_tile_s8: two channels interleaved pair by pair, an odd last one as pairs of int16; or joined. Around the
    weights of each two (or of the last) stand the words of these channels."""
    words = channels.words
    if layout == WEIGHTS_JOINED:
        words = joined_words(channels, to_quads(channels.weights, order))
    pairs, even, last = tile_weights(channels.weights, order, layout)
    twos = len(words) // 2 * 2
    streams = [_among(words[:twos].reshape(twos // 2, 2, 4), even), _among(words[twos:, np.newaxis], last)]
    return DotS8(pairs, unroll, len(words), np.concatenate(streams), None, channels.requantize)


def tile_weights(weights: np.ndarray, order: list[int], layout: int) -> tuple[int, np.ndarray, np.ndarray]:
    """(pairs of taps, words of each two channels, words of an odd last one) for he_tile_s8_taps; weights [O, K]."""
    if layout == WEIGHTS_JOINED:
        quads = to_quads(weights, order)
        pairs, slots = join(quads), 4 * quads.shape[1]  # [O, slots / 4, 2]
    else:
        w = _ordered(weights, order)
        slots = w.shape[1]
        pairs = w.reshape(len(w), slots // 2, 2)  # of taps
    twos = len(pairs) // 2 * 2
    even = pairs[:twos].reshape(twos // 2, 2, *pairs.shape[1:])  # [channel pair, channel, pair of taps, tap]
    packed = _words_8(even.transpose(0, 2, 3, 1)) if layout == WEIGHTS_8 else _words_16(even.transpose(0, 2, 1, 3))
    return slots // 2, packed, _words_16(pairs[twos:])


def _among(words: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Groups of channels one after the other: where their sums start, their weights, then how each is requantised.

    words [groups, channels, 4] int32; weights uint32, those of the groups one after the other.
    """
    groups = len(words)
    if not groups:
        return np.zeros(0, np.uint32)
    words = np.ascontiguousarray(words).view(np.uint32)
    return np.concatenate([words[:, :, 0], weights.reshape(groups, -1), words[:, :, 1:].reshape(groups, -1)],
                          axis=1).ravel()


def joined_words(channels: Channels, quads: np.ndarray) -> np.ndarray:
    """channels.words, with the start that joined weights need."""
    words = channels.words.copy()
    start = joined_start(words[:, 0].astype(np.int64), quads) + (0 if channels.fine is None else channels.fine)
    words[:, 0] = (start & 0xFFFFFFFF).astype(np.uint32).view(np.int32)
    return words


def dot_row(channels: Channels, order: list[int], layout: int, unroll: int = 4) -> DotS8:
    """For he_row_s8: four channels interleaved, two pairs of taps at a time; the rest of channels one by one."""
    quads = to_quads(channels.weights, order)
    o, slots = len(quads), 4 * quads.shape[1]
    words = channels.words
    if layout == WEIGHTS_JOINED:
        words = joined_words(channels, quads)
        quads = join(quads)
    elif layout == WEIGHTS_8:
        quads = quads[:, :, [0, 2, 1, 3]]
    fours = quads[: o // 4 * 4].reshape(-1, 4, *quads.shape[1:]).transpose(0, 2, 1, 3)
    flat = np.concatenate([fours.ravel(), quads[o // 4 * 4 :].ravel()])
    weights = _words_8(flat) if layout == WEIGHTS_8 else _words_16(flat)
    return DotS8(slots // 2, unroll, o, weights, words, channels.requantize)


def to_quads(weights: np.ndarray, order: list[int]) -> np.ndarray:
    """[O, slots / 4, 4]: weights [O, K] by slot, filled up with zeros."""
    return _ordered(weights, filled(order)).reshape(len(weights), -1, 4)


def join(quads: np.ndarray) -> np.ndarray:
    """Pairs [..., 2] of int16 that hold the weights [..., 4] of two pairs of taps as bytes."""
    return quads[..., :2] + 256 * quads[..., 2:]


def joined_start(start: np.ndarray, quads: np.ndarray) -> np.ndarray:
    """Where sums of joined weights start, int64 [O]: 256 times as far, without what 127 adds. May leave int32."""
    return start + 127 * quads[:, :, 2:].sum(axis=(1, 2), dtype=np.int64) << JOINED_SHIFT


def _ordered(weights: np.ndarray, order: list[int]) -> np.ndarray:
    """[O, slots]: weights by slot, 0 where there is no tap."""
    index = np.array(order, np.int64)
    return np.where(index >= 0, weights[:, index], 0)


def _words_16(values: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(values.ravel().astype("<i2")).view("<u4").astype(np.uint32)


def _words_8(values: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(values.ravel().astype("<i1")).view("<u4").astype(np.uint32)
