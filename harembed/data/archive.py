"""Read members of a .zip, a .tar.xz or a folder, without unpacking to disk; parse tables of numbers."""

import hashlib
import io
import lzma
import shutil
import tarfile
import tempfile
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from harembed.errors import DataError

_BROKEN = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, tarfile.TarError, EOFError, NotImplementedError)


def iterate_members(path: Path, keep: Callable[[str], bool],
                    inner: str | None = None) -> Iterator[tuple[str, bytes]]:
    """Yield (name, content) of the members that `keep` accepts, in the order of the archive.

    Names use "/" and are relative to the archive's root; a folder is taken as the archive's only
    top-level folder, so its own name comes first.

    Parameters
    ----------
    inner : str or None    a zip inside the zip (so does UCI wrap its archives) that is opened instead

    Raises
    ------
    DataError    the archive is damaged or cannot be read (names it and the member)
    """
    member = "its directory"
    try:
        for member, read in _entries(path, inner):
            if keep(member):
                yield member, read()
    except _BROKEN as e:
        raise DataError(f"{path} is damaged at {member}: {e or type(e).__name__}.",
                        "Delete the file and get it again; an interrupted download looks like this.") from e
    except OSError as e:
        raise DataError(f"{path} cannot be read at {member}: {e.strerror or e}.",
                        "Check the path and its rights.") from e


def _entries(path: Path, inner: str | None) -> Iterator[tuple[str, Callable[[], bytes]]]:
    """Names of all files in the archive, each with a function that reads it (call it before going on)."""
    if path.is_dir():
        for file in sorted(p for p in path.rglob("*") if p.is_file()):
            yield f"{path.name}/{file.relative_to(path).as_posix()}", file.read_bytes
    elif path.suffix == ".zip":
        with zipfile.ZipFile(path) as outer:
            if inner is not None and inner in outer.namelist():
                # On disk from 64 MiB on: PAMAP2's inner archive alone has 656 MB.
                with tempfile.SpooledTemporaryFile(max_size=1 << 26) as copy:
                    with outer.open(inner) as member:
                        shutil.copyfileobj(member, copy, 1 << 20)
                    with zipfile.ZipFile(copy) as nested:
                        yield from ((i.filename, _reader(nested, i)) for i in nested.infolist() if not i.is_dir())
            else:
                yield from ((i.filename, _reader(outer, i)) for i in outer.infolist() if not i.is_dir())
    else:
        with tarfile.open(path, "r:*") as tar:
            for entry in tar:
                stream = tar.extractfile(entry) if entry.isfile() else None
                if stream is not None:
                    yield entry.name.removeprefix("./"), stream.read


def _reader(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> Callable[[], bytes]:
    return lambda: archive.read(entry)


def parse_table(raw: bytes, where: str, columns: int, delimiter: str | None = None,
                header_lines: int = 0, missing: bool = False) -> np.ndarray:
    """Parse a table of finite numbers.

    Parameters
    ----------
    where : str                 archive and member, for errors
    delimiter : str or None     None: any white space
    missing : bool              the format writes NaN where a value is missing: it is kept

    Returns
    -------
    [rows, columns] float64

    Raises
    ------
    DataError    no rows, a wrong column count, a word that is no number, or NaN: names the member and line
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # "input contained no data" becomes the error below
            table = np.loadtxt(io.BytesIO(raw), np.float64, delimiter=delimiter, skiprows=header_lines, ndmin=2,
                               comments=None, encoding="latin-1")
    except ValueError:
        table = np.empty((0, 0))
    bad = np.isinf(table) if missing else ~np.isfinite(table)
    if table.shape[1] != columns or not len(table) or bad.any():
        raise DataError(_first_fault(raw, where, columns, delimiter, header_lines, missing),
                        "Get the archive again from its official source; this copy is damaged.")
    return table


def _first_fault(raw: bytes, where: str, columns: int, delimiter: str | None, header_lines: int,
                 missing: bool) -> str:
    """Say what is wrong at which line; only reached when something is."""
    lines = raw.decode("latin-1").splitlines()
    for number, line in enumerate(lines[header_lines:], start=header_lines + 1):
        if not line.strip():
            continue
        words = line.split(delimiter)
        if len(words) != columns:
            return f"{where}, line {number}: {len(words)} columns instead of {columns}."
        for column, word in enumerate(words, start=1):
            try:
                value = float(word)
            except ValueError:
                return f"{where}, line {number}, column {column}: {word!r} is not a number."
            if not np.isfinite(value) and not (missing and np.isnan(value)):
                return f"{where}, line {number}, column {column}: {word.strip()} is not a finite number."
    return f"{where}: no line of numbers in {len(raw):,} bytes."


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, in hex."""
    with open(path, "rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


def git_blob_of(path: Path) -> str:
    """The id that git gives a file's content (SHA-1 of a header and the bytes), in hex."""
    digest = hashlib.sha1(b"blob %d\0" % path.stat().st_size, usedforsecurity=False)
    with open(path, "rb") as f:
        while chunk := f.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()
