"""The protocol's C code and its Python twin agree, and neither is confused by what a serial line does to bytes."""

import ctypes
import random
import subprocess
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harembed.errors import HarnessError
from harembed.harness.client import Device
from harembed.harness.protocol import (
    ANSWER,
    MAX_FRAME,
    MAX_PAYLOAD,
    SYNC,
    Frame,
    Parser,
    Type,
    error_text,
    parse_info,
)
from harembed.resources import resource_dir
from harembed.toolchain import find_host_compiler

_HANDLER = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)


class CFrame(ctypes.Structure):
    _fields_ = (("type", ctypes.c_uint8), ("length", ctypes.c_uint8), ("sequence", ctypes.c_uint16),
                ("payload", ctypes.c_uint8 * MAX_PAYLOAD))

    def to_python(self):
        return Frame(self.type, self.sequence, bytes(self.payload[: self.length]))


class CParser(ctypes.Structure):
    _fields_ = (("bytes", ctypes.c_uint8 * MAX_FRAME), ("count", ctypes.c_uint32), ("crc_errors", ctypes.c_uint32),
                ("discarded", ctypes.c_uint32))


class CSession(ctypes.Structure):
    _fields_ = (("parser", CParser), ("handle", _HANDLER), ("user", ctypes.c_void_p),
                ("last_request_crc", ctypes.c_uint32), ("last_sequence", ctypes.c_uint16),
                ("answer_length", ctypes.c_uint8), ("answer", ctypes.c_uint8 * MAX_FRAME))


@pytest.fixture(scope="session")
def twin(tmp_path_factory):
    """firmware/app/protocol.c as a shared library."""
    library = tmp_path_factory.mktemp("protocol") / "protocol.so"
    subprocess.run([*find_host_compiler().command, "-std=c11", "-O1", "-Wall", "-Wextra", "-Werror", "-Wconversion",
                    "-shared", "-fPIC", str(resource_dir("firmware") / "app" / "protocol.c"), "-o", str(library)],
                   check=True)
    c = ctypes.CDLL(str(library))
    c.he_crc32.restype = ctypes.c_uint32
    c.he_crc32.argtypes = (ctypes.c_char_p, ctypes.c_size_t)
    c.he_frame_encode.restype = ctypes.c_size_t
    c.he_parser_push.argtypes = (ctypes.c_void_p, ctypes.c_uint8)
    c.he_parser_next.restype = ctypes.c_bool
    c.he_session_receive.argtypes = (ctypes.c_void_p, ctypes.c_uint8)
    c.he_session_receive.restype = ctypes.c_size_t
    return c


frames = st.builds(Frame, st.integers(0, 255), st.integers(0, 65535), st.binary(max_size=MAX_PAYLOAD))
# Noise that looks like the start of a frame is what resynchronisation must survive.
noise = st.one_of(st.binary(max_size=40), st.binary(max_size=20).map(lambda b: SYNC + b), st.just(SYNC[:1]))


@st.composite
def streams(draw):
    """Bytes of a bad line: whole, cut, flipped and doubled frames between noise."""
    parts = []
    for frame in draw(st.lists(frames, max_size=6)):
        data = frame.encode()
        fate = draw(st.sampled_from(["whole", "cut", "flipped", "doubled"]))
        if fate == "cut":
            data = data[: draw(st.integers(0, len(data) - 1))]
        elif fate == "flipped":
            at, bit = draw(st.integers(0, len(data) - 1)), draw(st.integers(0, 7))
            data = data[:at] + bytes([data[at] ^ 1 << bit]) + data[at + 1 :]
        elif fate == "doubled":
            data += data
        parts += [draw(noise), data]
    return b"".join(parts)


def c_parse(twin, data):
    parser, frame, found = CParser(), CFrame(), []
    for byte in data:
        twin.he_parser_push(ctypes.byref(parser), byte)
        while twin.he_parser_next(ctypes.byref(parser), ctypes.byref(frame)):
            found.append(frame.to_python())
    return found, parser.crc_errors, parser.discarded


@settings(deadline=None, derandomize=True, max_examples=200)
@given(data=st.binary(max_size=200), frame=frames)
def test_twins_encode_alike(twin, data, frame):
    assert twin.he_crc32(data, len(data)) == zlib.crc32(data)
    c_frame = CFrame(frame.type, len(frame.payload), frame.sequence)
    c_frame.payload[: len(frame.payload)] = frame.payload
    buffer = (ctypes.c_uint8 * MAX_FRAME)()
    length = twin.he_frame_encode(ctypes.byref(c_frame), buffer)
    assert bytes(buffer[:length]) == frame.encode()


