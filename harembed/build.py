"""From generated sources to a program: an image for a board (through PlatformIO), or one for this computer.

The project folder of an image is complete: somebody who has only that folder builds it with `pio run`.
"""

import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import jinja2
from elftools.common.exceptions import ELFError
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection

from harembed import __version__
from harembed.board import Board
from harembed.errors import BoardError, BuildError
from harembed.libraries import Collected
from harembed.resources import resource_dir
from harembed.rundir import dump_json, write_atomic
from harembed.stack_usage import CALL_GRAPH_FLAGS, deepest, read_call_graph
from harembed.toolchain import (
    PlatformioFailure,
    Toolchain,
    find_host_compiler,
    find_toolchain,
    first_error_lines,
    require_network,
    run_platformio,
)

WARNINGS = ("-Wall", "-Wextra", "-Werror", "-Wconversion", "-Wdouble-promotion")
INCLUDE_DIRS = ("include", "kernels", "port", "app", "model")
FIRMWARE_PARTS = ("include", "kernels", "port", "app")
FOREIGN_C_LIBRARY = ("m", "c")  # of the toolchain; foreign sources call more of it than libc_min.c has


@dataclass(frozen=True)
class FirmwareImage:
    """A linked image. Sizes in bytes, addresses as the core sees them."""

    board: str
    clock_hz: int
    elf: Path
    bin: Path
    toolchain: str  # "arm-none-eabi-gcc 12.2.1"
    optimise: str
    flash_bytes: int  # from the first to the last byte that is flashed: vectors, code, constants, initial .data
    sections: dict[str, int]  # all that occupies memory: .vectors .text .rodata .data .bss .stack
    arena_address: int  # of the symbol he_arena; 0 if the program has no model
    arena_bytes: int
    stack_limit: int  # the stack lies in [stack_limit, stack_top)
    stack_top: int
    invoke_stack_bytes: int | None = None  # deepest stack of he_model_invoke() by the call graph; None: unknown

    @property
    def ram_static_bytes(self) -> int:
        """RAM whose address is fixed at link time, arena included; the stack is apart."""
        return sum(self.sections.get(name, 0) for name in (".data", ".bss"))

    @property
    def stack_bytes(self) -> int:
        """What is kept for the stack; how much of it is used, a simulator measures."""
        return self.stack_top - self.stack_limit


def build_firmware(
    sources: Mapping[str, str],
    board: Board,
    out_dir: Path,
    toolchain: str | None = None,
    optimise: str = "O2",
    defines: Mapping[str, str | int] | None = None,
    clock_hz: int | None = None,
    stock: bool = False,
    outside: Sequence[Collected] = (),
) -> FirmwareImage:
    """Build the image of a board.

    Parameters
    ----------
    sources : {relative path: text}    the generated model: model.c, model.h
    out_dir : Path                     gets firmware.elf, firmware.bin and the folder project/
    toolchain : str                    one of harembed.toolchain.TOOLCHAINS; None takes the first that is there
    optimise : str                     "O2", "O3", "Os", "Ofast" ...
    defines : {macro: value}           besides those of the board
    clock_hz : int                     one of the board's allowed_hz; None takes its default
    stock : bool                       use PlatformIO's own platform (downloads it) instead of the local one
    outside : Collected...             foreign sources that the generated ones call; they need gcc with its C library

    Raises
    ------
    BuildError    no toolchain, or the sources do not compile
    BoardError    the image does not fit the flash or the RAM, or the board cannot run at clock_hz
    """
    if board.memory is None or board.clock is None or board.core is None or board.serial is None:
        raise BoardError(f"{board.name} has no memory map: there is no image to build for it.",
                         "Use build_host, or a board such as nucleo_l552ze_q.")
    clock_hz = board.clock.default_hz if clock_hz is None else clock_hz
    if clock_hz not in board.clock.allowed_hz:
        raise BoardError(f"{board.name} cannot run at {clock_hz:,} Hz.",
                         f"Choose one of {', '.join(f'{hz:,}' for hz in board.clock.allowed_hz)} Hz.")
    environment = f"{board.name}_stock" if stock else board.name
    if stock:
        if board.flash_tools is None:
            raise BoardError(f"PlatformIO has no stock platform for {board.name}.", "Build without it.")
        require_network()
    found = find_toolchain(toolchain)
    if outside and (stock or not found.has_c_library()):
        given = "the stock platform" if stock else found.name + (" alone" if found.kind == "gcc" else "")
        raise BuildError(f"{outside[0].title} is built by arm-none-eabi-gcc with its C library, not by {given}.",
                         "Install the Debian packages gcc-arm-none-eabi, libnewlib-arm-none-eabi and "
                         "libstdc++-arm-none-eabi-newlib, and leave --toolchain out.")
    project = out_dir / "project"
    try:
        write_project(project, sources, board, found, optimise, _macros(board, clock_hz) | dict(defines or {}),
                      outside)
        run_platformio(project, environment, keep_objects=bool(outside))
    except OSError as e:
        shutil.rmtree(project, ignore_errors=True)  # half of it would be left
        raise BuildError(f"Cannot write the project {project}: {_reason(e)}.",
                         "Free some space or choose another --out.") from e
    except PlatformioFailure as e:
        _refuse_overflow(e.output, board)
        raise
    built = project / ".pio" / "build" / environment
    elf = write_atomic(out_dir / "firmware.elf", (built / "firmware.elf").read_bytes())
    flat = write_atomic(out_dir / "firmware.bin", (built / "firmware.bin").read_bytes())
    if (built / "firmware.map").is_file():
        write_atomic(out_dir / "firmware.map", (built / "firmware.map").read_bytes())
    name = "arm-none-eabi-gcc 12.3.1 (PlatformIO stock)" if stock else f"{found.name} {found.version}"
    image = read_image(elf, flat, board.name, clock_hz, name, optimise)
    return replace(image, invoke_stack_bytes=deepest(read_call_graph(built.rglob("*.ci")), "he_model_invoke"))


