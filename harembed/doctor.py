"""What this machine has and lacks for harembed's verbs, and what to type to get it.

Only facts: nothing is changed, nothing is downloaded, and what is optional says which verb wants it.
"""

import importlib.metadata
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pooch
from packaging.requirements import Requirement

from harembed.board import board_names, load_board
from harembed.data import daphnet, dsads, hapt, motionsense, opportunity, pamap2, skoda, uci_har, unimib_shar, wisdm
from harembed.data.source import ENVIRONMENT, ArchiveSource
from harembed.errors import BuildError
from harembed.libraries import LIBRARIES, is_here
from harembed.toolchain import TOOLCHAINS, find_host_compiler, find_toolchain

MINIMUM_PYTHON = (3, 11)
ARCHIVES: dict[str, ArchiveSource] = {
    "uci-har": uci_har.SOURCE, "hapt": hapt.SOURCE, "motionsense": motionsense.SOURCE, "daphnet": daphnet.SOURCE,
    "dsads": dsads.SOURCE, "wisdm": wisdm.SOURCE, "unimib-shar": unimib_shar.SOURCE, "pamap2": pamap2.SOURCE,
    "opportunity": opportunity.SOURCE, "skoda": skoda.SOURCE}


@dataclass(frozen=True)
class Check:
    """One condition: `found` says what is there, `fix` what to type where it is not ("" where nothing helps)."""

    name: str
    ok: bool
    found: str
    needed_for: str
    fix: str
    required: bool = False  # without it the default run fails


def checks(data_root: Path | None = None) -> list[Check]:
    """All checks, from the interpreter outwards.

    Parameters
    ----------
    data_root : Path    as --data-root; None looks where HAREMBED_DATA says
    """
    return [_python(), *_packages(), _ray(), _toolchain(), *_optional_compilers(), _host_compiler(), *_programs(),
            _serial_ports(), *_foreign_sources(), *_datasets(data_root)]


def _python() -> Check:
    found = ".".join(map(str, sys.version_info[:3]))
    return Check("python", sys.version_info[:2] >= MINIMUM_PYTHON, found, "everything",
                 "Install Python 3.11 or newer.", required=True)


# (distribution, needed for); which versions will do, harembed's own metadata says.
_PACKAGES = (
    ("torch", "search and training"),
    ("unicorn", "running the board's image on this machine"),
    ("tflite-micro", "the reference that exports are compared with"),
    ("ai-edge-litert", "the second reference of .tflite exports"),
    ("onnxruntime", "checking .onnx exports"),
    ("platformio", "building firmware"),
    ("scons", "building firmware without network"),
    ("seglearn", "the default dataset"),
    ("pyserial", "talking to a board"),
)


def _packages() -> Iterable[Check]:
    wanted = {r.name: r for r in map(Requirement, importlib.metadata.requires("harembed") or [])}
    for name, needed_for in _PACKAGES:
        requirement = wanted.get(name, Requirement(name))
        try:
            found = importlib.metadata.version(name)
            ok = requirement.specifier.contains(found, prereleases=True)
        except importlib.metadata.PackageNotFoundError:
            found, ok = "missing", False
        yield Check(name, ok, found, needed_for, f"Type `pip install '{requirement}'`.", required=True)


def _ray() -> Check:
    """An extra: searches train in local processes without it."""
    try:
        found = importlib.metadata.version("ray")
    except importlib.metadata.PackageNotFoundError:
        found = "missing"
    return Check("ray", found != "missing", found, "--executor ray: searches on several machines",
                 "Type `pip install 'harembed[ray]'`.")


def _toolchain() -> Check:
    """The compiler that a build without --toolchain would take."""
    try:
        found = find_toolchain()
    except BuildError as e:
        return Check("cross compiler", False, "missing", "building firmware", e.hint, required=True)
    return Check("cross compiler", True, f"{found.name} {found.version}", "building firmware", "", required=True)


