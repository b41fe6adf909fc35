"""Frames of the serial protocol and their meaning: the twin of firmware/app/protocol.{h,c}.

The table at the head of protocol.h is the reference for types and payloads. Pure functions over bytes; no I/O.
"""

import struct
import zlib
from dataclasses import dataclass
from enum import IntEnum

from harembed.errors import HarnessError

VERSION = 1
SYNC = b"\xa5\x5a"
MAX_PAYLOAD = 64
FRAME_OVERHEAD = 10
MAX_FRAME = MAX_PAYLOAD + FRAME_OVERHEAD
ANSWER = 0x80  # added to a request's type


class Type(IntEnum):
    INFO = 0x01
    STATUS = 0x02
    LOAD_RAW = 0x10
    LOAD_INPUT = 0x11
    INFER = 0x20
    REPEAT = 0x21
    PROFILE = 0x22
    READ_OUTPUT = 0x30
    READ_TAP = 0x31
    ERROR = 0xFF


_ERRORS = {
    1: "does not know this request",
    2: "refuses a payload of {detail} bytes",
    3: "refuses this offset; it expects {detail}",
    4: "has no complete window; {detail} bytes are missing",
    5: "runs a model without input spec, which cannot take raw samples",
    6: "has no such index; it has {detail}",
    7: "reports status {detail} from the model",
}


@dataclass(frozen=True)
class Frame:
    type: int
    sequence: int  # 0..65535
    payload: bytes = b""

    def encode(self) -> bytes:
        if len(self.payload) > MAX_PAYLOAD:
            raise ValueError(f"a payload of {len(self.payload)} bytes; at most {MAX_PAYLOAD} fit")
        body = struct.pack("<BBH", len(self.payload), self.type, self.sequence) + self.payload
        return SYNC + body + struct.pack("<I", zlib.crc32(body))


class Parser:
    """Collects bytes into frames; resynchronises as he_parser_next does (after a bad CRC, drop one byte)."""

    def __init__(self) -> None:
        self._bytes = bytearray()
        self.crc_errors = 0
        self.discarded = 0

    def feed(self, data: bytes) -> list[Frame]:
        """Take bytes; return the frames that they complete."""
        frames: list[Frame] = []
        for byte in data:
            self._bytes.append(byte)
            while (frame := self._next()) is not None:
                frames.append(frame)
        return frames

    def _next(self) -> Frame | None:
        b = self._bytes
        while b:
            if self._plausible():
                length = b[2] if len(b) >= 3 else 0
                if len(b) < FRAME_OVERHEAD + length:
                    return None
                end = 6 + length
                if zlib.crc32(b[2:end]) == int.from_bytes(b[end : end + 4], "little"):
                    frame = Frame(b[3], b[4] | b[5] << 8, bytes(b[6:end]))
                    del b[: end + 4]
                    return frame
                self.crc_errors += 1
            del b[0]
            self.discarded += 1
        return None

    def _plausible(self) -> bool:
        b = self._bytes
        return b[0] == SYNC[0] and (len(b) < 2 or b[1] == SYNC[1]) and (len(b) < 3 or b[2] <= MAX_PAYLOAD)


def error_text(payload: bytes) -> str:
    """What an ERROR answer says, as the end of a sentence that begins with "The device"."""
    if len(payload) != 8:
        return f"sent a malformed error of {len(payload)} bytes"
    code, request, _, detail = struct.unpack("<BBHI", payload)
    name = Type(request).name if request in Type._value2member_map_ else f"request 0x{request:02x}"
    return f"{_ERRORS.get(code, f'reports error {code} ({{detail}})').format(detail=detail)} ({name})"


@dataclass(frozen=True)
class TensorInfo:
    name: str
    dtype: str  # "int8", "int16", "int32", "bit"
    scale: float
    zero_point: int
    nbytes: int
    shape: tuple[int, ...]


@dataclass(frozen=True)
class NodeInfo:
    name: str
    op: str
    macs: int
    output_bytes: int


@dataclass(frozen=True)
class DeviceInfo:
    """What a device says about itself (firmware/app/info.h)."""

    protocol: int
    board: str
    clock_hz: int  # 0 where a clock has no meaning
    cycles_are_real: bool  # the counter counts core cycles; else instructions or nanoseconds
    icache_enabled: bool
    icache_ways: int
    model: str
    id: str  # IntGraph.id()
    generator: str
    backend: str
    arena_bytes: int
    window_bytes: int  # RAM of the window buffer, beside the arena
    raw: tuple[int, int, int] | None  # window [samples], raw channels, channels used
    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    states: tuple[TensorInfo, ...]
    nodes: tuple[NodeInfo, ...]
    labels: tuple[str, ...]


def parse_info(text: str) -> DeviceInfo:
    """Read the info text.

    Raises
    ------
    HarnessError    another protocol version, or a line that does not read
    """
    lines = [line.partition(" ")[::2] for line in text.splitlines()]
    single = dict(lines)
    if single.get("protocol") != str(VERSION):
        raise HarnessError(f"The device speaks protocol {single.get('protocol')}, this harembed speaks {VERSION}.",
                           "Flash firmware that this version of harembed has built.")
    try:
        enabled, ways = single["icache"].split()
        return DeviceInfo(
            protocol=VERSION, board=single["board"], clock_hz=int(single["clock_hz"]),
            cycles_are_real=single["cycles_are_real"] == "1", icache_enabled=enabled == "1",
            icache_ways=int(ways), model=single["model"], id=single["id"], generator=single["generator"],
            backend=single["backend"], arena_bytes=int(single["arena_bytes"]),
            window_bytes=int(single["window_bytes"]), raw=_raw(single.get("raw")),
            inputs=_tensors(lines, "input"), outputs=_tensors(lines, "output"), states=_tensors(lines, "state"),
            nodes=tuple(_node(v) for k, v in lines if k == "node"),
            labels=tuple(v for k, v in lines if k == "label"),
        )
    except (KeyError, ValueError) as e:
        raise HarnessError(f"The info text of the device cannot be read: {e}.",
                           "Flash firmware that this version of harembed has built.") from e


def _raw(value: str | None) -> tuple[int, int, int] | None:
    if value is None:
        return None
    window, raw_channels, channels = (int(v) for v in value.split())
    return window, raw_channels, channels


def _tensors(lines: list[tuple[str, str]], key: str) -> tuple[TensorInfo, ...]:
    return tuple(_tensor(value) for k, value in lines if k == key)


def _tensor(value: str) -> TensorInfo:
    dtype, bits, zero_point, nbytes, dims, name = value.split(" ", 5)
    scale = struct.unpack("<f", struct.pack("<I", int(bits, 16)))[0]
    return TensorInfo(name, dtype, scale, int(zero_point), int(nbytes), tuple(int(d) for d in dims.split(",")))


def _node(value: str) -> NodeInfo:
    op, macs, output_bytes, name = value.split(" ", 3)
    return NodeInfo(name, op, int(macs), int(output_bytes))