@settings(deadline=None, derandomize=True, max_examples=300)
@given(stream=streams())
def test_twins_parse_alike(twin, stream):
    parser = Parser()
    assert (parser.feed(stream), parser.crc_errors, parser.discarded) == c_parse(twin, stream)


@settings(deadline=None, derandomize=True, max_examples=200)
@given(before=streams(), frame=frames)
def test_a_frame_behind_a_filler_always_arrives(twin, before, frame):
    # The filler that the client sends before a repetition completes any false frame.
    found, _, _ = c_parse(twin, before + bytes(MAX_FRAME) + frame.encode())
    assert found[-1] == frame


@settings(deadline=None, derandomize=True, max_examples=100)
@given(requests=st.lists(st.tuples(frames, st.integers(1, 3)), min_size=1, max_size=8))
def test_a_repeated_request_is_answered_again_and_executed_once(twin, requests):
    executed = []

    def handle(user, request, answer):
        frame = ctypes.cast(request, ctypes.POINTER(CFrame)).contents
        executed.append(frame.to_python())
        reply = ctypes.cast(answer, ctypes.POINTER(CFrame)).contents
        reply.length = 1
        reply.payload[0] = len(executed) & 0xFF

    session = CSession(handle=_HANDLER(handle))
    previous, expected = None, 0
    for request, times in requests:
        if request != previous:
            expected += 1
        previous = request
        for _ in range(times):
            lengths = [twin.he_session_receive(ctypes.byref(session), b) for b in request.encode()]
            assert lengths[:-1] == [0] * (len(lengths) - 1)
            (answer,) = Parser().feed(bytes(session.answer[: lengths[-1]]))
            assert answer == Frame((request.type + ANSWER) & 0xFF, request.sequence, bytes([expected & 0xFF]))
    assert len(executed) == expected


class BadLine:
    """A transport to an echoing device; every so often a byte is lost, flipped or said twice, both ways."""

    name = "bad line"

    def __init__(self, rng, rate):
        self.rng, self.rate, self.parser, self.waiting = rng, rate, Parser(), b""

    def write(self, data):
        for frame in self.parser.feed(self.damage(data)):
            answer = Frame((frame.type + ANSWER) & 0xFF, frame.sequence, frame.payload[4:] * 2 + bytes(8)).encode()
            self.waiting += self.damage(answer)

    def read(self, timeout_s):
        data, self.waiting = self.waiting, b""
        return data

    def close(self):
        pass

    def damage(self, data):
        out = bytearray()
        for byte in data:
            fate = self.rng.random()
            if fate < self.rate:
                out += [b"", bytes([byte ^ 0x10]), bytes([byte, byte])][int(3 * fate / self.rate)]
            else:
                out.append(byte)
        return bytes(out)


@pytest.mark.parametrize("seed", range(20))
def test_client_gets_answers_over_a_bad_line(seed):
    device = Device(BadLine(random.Random(seed), 0.01), timeout_s=0.002, attempts=60)
    for i in range(10):
        payload = bytes([i]) * 20
        assert device._request(Type.LOAD_RAW, bytes(4) + payload) == payload * 2 + bytes(8)
    assert device.retries > 0


def test_silence_and_refusal_are_explained():
    line = BadLine(random.Random(0), 0.0)
    line.write = lambda data: None
    device = Device(line, timeout_s=0.002)
    with pytest.raises(HarnessError, match="No answer to STATUS from bad line after 4 attempts"):
        device.status()
    with pytest.raises(HarnessError, match="speaks protocol 9, this harembed speaks 1"):
        parse_info("protocol 9\n")
    with pytest.raises(HarnessError, match="cannot be read: 'icache'"):
        parse_info("protocol 1\n")


@pytest.mark.parametrize("payload, text", [
    (bytes([4, Type.INFER, 0, 0, 10, 0, 0, 0]), "has no complete window; 10 bytes are missing (INFER)"),
    (bytes([1, 0x77, 0, 0, 0, 0, 0, 0]), "does not know this request (request 0x77)"),
    (bytes([9, Type.INFO, 0, 0, 3, 0, 0, 0]), "reports error 9 (3) (INFO)"),
    (b"\x01", "sent a malformed error of 1 bytes"),
])
def test_error_texts(payload, text):
    assert error_text(payload) == text