_COMPILER_FIXES = {
    "gcc": "Type `sudo apt-get install gcc-arm-none-eabi`.",
    "platformio": "Comes when PlatformIO's stock platform is used once, with network.",
    "zig": "Type `pip install ziglang`.",
}


def _optional_compilers() -> Iterable[Check]:
    for name in TOOLCHAINS:
        try:
            found = find_toolchain(name)
            text = f"{found.name} {found.version}"
        except BuildError:
            text = ""
        yield Check(f"toolchain {name}", bool(text), text or "missing", f"--toolchain {name}; one of them is enough",
                    _COMPILER_FIXES[name])


def _host_compiler() -> Check:
    try:
        found = find_host_compiler()
    except BuildError as e:
        return Check("host compiler", False, "missing", "--board host", e.hint)
    return Check("host compiler", True, f"{found.name} {found.version}", "--board host", "")


# (program, arguments that print its version, needed for, fix)
_PROGRAMS = (
    ("qemu-system-arm", ("--version",), "--board mps2_an505", "Type `sudo apt-get install qemu-system-arm`."),
    ("renode", ("--version",), "--on renode", "Unpack a portable release of Renode and add it to PATH."),
    ("openocd", ("--version",), "flashing a board", "Type `sudo apt-get install openocd`."),
    ("pyocd", ("--version",), "flashing a board, instead of openocd", "Type `pip install pyocd`."),
)


def _programs() -> Iterable[Check]:
    for program, arguments, needed_for, fix in _PROGRAMS:
        path = shutil.which(program)
        yield Check(program, path is not None, _first_line(path, arguments) if path else "missing", needed_for, fix)


def _first_line(path: str, arguments: tuple[str, ...]) -> str:
    """What a program says of its version; some print it on standard error."""
    try:
        done = subprocess.run([path, *arguments], capture_output=True, text=True, errors="replace", timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return "does not answer"
    lines = (done.stdout + done.stderr).strip().splitlines()
    return lines[0].strip() if lines else "found"


def _serial_ports() -> Check:
    """Serial ports, with the board's name where the USB id is that of its debug probe."""
    try:
        from serial.tools.list_ports import comports
    except ImportError:
        return Check("serial ports", False, "pyserial is missing", "a board by --port", "See pyserial above.")
    boards: dict[str, str] = {}
    for board in map(load_board, board_names()):
        if board.serial is not None and board.serial.usb_id is not None:
            boards[board.serial.usb_id] = board.name
    found = []
    for port in comports():
        usb_id = f"{port.vid:04x}:{port.pid:04x}" if port.vid is not None and port.pid is not None else ""
        found.append(f"{port.device} (perhaps {boards[usb_id]})" if usb_id in boards else port.device)
    return Check("serial ports", bool(found), ", ".join(found) or "none", "a board by --port",
                 "Connect a board by USB. On Linux your user must be in the group dialout.")


def _foreign_sources() -> Iterable[Check]:
    """Of the other backends: a checkout, or what was downloaded before."""
    for name, library in LIBRARIES.items():
        if library.variable:
            found = is_here(name)
            yield Check(f"sources of {library.title}", found, os.environ.get(library.variable, "downloaded before")
                        if found else "not here", f"--backend {name}, compare",
                        f"Downloaded on first use; without network name a checkout by {library.variable}.")


def _datasets(data_root: Path | None) -> Iterable[Check]:
    for name, source in ARCHIVES.items():
        path = _archive(source, data_root)
        yield Check(f"dataset {name}", path is not None, str(path) if path else "not here", f"--dataset {name}",
                    f"It is downloaded on first use; without network put {source.download_name!r} into a folder "
                    f"and name that by --data-root or {ENVIRONMENT}.")


def _archive(source: ArchiveSource, data_root: Path | None) -> Path | None:
    """Where find_or_download would find it without downloading."""
    named = data_root or (Path(os.environ[ENVIRONMENT]) if os.environ.get(ENVIRONMENT) else None)
    folders = [folder for folder in (named, Path(pooch.os_cache("harembed"))) if folder is not None]
    return next((folder / name for folder in folders for name in source.names if (folder / name).exists()), None)
