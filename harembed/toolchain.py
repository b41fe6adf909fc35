"""Finding compilers and running PlatformIO without a network.

Order for a board: `arm-none-eabi-gcc` on PATH, else the one that PlatformIO once downloaded, else the
`ziglang` package, which comes with harembed: something always compiles.
"""

import importlib.util
import json
import os
import shutil
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pooch

from harembed.errors import BuildError, unknown_name
from harembed.rundir import write_atomic

ARM_GCC = "arm-none-eabi-gcc"
TOOLCHAINS = ("gcc", "platformio", "zig")
HOST_COMPILERS = ("gcc", "clang", "zig")
_C_LIBRARIES = ("libc.a", "libstdc++.a")
BUILD_TIMEOUT_S = 1200  # a stock platform is downloaded within it; any other build takes seconds


@dataclass(frozen=True)
class Toolchain:
    """A compiler that was found.

    `command` starts it; `directory` is where its programs are when they are not on PATH, else "".
    """

    name: str
    kind: Literal["gcc", "clang", "zig"]
    command: tuple[str, ...]
    version: str
    directory: str = ""

    @property
    def writes_call_graphs(self) -> bool:
        """Whether it knows harembed.stack_usage.CALL_GRAPH_FLAGS."""
        return self.kind == "gcc" and int(self.version.partition(".")[0] or 0) >= 10

    def has_c_library(self) -> bool:
        """Whether it is a gcc with the libraries of C and C++ beside it: Debian keeps them in packages apart."""
        # Of a library that it does not have, gcc prints the bare name.
        return self.kind == "gcc" and all(
            Path(_output([*self.command, f"-print-file-name={name}"])).is_absolute() for name in _C_LIBRARIES)


def _output(command: list[str]) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


def _gcc(program: str, directory: str = "") -> Toolchain | None:
    path = shutil.which(program, path=directory or None)
    version = _output([path, "-dumpfullversion"]) if path else ""
    return Toolchain(program, "gcc", (path,), version, directory) if path and version else None


def _clang() -> Toolchain | None:
    path = shutil.which("clang")
    version = _output([path, "-dumpversion"]) if path else ""
    return Toolchain("clang", "clang", (path,), version) if path and version else None


def _zig() -> Toolchain | None:
    if importlib.util.find_spec("ziglang") is None:
        return None
    version = _output([sys.executable, "-m", "ziglang", "version"])
    return Toolchain("zig cc", "zig", (sys.executable, "-m", "ziglang", "cc"), version) if version else None


def _platformio_gcc() -> Toolchain | None:
    """The compiler in PlatformIO's package folder, if a stock platform was ever installed."""
    core = Path(os.environ.get("PLATFORMIO_CORE_DIR", Path.home() / ".platformio"))
    packages = Path(os.environ.get("PLATFORMIO_PACKAGES_DIR", core / "packages"))
    return _gcc(ARM_GCC, str(packages / "toolchain-gccarmnoneeabi" / "bin"))


def find_toolchain(wanted: str | None = None) -> Toolchain:
    """The first cross compiler of TOOLCHAINS that works, or exactly the wanted one.

    Raises
    ------
    BuildError    the wanted one, or every one, is missing
    """
    finders = {"gcc": lambda: _gcc(ARM_GCC), "platformio": _platformio_gcc, "zig": _zig}
    if wanted is not None and wanted not in finders:
        raise BuildError(unknown_name("toolchain", wanted, list(TOOLCHAINS)),
                         "Leave --toolchain out to let harembed choose.")
    for name in TOOLCHAINS if wanted is None else (wanted,):
        found = finders[name]()
        if found is not None:
            return found
    missing = {"gcc": f"{ARM_GCC} on PATH", "platformio": "PlatformIO's toolchain-gccarmnoneeabi", "zig": "ziglang"}
    looked = ", ".join(missing[n] for n in (TOOLCHAINS if wanted is None else (wanted,)))
    raise BuildError(f"There is no compiler for Cortex-M: looked for {looked}.",
                     "Type `pip install ziglang`, or install the Debian package gcc-arm-none-eabi.")


def find_host_compiler(wanted: str | None = None) -> Toolchain:
    """gcc, clang or zig for this computer, in this order, or exactly the wanted one.

    Raises
    ------
    BuildError    the wanted one, or every one, is missing
    """
    finders = {"gcc": lambda: _gcc("gcc"), "clang": _clang, "zig": _zig}
    if wanted is not None and wanted not in finders:
        raise BuildError(unknown_name("host compiler", wanted, list(HOST_COMPILERS)), "Leave the compiler out.")
    for name in HOST_COMPILERS if wanted is None else (wanted,):
        found = finders[name]()
        if found is not None:
            return found
    raise BuildError(f"There is no C compiler for this computer: looked for {wanted or ', '.join(HOST_COMPILERS)}.",
                     "Type `pip install ziglang`, or install gcc.")


