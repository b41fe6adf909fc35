"""A run folder: one file per finished stage, readable in two years with a text editor.

Files appear whole or not at all (temporary file, fsync, rename), so a run that was killed goes on where it
stopped. A stage is finished when its file exists; nothing else records progress.
"""

import json
import os
import time
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from harembed.errors import HarembedError, RunError

FORMAT_VERSION = 1
SECONDS_FILE = "seconds.json"  # of computation so far, where a verb counts them


def write_atomic(path: Path, data: bytes | str) -> Path:
    """Write a file so that a reader sees the old content or the new one, never a part.

    Raises
    ------
    HarembedError    the disk is full, or the folder is not writable; the old file is untouched
    """
    raw = data.encode() if isinstance(data, str) else data
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(temporary, "wb") as f:
            f.write(raw)
            f.flush()
            os.fsync(f.fileno())
        os.replace(temporary, path)
    except OSError as e:
        temporary.unlink(missing_ok=True)
        raise HarembedError(f"Cannot write {path} ({len(raw):,} bytes): {e.strerror}.",
                            "Free some space or choose another folder with --out.") from e
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return path


def dump_json(value: Any) -> str:
    """JSON as this project writes it everywhere: sorted as given, two spaces, a final newline."""
    return json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


class RunDir:
    """The folder of one run.

    Parameters
    ----------
    path : Path    created when first written to
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def file(self, name: str) -> Path:
        return self.path / name

    def has(self, name: str) -> bool:
        return self.file(name).is_file()

    def write(self, name: str, data: bytes | str) -> Path:
        return write_atomic(self.file(name), data)

    def write_json(self, name: str, value: Any) -> Path:
        return self.write(name, dump_json(value))

    def read_json(self, name: str) -> Any:
        try:
            return json.loads(self.file(name).read_text())
        except FileNotFoundError as e:
            raise RunError(f"Run {self.path} has no {name}.", "Run the command again that made the folder: it makes "
                           "what is missing.") from e
        except json.JSONDecodeError as e:
            raise RunError(f"{self.file(name)} is not valid JSON: {e}.", "Delete it; the stage runs again.") from e

    @contextmanager
    def count_seconds(self) -> Iterator[None]:
        """Add the time that the body takes, however it ends, to that of earlier commands; nothing if the body leaves
        no folder."""
        started = time.monotonic()
        try:
            yield
        finally:
            if self.path.is_dir():
                before = self.read_json(SECONDS_FILE) if self.has(SECONDS_FILE) else 0.0
                self.write_json(SECONDS_FILE, round(before + time.monotonic() - started, 1))

    def write_npz(self, name: str, **arrays: np.ndarray) -> Path:
        import io

        buffer = io.BytesIO()
        np.savez(buffer, **arrays)  # type: ignore[arg-type]
        return self.write(name, buffer.getvalue())

    def read_npz(self, name: str) -> dict[str, np.ndarray]:
        try:
            with np.load(self.file(name), allow_pickle=False) as z:
                return {k: z[k] for k in z.files}
        except FileNotFoundError as e:
            raise RunError(f"Run {self.path} has no {name}.", "Run the stage that makes it.") from e
        except (ValueError, OSError) as e:
            raise RunError(f"{self.file(name)} is damaged: {e}.", "Delete it; the stage runs again.") from e

    def sweep(self) -> None:
        """Remove temporary files of processes that were killed while they wrote."""
        for path in (*self.path.glob(".*.tmp"), *self.path.glob("c/.*.tmp")):
            process = path.name.split(".")[-2]
            if not process.isdecimal() or not _alive(int(process)):
                path.unlink(missing_ok=True)

    def claim(self, settings_toml: str) -> None:
        """Bind the folder to these settings, or refuse if it holds a run with others.

        Raises
        ------
        RunError    names the first setting that differs, or the other format version
        """
        text = f"format_version = {FORMAT_VERSION}\n{settings_toml}"
        if not self.has("run.toml"):
            self.write("run.toml", text)
            return
        try:
            old = tomllib.loads(self.file("run.toml").read_text())
        except tomllib.TOMLDecodeError as e:
            raise RunError(f"{self.file('run.toml')} is damaged: {e}.", "Use another folder with --out.") from e
        new = tomllib.loads(text)
        for key in sorted(old.keys() | new.keys()):
            if old.get(key) != new.get(key):
                raise RunError(f"{self.path} holds a run with {key} = {old.get(key)!r}, now {new.get(key)!r} is "
                               "asked for.", "Use another folder with --out, or delete this one.")


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True
