"""Outside sources that a backend is built from: CMSIS-NN, TFLite Micro and the headers that TFLite Micro needs.

They are not part of this project. Each is a folder named by an environment variable, or the pinned revision that
PlatformIO's package manager downloads once. What a build takes of it is copied into the build's project, with its
revision and a hash of what was taken.
"""

import hashlib
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pooch

from harembed.errors import BuildError

_HOME = "github.com"
_TFLM_DOWNLOADS = "tensorflow/lite/micro/tools/make/downloads"


@dataclass(frozen=True)
class Library:
    """Where a library is found.

    Attributes
    ----------
    variable : environment variable with the path of a checkout; "" if it is found inside another one
    inside : (library, path) where a checkout of another library keeps this one
    marker : a file by which the right folder is known
    repository, revision : what is downloaded without a checkout, and what this project was tested with
    """

    title: str
    variable: str
    marker: str
    repository: str
    revision: str
    inside: tuple[str, str] | None = None


LIBRARIES: dict[str, Library] = {
    "cmsis_nn": Library("CMSIS-NN", "HAREMBED_CMSIS_NN", "Include/arm_nnfunctions.h", "ARM-software/CMSIS-NN",
                        "4ab83cc3cc98fb85ed6dafb55e8ca02f1628dcae"),
    "tflm": Library("TFLite Micro", "HAREMBED_TFLM", "tensorflow/lite/micro/micro_interpreter.h",
                    "tensorflow/tflite-micro", "90b983c2b3f1480642e040bbd2ddb37b998f3424"),
    # The revisions of these three are those that TFLite Micro's makefile names, FlatBuffers' as v25.9.23.
    "flatbuffers": Library("FlatBuffers", "", "include/flatbuffers/flatbuffers.h", "google/flatbuffers",
                           "187240970746d00bbd26b0f5873ed54d2477f9f3",
                           ("tflm", f"{_TFLM_DOWNLOADS}/flatbuffers")),
    "gemmlowp": Library("gemmlowp", "", "fixedpoint/fixedpoint.h", "google/gemmlowp",
                        "719139ce755a0f31cbf1c37f7f98adcc7fc9f425", ("tflm", f"{_TFLM_DOWNLOADS}/gemmlowp")),
    "ruy": Library("ruy", "", "ruy/profiler/instrumentation.h", "google/ruy",
                   "d37128311b445e758136b8602d1bbd2a755e115d", ("tflm", f"{_TFLM_DOWNLOADS}/ruy")),
}


@dataclass(frozen=True)
class SourceGroup:
    """Files of one library that are compiled alike; paths relative to the project's folder `outside`."""

    sources: tuple[str, ...]
    flags: tuple[str, ...]
    cxx_flags: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Collected:
    """What a build takes of a library.

    Attributes
    ----------
    files : {path below outside/: content}
    include : folders below outside/ with its headers
    revision : of the checkout; None if it is no git repository
    sha256 : of all files' names and contents
    """

    name: str
    title: str
    files: Mapping[str, bytes]
    groups: tuple[SourceGroup, ...]
    include: tuple[str, ...]
    revision: str | None

    @property
    def sha256(self) -> str:
        digest = hashlib.sha256()
        for path in sorted(self.files):
            digest.update(f"{path}\0{len(self.files[path])}\0".encode())
            digest.update(self.files[path])
        return digest.hexdigest()


def is_here(name: str) -> bool:
    """Whether a library can be used without downloading anything."""
    return _local(name) is not None


def find_library(name: str) -> Path:
    """The folder of a library; downloaded if need be.

    Raises
    ------
    BuildError    it is not here and cannot be downloaded, or the variable names a folder that is not the library
    """
    library = LIBRARIES[name]
    found = _local(name) or _download(name)
    if not (found / library.marker).is_file():
        raise BuildError(f"{found} is no {library.title}: it has no {library.marker}.",
                         f"Set {library.variable} to a checkout of it." if library.variable else
                         "In the checkout of TFLite Micro, run `make -f tensorflow/lite/micro/tools/make/Makefile "
                         "third_party_downloads`.")
    return found