def prepare_platformio_core(core_dir: Path) -> None:
    """Make a core folder in which PlatformIO finds SCons, taken from the package index, as its own tool.

    Raises
    ------
    BuildError    PlatformIO or SCons is not installed
    """
    try:
        from platformio.dependencies import get_core_dependencies
    except ImportError as e:
        raise BuildError("PlatformIO is not installed.", "Type `pip install platformio scons`.") from e
    if importlib.util.find_spec("SCons") is None:
        raise BuildError("SCons is not installed.", "Type `pip install scons`.")
    name = "tool-scons"
    version = get_core_dependencies()[name].lstrip("~^=")
    spec = {"owner": "platformio", "id": None, "name": name, "requirements": None, "uri": None}
    files = {
        "package.json": json.dumps({"name": name, "version": version}),
        ".piopm": json.dumps({"type": "tool", "name": name, "version": version, "spec": spec}),
        ".piokeep": "",
        "scons.py": "from SCons.Script.Main import main\n\nmain()\n",
    }
    for file_name, text in files.items():
        path = core_dir / "packages" / name / file_name
        if not path.is_file() or path.read_text() != text:
            write_atomic(path, text)


def run_platformio(project: Path, environment: str, keep_objects: bool = False) -> str:
    """Build one environment of a project; return what PlatformIO printed.

    Parameters
    ----------
    keep_objects : bool    in the user's cache folder: foreign sources are many and never change, so other projects
        need not compile them again

    Raises
    ------
    BuildError    the build failed; `output` of the error is all that was printed
    """
    project = project.resolve()  # PlatformIO reads a relative core directory from inside the project
    core_dir = project / ".core"
    prepare_platformio_core(core_dir)
    settings = {
        "PLATFORMIO_CORE_DIR": str(core_dir),
        "PLATFORMIO_DISABLE_UPGRADE_CHECK": "true",
        "PLATFORMIO_SETTING_ENABLE_TELEMETRY": "no",
        "PLATFORMIO_NO_ANSI": "true",
    }
    if keep_objects:
        settings["PLATFORMIO_BUILD_CACHE_DIR"] = str(Path(pooch.os_cache("harembed")) / "objects")
    # Any other PLATFORMIO_* of the caller could move the build folder or the packages.
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("PLATFORMIO_")}
    try:
        result = subprocess.run(
            [sys.executable, "-m", "platformio", "run", "-d", str(project), "-e", environment],
            env=inherited | settings, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace",
            timeout=BUILD_TIMEOUT_S,
        )
    except subprocess.TimeoutExpired as e:
        raise BuildError(f"PlatformIO did not end within {BUILD_TIMEOUT_S} s in {project}.",
                         f"Type `pio run -v -e {environment}` there to see where it waits.") from e
    output = result.stdout + result.stderr
    if result.returncode != 0:
        raise PlatformioFailure(output)
    return output


class PlatformioFailure(BuildError):
    """A failed build, with all that was printed."""

    def __init__(self, output: str) -> None:
        super().__init__(f"The build failed: {first_error_lines(output)}",
                         "The project folder beside the firmware holds the sources; `pio run -v` there shows all.")
        self.output = output


def first_error_lines(output: str, count: int = 3) -> str:
    """The lines of a build's output that name errors, in one line; else its last lines."""
    marks = ("error:", "Error:", "undefined reference", "undefined symbol", "No module named", "cannot ")
    echoes = ("collect2:", "*** [")  # only say that something before them failed
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    named = [line for line in lines if any(m in line for m in marks) and not line.startswith(echoes)]
    failed = [line for line in lines if line.startswith("*** [")]
    return " | ".join((named or failed or lines[-count:])[:count])


def require_network(timeout_s: float = 3.0) -> None:
    """Say at once, not after a minute, that PlatformIO's registry cannot be reached.

    Raises
    ------
    BuildError    none of the registry's hosts answers and no proxy is set
    """
    from platformio import __registry_mirror_hosts__ as hosts

    if any(os.environ.get(k) for k in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")):
        return
    for host in hosts:
        try:
            socket.create_connection((f"api.{host}", 443), timeout=timeout_s).close()
            return
        except OSError:
            continue
    raise BuildError("PlatformIO's stock platform must be downloaded, and its registry does not answer.",
                     "Build for the board's own environment: harembed's platform needs no network.")
