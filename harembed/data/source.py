"""Find an official archive on this machine, or download it once and check it."""

import logging
import os
from dataclasses import dataclass
from pathlib import Path

import pooch
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from harembed.data.archive import git_blob_of, sha256_of
from harembed.errors import DataError, MissingDataError

ENVIRONMENT = "HAREMBED_DATA"  # folder with the official archives


@dataclass(frozen=True)
class ArchiveSource:
    title: str
    names: tuple[str, ...]  # accepted file and folder names, the preferred one first
    url: str  # official
    download_name: str  # one of `names`
    sha256: str | None  # of what `url` delivers, where published or independently recorded
    git_blob: str | None  # or its id in the tree of the official git repository
    official: tuple[str, ...]  # "sha256 ..." or "git blob ..." of every official form; empty: none is published


def uci_archive(title: str, number: int, download_name: str, names: tuple[str, ...], sha256: str | None = None,
                official: tuple[str, ...] = ()) -> ArchiveSource:
    """A dataset of the UCI repository, which delivers each under its number."""
    return ArchiveSource(title, names, f"https://archive.ics.uci.edu/static/public/{number}/{download_name}",
                         download_name, sha256, None, official)


def find_or_download(source: ArchiveSource, data_root: Path | None) -> Path:
    """Return the archive (or unpacked folder).

    Looked for in `data_root`, then in the folder named by HAREMBED_DATA, then in the user's cache folder;
    downloaded into the last of these. A folder that the user named must exist.

    Raises
    ------
    DataError           a named folder does not exist
    MissingDataError    the download fails or has another checksum
    """
    cache = Path(pooch.os_cache("harembed"))
    environment = os.environ.get(ENVIRONMENT)
    named = data_root or (Path(environment) if environment else None)
    if named is not None and not named.is_dir():
        raise DataError(f"The data folder {named} does not exist.", f"Correct --data-root or {ENVIRONMENT}.")
    folders = [cache] if named is None else [named, cache]
    for folder in folders:
        for name in source.names:
            if (folder / name).exists():
                return folder / name
    return _download(source, cache, folders[0])


def describe_checksum(source: ArchiveSource, path: Path) -> tuple[str, str | None]:
    """Say what file was read, and note if it is not the official one.

    Returns
    -------
    source words with the SHA-256, and a note or None
    """
    if path.is_dir():
        return (f"{path.name} (unpacked folder)",
                f"{path.name} was read from an unpacked folder: no checksum was compared.")
    sha256 = f"sha256 {sha256_of(path)}"
    words = f"{path.name}, {sha256}"
    if not source.official:
        return words, (f"No checksum of the official {source.title} archive is published or recorded here: nothing "
                       f"was compared. It comes from {source.url}")
    if sha256 in source.official or f"git blob {git_blob_of(path)}" in source.official:
        return f"{words} (official)", None
    return words, (f"The archive {path.name} is not byte for byte the official one ({' or '.join(source.official)}): "
                   "results are on this copy.")


def _download(source: ArchiveSource, cache: Path, wanted: Path) -> Path:
    checksum = f" ({source.official[0]})" if source.official else ""
    by_hand = (f"Get {source.url} by hand{checksum} and put it as {source.download_name!r} into "
               f"{wanted}, or into a folder named by --data-root.")
    pooch.get_logger().setLevel(logging.ERROR)
    bar = _Bar(source.title)

    def downloader(url: str, output_file: str, pup: object) -> None:
        pooch.HTTPDownloader(progressbar=bar, chunk_size=1 << 16)(url, output_file, pup)
        # Checked here, on the temporary file: what fails never appears under the archive's name.
        if source.git_blob and (found := git_blob_of(Path(output_file))) != source.git_blob:
            raise ValueError(f"the download has git blob id {found}, the official repository lists {source.git_blob}")

    try:
        known_hash = f"sha256:{source.sha256}" if source.sha256 else None
        return Path(pooch.retrieve(source.url, known_hash, source.download_name, cache, downloader=downloader))
    except (OSError, ValueError) as e:  # requests' errors are OSErrors; pooch words a wrong checksum as ValueError
        raise MissingDataError(f"{source.title} is not at hand and its download failed: {_short(e)}.", by_hand) from e
    finally:
        bar.close()


def _short(error: Exception) -> str:
    """The innermost reason of a chained network error, in one line."""
    text = " ".join(str(error).split())
    for mark in ("NameResolutionError", "NewConnectionError", "Max retries"):
        if mark in text:
            return "no connection to the server"
    return text[:200].rstrip(".")


class _Bar:
    """What pooch expects of a progress bar, drawn by rich; closed twice does no harm."""

    def __init__(self, title: str) -> None:
        self._progress = Progress(TextColumn("{task.description}"), BarColumn(), DownloadColumn(),
                                  TimeRemainingColumn())
        self._task = self._progress.add_task(title, total=None)
        self._total: int | None = None
        self._started = False

    @property
    def total(self) -> int | None:
        return self._total

    @total.setter
    def total(self, value: int) -> None:
        self._total = value
        self._progress.start()
        self._started = True
        self._progress.update(self._task, total=value or None)

    def update(self, step: int) -> None:
        self._progress.advance(self._task, step)

    def reset(self) -> None:
        self._progress.update(self._task, completed=0)

    def close(self) -> None:
        if self._started:  # else rich would print an empty line
            self._started = False
            self._progress.stop()