def _local(name: str) -> Path | None:
    library = LIBRARIES[name]
    if library.variable and os.environ.get(library.variable):
        return Path(os.environ[library.variable]).expanduser().resolve()
    if library.inside is not None:
        owner = LIBRARIES[library.inside[0]]
        if os.environ.get(owner.variable):
            return Path(os.environ[owner.variable]).expanduser().resolve() / library.inside[1]
    downloaded = _storage() / _package(name)
    return downloaded if (downloaded / library.marker).is_file() else None


def _storage() -> Path:
    return Path(pooch.os_cache("harembed")) / "outside"


def _package(name: str) -> str:
    return f"{name}-{LIBRARIES[name].revision[:12]}"


def _download(name: str) -> Path:
    """Have PlatformIO fetch the pinned revision, as it does with lib_deps."""
    library = LIBRARIES[name]
    wanted = next(v for v in (library.variable, LIBRARIES["tflm"].variable) if v)
    try:
        socket.create_connection((_HOME, 443), timeout=3.0).close()
    except OSError as e:
        raise BuildError(f"{library.title} is not here: {wanted} is not set, and {_HOME} cannot be reached.",
                         f"Set {wanted} to a checkout of {_HOME}/{library.repository} "
                         f"(revision {library.revision[:12]}).") from e
    _install(f"{_package(name)}={_archive(library)}", library)
    return _storage() / _package(name)


def _archive(library: Library) -> str:
    return f"https://{_HOME}/{library.repository}/archive/{library.revision}.zip"


def _install(spec: str, library: Library) -> None:
    storage = _storage()
    storage.mkdir(parents=True, exist_ok=True)
    settings = {"PLATFORMIO_CORE_DIR": str(storage / ".core"), "PLATFORMIO_DISABLE_UPGRADE_CHECK": "true",
                "PLATFORMIO_SETTING_ENABLE_TELEMETRY": "no", "PLATFORMIO_NO_ANSI": "true"}
    result = subprocess.run(
        [sys.executable, "-m", "platformio", "pkg", "install", "--global", "--library", spec, "--storage-dir",
         str(storage)], env=os.environ | settings, stdin=subprocess.DEVNULL, capture_output=True, text=True,
        errors="replace")
    if result.returncode != 0:
        told = (result.stderr or result.stdout).strip().splitlines()
        raise BuildError(f"PlatformIO cannot download {library.title}: {told[-1] if told else 'it says nothing'}",
                         f"Get {spec.partition('=')[2]}, unpack it, and name the folder by {library.variable}."
                         if library.variable else f"Get {spec.partition('=')[2]} by hand.")


def revision(root: Path) -> str | None:
    """The commit of a checkout, with "+" if files were changed; None if it is none or git is not installed."""
    if not (root / ".git").exists():
        return None
    head = _git(root, "rev-parse", "HEAD")
    changed = _git(root, "status", "--porcelain", "--untracked-files=no")
    return head + ("+" if changed else "") if head else None


def _git(root: Path, *arguments: str) -> str:
    try:
        return subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, text=True,
                              check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


def collect(name: str, patterns: Iterable[str], groups: Iterable[tuple[Iterable[str], SourceGroup]],
            include: tuple[str, ...] = ("",), without: str = r"$^") -> Collected:
    """Read what a build needs of a library.

    Parameters
    ----------
    patterns : globs of headers
    groups : (globs of sources, how they are compiled; its `sources` are filled in here)
    include : folders of headers, relative to the library
    without : regular expression of paths to leave out
    """
    root = find_library(name)
    left_out = re.compile(without)

    def matches(globs: Iterable[str]) -> list[str]:
        paths = {p.relative_to(root).as_posix() for glob in globs for p in root.glob(glob)}
        return sorted(p for p in paths if not left_out.search(p))

    files = {path: (root / path).read_bytes() for path in matches(patterns)}
    filled = []
    for globs, group in groups:
        sources = matches(globs)
        files |= {path: (root / path).read_bytes() for path in sources}
        filled.append(SourceGroup(tuple(f"{name}/{path}" for path in sources), group.flags, group.cxx_flags))
    return Collected(name, LIBRARIES[name].title, {f"{name}/{path}": data for path, data in files.items()},
                     tuple(filled), tuple(f"{name}/{path}".rstrip("/") for path in include), revision(root))