def _reason(error: OSError) -> str:
    """Why something could not be written, in a few words: copytree collects an error of each file."""
    if isinstance(error, shutil.Error) and error.args and isinstance(error.args[0], list):
        return f"{str(error.args[0][0][2]).partition(':')[0]} ({len(error.args[0])} files)"
    return error.strerror or str(error)


def _macros(board: Board, clock_hz: int) -> dict[str, str | int]:
    """What a port must know of the board file."""
    macros: dict[str, str | int] = {"HE_BOARD": board.name, "HE_CORE_CLOCK_HZ": clock_hz}
    if board.serial is not None:
        macros["HE_UART_BAUD"] = board.serial.baud
    if board.simulators.qemu_icount_shift is not None:
        macros["HE_ICOUNT_SHIFT"] = board.simulators.qemu_icount_shift
    return macros


def write_project(project: Path, sources: Mapping[str, str], board: Board, toolchain: Toolchain, optimise: str,
                  macros: Mapping[str, str | int], outside: Sequence[Collected] = ()) -> None:
    """Write a PlatformIO project: the generated sources, a copy of the firmware's, the local platform, and what is
    taken of foreign libraries."""
    firmware = resource_dir("firmware")
    for folder in ("src", "platform", "outside"):
        shutil.rmtree(project / folder, ignore_errors=True)
    for part in FIRMWARE_PARTS:
        shutil.copytree(firmware / part, project / "src" / part)
    shutil.copytree(firmware / "platform", project / "platform", ignore=shutil.ignore_patterns("__pycache__"))
    for path, text in sources.items():
        write_atomic(project / "src" / "model" / path, text)
    _write_outside(project, outside, optimise)
    compile_flags = [
        "-std=c11", f"-{optimise}", "-g", "-gno-record-gcc-switches", "-ffreestanding", "-fno-common",
        "-ffunction-sections", "-fdata-sections", *WARNINGS,
        *(CALL_GRAPH_FLAGS if toolchain.writes_call_graphs else ()),
        *(f"-Isrc/{part}" for part in INCLUDE_DIRS),
        # As system headers: our warnings are not for them.
        *(f"-isystem outside/{path}" for library in outside for path in library.include),
        *(f"-D{name}={value}" for name, value in macros.items()),
    ]
    templates = jinja2.Environment(
        loader=jinja2.FileSystemLoader(resource_dir("templates") / "pio"),
        undefined=jinja2.StrictUndefined, keep_trailing_newline=True, trim_blocks=False,
    )
    port_sources = [source for source in board.port_sources if not (outside and source == "libc_min.c")]
    values = {"version": __version__, "board": board, "toolchain": toolchain, "compile_flags": compile_flags,
              "outside": bool(outside), "port_sources": port_sources,
              "clock_hz": macros["HE_CORE_CLOCK_HZ"]}
    for name in ("platformio.ini", "link.ld"):
        write_atomic(project / name, templates.get_template(f"{name}.j2").render(values))
    if board.flash_tools is not None:
        shutil.copy(resource_dir("templates") / "pio" / "stock_flags.py", project / "stock_flags.py")


def _write_outside(project: Path, outside: Sequence[Collected], optimise: str) -> None:
    for library in outside:
        for path, data in library.files.items():
            target = project / "outside" / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)
    if outside:
        groups = [{"sources": group.sources, "cxx_flags": group.cxx_flags,
                   "flags": [f"-{optimise}", "-ffunction-sections", "-fdata-sections", *group.flags]}
                  for library in outside for group in library.groups]
        write_atomic(project / "outside.json", dump_json({
            "groups": groups, "include": [path for library in outside for path in library.include],
            "cxx_flags": _common_cxx_flags(outside), "libraries": FOREIGN_C_LIBRARY}))


