"""Images and host programs: what the linker made of them, that they run, and how a failure is told."""

import ctypes
import os
import shutil
import socket
import subprocess
import threading

import numpy as np
import pytest
from elftools.elf.elffile import ELFFile

from harembed import build
from harembed.board import load_board
from harembed.build import build_firmware, build_host
from harembed.doctor import checks
from harembed.errors import BoardError, BuildError
from harembed.export.csource import generate
from harembed.ir.ops.conv import Conv2D
from harembed.resources import resource_dir
from harembed.toolchain import Toolchain, find_host_compiler, find_toolchain

HAS_ARM_GCC = shutil.which("arm-none-eabi-gcc") is not None
HAS_QEMU = shutil.which("qemu-system-arm") is not None
GCC = pytest.param("gcc", marks=[pytest.mark.arm_gcc,
                                 pytest.mark.skipif(not HAS_ARM_GCC, reason="arm-none-eabi-gcc is not installed")])
TOOLCHAINS = [GCC, "zig"]
L552 = load_board("nucleo_l552ze_q")

# Computes, then lets bytes arrive without reading until one finds no place, which only an interrupt can
# bring about; then gives all that one port_read returns back.
PROBE = """
#include "port.h"
static uint8_t he_arena[1024];
static volatile float half = 0.5f;
static uint32_t initialised = 0xCAFEu;
int main(void);
int main(void)
{
    port_info info;
    port_init();
    port_get_info(&info);
    const uint64_t begin = port_cycles();
    for (volatile uint32_t i = 0; i < 1000000u; ++i) {
    }
    const uint64_t end = port_cycles();
    while (port_overruns() == 0u) {
    }
    const size_t count = port_read(he_arena, sizeof he_arena);
    const uint32_t numbers[4] = {info.core_clock_hz, (uint32_t)(end - begin), initialised,
                                 (uint32_t)(half * 8.0f)};
    port_write((const uint8_t *)numbers, sizeof numbers);
    port_write(he_arena, count);
    return 7;
}
"""
ECHO = """
#include "port.h"
int main(void);
int main(void)
{
    uint8_t bytes[64];
    port_init();
    for (;;) {
        const size_t count = port_read(bytes, sizeof bytes);
        port_write(bytes, count);
        if (count == 0u) {
            port_idle();
        }
    }
}
"""


@pytest.fixture(scope="module")
def model():
    return generate(Conv2D.CASES[0].build(np.random.default_rng(1)))


@pytest.fixture
def without_app(tmp_path, monkeypatch):
    """The firmware without application and kernels: the `model` is then the whole program."""
    bare = tmp_path / "firmware"
    for part in ("include", "port", "platform"):
        shutil.copytree(resource_dir("firmware") / part, bare / part)
    (bare / "kernels").mkdir()
    (bare / "app").mkdir()
    monkeypatch.setattr(build, "resource_dir", lambda name: bare if name == "firmware" else resource_dir(name))


def symbols_and_vectors(elf):
    with open(elf, "rb") as f:
        file = ELFFile(f)
        symbols = {s.name: s["st_value"] for s in file.get_section_by_name(".symtab").iter_symbols()}
        return symbols, np.frombuffer(file.get_section_by_name(".vectors").data(), "<u4")


@pytest.mark.parametrize("toolchain", TOOLCHAINS)
def test_board_image_with_the_application(tmp_path, model, toolchain):
    image = build_firmware(model, L552, tmp_path, toolchain)
    symbols, vectors = symbols_and_vectors(image.elf)
    arena = next(line for line in model["model.h"].splitlines() if "HE_MODEL_ARENA_BYTES" in line)
    assert f" {image.arena_bytes}U" in arena
    assert image.ram_static_bytes == image.sections.get(".data", 0) + image.sections[".bss"] > image.arena_bytes
    assert image.flash_bytes == image.bin.stat().st_size >= image.sections[".text"] + image.sections[".rodata"]
    assert image.stack_bytes == L552.memory.stack_bytes and image.stack_top % 8 == 0
    # RM0438: LPUART1 is interrupt 66, and 16 vectors of the core come first.
    assert (vectors[0], vectors[1]) == (image.stack_top, symbols["Reset_Handler"] | 1)
    assert vectors[15] == symbols["SysTick_Handler"] | 1 and vectors[16 + 66] == symbols["LPUART1_IRQHandler"] | 1
    assert symbols["he_vectors_system"] == L552.memory.flash.start
    assert "undefined" not in symbols and "malloc" not in symbols and "printf" not in symbols


