"""A device behind a transport, as Python calls. Retries what was lost; says clearly what went wrong."""

import os
import struct
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import TracebackType

import numpy as np

from harembed.errors import HarnessError
from harembed.harness.protocol import (
    ANSWER,
    MAX_FRAME,
    MAX_PAYLOAD,
    DeviceInfo,
    Frame,
    Parser,
    Type,
    error_text,
    parse_info,
)
from harembed.harness.transport import Transport

_CHUNK = MAX_PAYLOAD - 4
_DTYPES = {"int8": "<i1", "int16": "<i2", "int32": "<i4", "bit": "<u4"}


@dataclass(frozen=True)
class Status:
    overruns: int  # bytes that came while nobody read
    crc_errors: int
    discarded: int  # bytes that belonged to no frame
    runs: int  # invocations since power-on


@dataclass(frozen=True)
class Repeated:
    """Ticks of n invocations of the same window."""

    n: int
    least: int
    most: int
    total: int


class Device:
    """Speaks the protocol over a transport; a context manager that closes it.

    Parameters
    ----------
    transport : Transport
    timeout_s : float    for an answer to a request that computes nothing
    patience_s : float   for one inference; multiplied by n in `repeat`
    attempts : int       how often a request is sent before the device counts as silent
    """

    def __init__(self, transport: Transport, timeout_s: float = 1.0, patience_s: float = 30.0,
                 attempts: int = 4) -> None:
        self.transport = transport
        self.timeout_s = timeout_s
        self.patience_s = patience_s
        self.attempts = attempts
        self.retries = 0  # requests that were sent again, in total
        self._parser = Parser()
        # A random start, so that the first request is no repetition of the last program's.
        self._sequence = int.from_bytes(os.urandom(2), "little")
        self._info: DeviceInfo | None = None

    def __enter__(self) -> "Device":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        self.transport.close()

    def info(self) -> DeviceInfo:
        """What the device says about itself; asked for once."""
        if self._info is None:
            pages = self._pages(lambda at: self._request(Type.INFO, struct.pack("<I", at)))
            self._info = parse_info(pages.decode("ascii", "replace"))
        return self._info

    def expect(self, model_id: str | None = None, board: str | None = None) -> DeviceInfo:
        """Refuse a device that runs another model or is another board.

        Raises
        ------
        HarnessError
        """
        info = self.info()
        if board is not None and info.board != board:
            raise HarnessError(f"The device at {self.transport.name} says that it is {info.board!r}, not {board!r}.",
                               f"Choose --board {info.board}, or connect the other board.")
        if model_id is not None and info.id != model_id:
            raise HarnessError(f"The device at {self.transport.name} runs model {info.model} ({info.id}), "
                               f"not {model_id}.", "Flash the firmware of this run first; its report says how.")
        return info

    def status(self) -> Status:
        return Status(*struct.unpack("<4I", self._request(Type.STATUS)))

    def load_raw(self, window: np.ndarray) -> int:
        """Send one window of raw samples, which the device quantises.

        Parameters
        ----------
        window : [window, raw_channels] int16    counts

        Returns
        -------
        int    ticks that the device spent quantising
        """
        raw = self.info().raw
        if raw is None:
            raise HarnessError(f"Model {self.info().model} has no input spec and cannot take raw samples.",
                               "Send quantised inputs with load_input.")
        if window.dtype != np.int16 or window.shape != raw[:2]:
            raise HarnessError(f"The device takes windows int16 {list(raw[:2])}, got {window.dtype} "
                               f"{list(window.shape)}.", "Use the window length and channels of this run.")
        return self._load(Type.LOAD_RAW, np.ascontiguousarray(window, "<i2").tobytes())

    def load_input(self, *inputs: np.ndarray) -> None:
        """Send the model's input tensors themselves (each of its dtype and number of elements)."""
        tensors = self.info().inputs
        if len(inputs) != len(tensors):
            raise HarnessError(f"Model {self.info().model} has {len(tensors)} inputs, got {len(inputs)}.")
        data = b""
        for array, tensor in zip(inputs, tensors, strict=True):
            raw = np.ascontiguousarray(array, _DTYPES[tensor.dtype]).tobytes()
            if array.dtype != np.dtype(_DTYPES[tensor.dtype]) or len(raw) != tensor.nbytes:
                raise HarnessError(f"Input {tensor.name!r} must be {tensor.dtype} {tensor.shape}, got {array.dtype} "
                                   f"{array.shape}.")
            data += raw
        self._load(Type.LOAD_INPUT, data)

    def infer(self) -> int:
        """Invoke the model on the loaded window, states reset; ticks of the device's counter."""
        return struct.unpack("<Q", self._request(Type.INFER, wait_s=self.patience_s))[0]

    def repeat(self, n: int) -> Repeated:
        """Invoke the model n times on the loaded window."""
        answer = self._request(Type.REPEAT, struct.pack("<I", n), wait_s=self.patience_s * max(n, 1))
        return Repeated(*struct.unpack("<IQQQ", answer))

    def outputs(self) -> list[np.ndarray]:
        """The outputs of the last invocation, each of its shape with the leading 1."""
        data = self._pages(lambda at: self._request(Type.READ_OUTPUT, struct.pack("<I", at)))
        arrays, at = [], 0
        for t in self.info().outputs:
            arrays.append(np.frombuffer(data[at : at + t.nbytes], _DTYPES[t.dtype]).reshape(t.shape))
            at += t.nbytes
        return arrays

    def logits(self) -> np.ndarray:
        """The first output, flattened."""
        return self.outputs()[0].ravel()

    def profile(self) -> list[int]:
        """Ticks of each node, in the order of info().nodes."""
        ticks: list[int] = []
        while len(ticks) < len(self.info().nodes):
            ticks += self.profile_from(len(ticks))
        return ticks

    def profile_from(self, first: int) -> list[int]:
        """Ticks of as many nodes from `first` on as one answer holds: one invocation."""
        answer = self._request(Type.PROFILE, struct.pack("<I", first), wait_s=self.patience_s)
        return list(struct.unpack(f"<{len(answer) // 4 - 2}I", answer[8:]))

    def tap(self, node: int) -> bytes:
        """The bytes of a node's first output, computed anew from the loaded window."""
        return self._pages(lambda at: self._request(Type.READ_TAP, struct.pack("<II", node, at),
                                                    wait_s=self.patience_s))

    def _load(self, kind: Type, data: bytes) -> int:
        ticks = 0
        for at in range(0, len(data), _CHUNK):
            answer = self._request(kind, struct.pack("<I", at) + data[at : at + _CHUNK])
            loaded, ticks = struct.unpack("<II", answer)
            if loaded != min(at + _CHUNK, len(data)):
                raise HarnessError(f"The device holds {loaded} bytes of a window after {at + _CHUNK} were sent.",
                                   "Let only one program use the port.")
        return ticks

    def _pages(self, ask: Callable[[int], bytes]) -> bytes:
        """Collect a text or tensor whose pages start with the total length."""
        data = b""
        while True:
            page = ask(len(data))
            total = struct.unpack_from("<I", page)[0]
            data += page[4:]
            if len(data) >= total:
                return data
            if len(page) == 4:
                raise HarnessError(f"The device sent {len(data)} of {total} bytes and then an empty page.",
                                   "Flash firmware that this version of harembed has built.")

    def _request(self, kind: Type, payload: bytes = b"", wait_s: float | None = None) -> bytes:
        """Send a request, and send it again while no answer comes: the device executes it once.

        A request that computes for `wait_s` is repeated at growing intervals; one of a moment, `attempts` times.
        """
        self._sequence = (self._sequence + 1) & 0xFFFF
        frame = Frame(kind, self._sequence, payload).encode()
        sent = 0
        for interval in self._intervals(wait_s):
            # The filler of one frame's length completes whatever false frame the device may be waiting for.
            self.transport.write(frame if sent == 0 else bytes(MAX_FRAME) + frame)
            sent += 1
            self.retries += sent > 1
            answer = self._await(kind, interval)
            if answer is not None:
                return answer
        raise HarnessError(f"No answer to {kind.name} from {self.transport.name} after {sent} attempts.",
                           "Is the harembed firmware flashed, the board powered, and --baud right? Press reset.")

    def _intervals(self, wait_s: float | None) -> Iterator[float]:
        """How long to wait for an answer after each time that a request is sent."""
        if wait_s is None:
            yield from [self.timeout_s] * self.attempts
            return
        interval = self.timeout_s
        while wait_s > 0:
            yield min(interval, wait_s)
            wait_s -= interval
            interval *= 2

    def _await(self, kind: Type, wait_s: float) -> bytes | None:
        """The payload of the answer to the current request; older answers are ignored."""
        deadline = time.monotonic() + wait_s
        while (left := deadline - time.monotonic()) > 0:
            for frame in self._parser.feed(self.transport.read(left)):
                if frame.sequence != self._sequence:
                    continue
                if frame.type == kind + ANSWER:
                    return frame.payload
                if frame.type == Type.ERROR:
                    raise HarnessError(f"The device at {self.transport.name} {error_text(frame.payload)}.",
                                       "Load a whole window of this model, then infer.")
        return None