def _common_cxx_flags(outside: Sequence[Collected]) -> list[str]:
    """What our own C++ must share with foreign C++: the dialect, and macros that change the layout of structs."""
    foreign = [group for library in outside for group in library.groups if group.cxx_flags]
    return list(dict.fromkeys(flag for group in foreign for flag in (*group.cxx_flags, *group.flags)
                              if flag in group.cxx_flags or flag.startswith("-D")))


def _refuse_overflow(output: str, board: Board) -> None:
    """Turn a linker's overflow message (GNU ld, lld) into numbers about the board."""
    overflows = re.findall(r"region [`'](FLASH|RAM)'(?: overflowed|: overflowed) by (\d+) bytes", output)
    if not overflows or board.memory is None:
        return
    region, excess = max(overflows, key=lambda o: int(o[1]))
    size = board.memory.flash.bytes if region == "FLASH" else board.memory.ram.bytes
    what = "flash" if region == "FLASH" else f"RAM (the stack's {board.memory.stack_bytes:,} included)"
    raise BoardError(
        f"The firmware does not fit {board.name}: it needs {size + int(excess):,} bytes of {what}, "
        f"the board has {size:,}.",
        "Take a smaller network (`search`: --ram limits the arena, --macs the work and with it the weights) or a "
        "larger board.",
    )


def read_image(elf: Path, flat: Path, board: str, clock_hz: int, toolchain: str, optimise: str) -> FirmwareImage:
    """Read sizes and symbols from an ELF file.

    Raises
    ------
    BuildError    it is no ELF file, or lacks the stack's symbols
    """
    try:
        with open(elf, "rb") as f:
            file = ELFFile(f)
            # SHF_ALLOC = 2: the section occupies memory when the program runs.
            sections = {s.name: int(s["sh_size"]) for s in file.iter_sections()
                        if s["sh_flags"] & 2 and s["sh_size"]}
            table = file.get_section_by_name(".symtab")
            entries = table.iter_symbols() if isinstance(table, SymbolTableSection) else ()
            symbols = {s.name: (int(s["st_value"]), int(s["st_size"])) for s in entries}
    except ELFError as e:
        raise BuildError(f"{elf} is not a complete ELF file: {e}.", "Build it again.") from e
    if "he_stack_top" not in symbols or "he_stack_limit" not in symbols:
        raise BuildError(f"{elf} has no symbols he_stack_top and he_stack_limit.", "Link it with harembed's link.ld.")
    arena_address, arena_bytes = symbols.get("he_arena", (0, 0))
    return FirmwareImage(
        board, clock_hz, elf, flat, toolchain, optimise, flat.stat().st_size, sections, arena_address, arena_bytes,
        stack_limit=symbols["he_stack_limit"][0], stack_top=symbols["he_stack_top"][0],
    )


def build_host(
    sources: Mapping[str, str],
    out_dir: Path,
    sanitize: bool = False,
    compiler: str | None = None,
    dsp_emulation: bool = False,
    optimise: str = "O2",
    defines: Mapping[str, str | int] | None = None,
) -> Path:
    """Build the same application for this computer; return the program.

    Parameters
    ----------
    sources : {relative path: text}    the generated model
    sanitize : bool                    with AddressSanitizer and UndefinedBehaviorSanitizer, ending at the first find
    compiler : str                     one of harembed.toolchain.HOST_COMPILERS; None takes the first that is there
    dsp_emulation : bool               the kernels' `_dsp` form, its instructions emulated in C

    Raises
    ------
    BuildError    no compiler, no sanitizers in it, or the sources do not compile
    """
    found = find_host_compiler(compiler)
    if sanitize and found.kind == "zig":
        raise BuildError("zig cc brings no AddressSanitizer.", "Install gcc or clang, or build without sanitizers.")
    firmware = resource_dir("firmware")
    model = out_dir / "src" / "model"
    shutil.rmtree(model, ignore_errors=True)
    for path, text in sources.items():
        write_atomic(model / path, text)
    files = [*sorted((firmware / "kernels").glob("*.c")), *sorted((firmware / "app").glob("*.c")),
             firmware / "port" / "host.c", *sorted(model.rglob("*.c"))]
    macros = {**({"HE_DSP_EMULATION": 1} if dsp_emulation else {}), **(defines or {})}
    program = out_dir / "harembed_host"
    partial = out_dir / ".harembed_host.partial"
    flags = ["-std=c11", f"-{optimise}", "-g", *WARNINGS, "-ffunction-sections", "-fdata-sections"]
    if sanitize:
        flags += ["-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer"]
    result = subprocess.run(
        [*found.command, *flags, *(f"-I{firmware / part}" for part in FIRMWARE_PARTS), f"-I{model}",
         *(f"-D{name}={value}" for name, value in macros.items()), *map(str, files), "-o", str(partial)],
        capture_output=True, text=True, errors="replace",
    )
    if result.returncode != 0:
        partial.unlink(missing_ok=True)
        raise BuildError(f"{found.name} {found.version} refused the host program: {first_error_lines(result.stderr)}",
                         f"The generated sources are in {model}; the rest is in {firmware}.")
    return partial.replace(program)