@pytest.mark.parametrize("toolchain", TOOLCHAINS)
def test_same_sources_give_the_same_bytes_in_any_folder(tmp_path, without_app, toolchain):
    images = [build_firmware({"model.c": PROBE}, L552, tmp_path / folder, toolchain, clock_hz=80_000_000)
              for folder in ("a", "a longer name/b")]
    assert images[0].elf.read_bytes() == images[1].elf.read_bytes()
    assert str(tmp_path).encode() not in images[0].elf.read_bytes()


@pytest.mark.qemu
@pytest.mark.skipif(not HAS_QEMU, reason="qemu-system-arm is not installed")
@pytest.mark.parametrize("toolchain", TOOLCHAINS)
def test_image_runs_on_qemu_and_receives_while_it_computes(tmp_path, without_app, toolchain):
    board = load_board("mps2_an505")
    image = build_firmware({"model.c": PROBE}, board, tmp_path, toolchain)
    sent = bytes(range(256)) * 4
    done = subprocess.run(
        ["qemu-system-arm", "-M", board.simulators.qemu_machine, "-display", "none", "-monitor", "none",
         "-serial", "stdio", "-semihosting-config", "enable=on,target=native",
         "-icount", f"shift={board.simulators.qemu_icount_shift},sleep=off", "-kernel", str(image.elf)],
        input=sent, capture_output=True, timeout=60)
    assert done.returncode == 7  # what main() returned, by semihosting
    clock_hz, instructions, initialised, four = np.frombuffer(done.stdout[:16], "<u4")
    assert (clock_hz, initialised, four) == (board.clock_hz, 0xCAFE, 4)
    assert done.stdout[16:] == sent[:512]  # the ring's size, and none lost before it was full
    # A loop over a volatile counter: load, add, store, compare, branch, and what the interrupts cost.
    assert 4_000_000 <= instructions <= 9_000_000


def test_a_full_disk_is_told_in_one_line_and_leaves_no_half_project(tmp_path, without_app, monkeypatch):
    real = shutil.copytree

    def full(source, target, **options):
        if source.name == "port":
            raise shutil.Error([("a.c", "b.c", "[Errno 28] No space left on device: 'a.c'")] * 50)
        return real(source, target, **options)

    monkeypatch.setattr(shutil, "copytree", full)
    with pytest.raises(BuildError, match=r"project: \[Errno 28\] No space left on device \(50 files\)\.$") as e:
        build_firmware({"model.c": PROBE}, L552, tmp_path)
    assert "Free some space" in e.value.hint
    assert not (tmp_path / "project").exists()


BIG_CONSTANT = ("#include <stdint.h>\nextern const uint8_t big[]; const uint8_t big[600000] = {1};\n"
                + PROBE.replace("return 7;", "port_write(big, 600000u); return 7;"))


@pytest.mark.parametrize("toolchain", TOOLCHAINS)
@pytest.mark.parametrize("source, expected", [
    (PROBE.replace("1024", "300000"), r"30\d,\d{3} bytes of RAM .* the board has 262,144"),
    # The stack fits no more, although .data and .bss would.
    (PROBE.replace("1024", "260000"), r"26\d,\d{3} bytes of RAM .* the board has 262,144"),
    (BIG_CONSTANT, r"60\d,\d{3} bytes of flash, the board has 524,288"),
], ids=["arena", "stack", "flash"])
def test_what_does_not_fit_is_refused_with_numbers(tmp_path, without_app, toolchain, source, expected):
    with pytest.raises(BoardError, match=expected) as e:
        build_firmware({"model.c": source}, L552, tmp_path, toolchain)
    assert e.value.hint and not (tmp_path / "firmware.elf").exists()


@pytest.mark.parametrize("old, new, expected", [
    ("return 7;", "return missing;", r"model\.c:\d+:\d+: error: .*missing"),
    ("return 7;", "return 0.5f * (float)count;", r"model\.c:\d+:\d+: error: .*conver"),
    ("port_init();", "int nowhere(void); nowhere(); port_init();", "undefined .*nowhere"),
], ids=["undeclared", "conversion", "link"])
def test_what_does_not_compile_names_the_line(tmp_path, without_app, old, new, expected):
    with pytest.raises(BuildError, match=expected) as e:
        build_firmware({"model.c": PROBE.replace(old, new)}, L552, tmp_path)
    assert e.value.hint and "\n" not in e.value.message


@pytest.mark.parametrize("board, arguments, error", [
    ("host", {}, BoardError),
    ("nucleo_l552ze_q", {"clock_hz": 100_000_000}, BoardError),
    ("mps2_an505", {"stock": True}, BoardError),
    ("nucleo_l552ze_q", {"toolchain": "keil"}, BuildError),
])
def test_impossible_requests_are_refused_before_anything_is_written(tmp_path, board, arguments, error):
    with pytest.raises(error):
        build_firmware({}, load_board(board), tmp_path / "out", **arguments)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("arguments", [
    {"sanitize": True, "compiler": "gcc"},
    {"dsp_emulation": True, "compiler": "clang"},
], ids=lambda a: "-".join(map(str, a)))
def test_host_program_with_the_application_ends_with_its_input(tmp_path, model, arguments):
    if shutil.which(arguments["compiler"]) is None:
        pytest.skip(f"{arguments['compiler']} is not installed")
    program = build_host(model, tmp_path, **arguments)
    done = subprocess.run([program], input=b"noise" * 100, capture_output=True, timeout=30)
    assert (done.returncode, done.stderr) == (0, b"")


def test_host_port_speaks_over_pipe_tcp_and_terminal(tmp_path, without_app):
    program = build_host({"model.c": ECHO}, tmp_path)
    text = bytes(range(256)) * 20
    assert subprocess.run([program], input=text, capture_output=True, timeout=30).stdout == text

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with subprocess.Popen([program, f"tcp:{port}"]) as process, _connect(port) as line:
        threading.Thread(target=line.sendall, args=(text,)).start()
        assert _receive(lambda: line.recv(4096), len(text)) == text
        line.close()
        assert process.wait(timeout=10) == 0

    with subprocess.Popen([program, "pty"], stderr=subprocess.PIPE) as process:
        terminal = os.open(process.stderr.readline().strip(), os.O_RDWR | os.O_NOCTTY)
        os.write(terminal, text[:256])
        assert _receive(lambda: os.read(terminal, 4096), 256) == text[:256]
        os.close(terminal)
        process.terminate()


@pytest.mark.parametrize("name", ["memcpy", "memmove", "memset", "memcmp"])
def test_small_libc_does_what_the_standard_says(tmp_path, name):
    library = tmp_path / "libc_min.so"
    compiler = find_host_compiler()
    renamed = [f"-D{f}=he_test_{f}" for f in ("memcpy", "memmove", "memset", "memcmp")]
    subprocess.run([*compiler.command, "-O2", "-shared", "-fPIC", *renamed,
                    str(resource_dir("firmware") / "port" / "libc_min.c"), "-o", str(library)], check=True)
    function = getattr(ctypes.CDLL(str(library)), f"he_test_{name}")
    rng = np.random.default_rng(0)
    for _ in range(500):
        data = bytearray(rng.integers(0, 4, 128).astype(np.uint8).tobytes())  # few values: memcmp meets equals
        count = int(rng.integers(0, 60))
        to, source = (int(i) for i in rng.integers(0, 68, 2))
        if name == "memcpy" and abs(to - source) < count:
            continue
        buffer = (ctypes.c_uint8 * 128).from_buffer(data)
        base, before = ctypes.addressof(buffer), bytes(data)
        second = ctypes.c_int(source) if name == "memset" else ctypes.c_void_p(base + source)
        result = function(ctypes.c_void_p(base + to), second, ctypes.c_size_t(count))
        expected = bytearray(before)
        if name == "memcmp":
            a, b = before[to:to + count], before[source:source + count]
            assert (result > 0) - (result < 0) == (a > b) - (a < b)
        else:
            expected[to:to + count] = bytes([source]) * count if name == "memset" else before[source:source + count]
        assert bytes(buffer) == bytes(expected)
        del buffer


def test_without_any_program_on_path_zig_compiles_and_doctor_says_so(monkeypatch):
    monkeypatch.setenv("PATH", "")
    monkeypatch.setenv("PLATFORMIO_CORE_DIR", "nowhere")
    assert find_toolchain().kind == find_host_compiler().kind == "zig"
    found = {check.name: check for check in checks()}
    assert found["cross compiler"].ok and "zig" in found["cross compiler"].found
    for name in ("toolchain gcc", "qemu-system-arm"):
        assert not found[name].ok and not found[name].required and "apt-get install" in found[name].fix


@pytest.mark.parametrize("libraries, expected", [
    (("libc.a", "libstdc++.a"), True), (("libc.a",), False), ((), False)])
def test_gcc_without_the_libraries_of_its_other_packages_is_known(tmp_path, libraries, expected):
    known = "|".join(f"-print-file-name={name}" for name in libraries) or "nothing"
    program = tmp_path / "gcc"
    program.write_text(f"""#!/bin/sh
case $1 in
    {known}) echo "/usr/lib/${{1#*=}}" ;;
    *) echo "${{1#*=}}" ;;
esac
""")
    program.chmod(0o755)
    assert Toolchain("gcc", "gcc", (str(program),), "12.2.1").has_c_library() is expected


def _connect(port):
    for _ in range(100):
        try:
            return socket.create_connection(("127.0.0.1", port), timeout=10)
        except ConnectionRefusedError:
            threading.Event().wait(0.05)
    raise AssertionError("the program does not listen")


def _receive(read, count):
    data = b""
    while len(data) < count:
        data += read()
    return data
