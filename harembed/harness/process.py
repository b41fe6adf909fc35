"""A simulator that runs as a program of its own; its line is a TCP port of 127.0.0.1 or its standard streams."""

import os
import shutil
import socket
import subprocess
import time
from contextlib import suppress

from harembed.errors import HarnessError
from harembed.harness.transport import FileTransport, SocketTransport, Transport


class SimulatorProcess:
    """A running program and the connection to its serial line. `close` ends and reaps the process.

    Parameters
    ----------
    name : str              for messages
    command : list of str   starts the program
    port : int              on which it listens within `start_s` seconds, see free_port; None: it speaks on its
                            standard streams, and ends when its input does

    Raises
    ------
    HarnessError    the program ended at once, or does not listen
    """

    ticks: str

    def __init__(self, name: str, command: list[str], port: int | None = None, start_s: float = 10.0) -> None:
        self.name = name
        line = subprocess.PIPE if port is None else subprocess.DEVNULL
        self._process = subprocess.Popen([*_die_with_parent(), *command], stdin=line, stdout=line,
                                         stderr=subprocess.PIPE, bufsize=0)
        try:
            self._line = self._streams() if port is None else self._connect(port, time.monotonic() + start_s)
        except BaseException:
            self._end()
            raise

    def read(self, timeout_s: float) -> bytes:
        try:
            return self._line.read(timeout_s)
        except HarnessError as e:
            raise self._ended() or e from e

    def write(self, data: bytes) -> None:
        try:
            self._line.write(data)
        except HarnessError as e:
            raise self._ended() or e from e

    def close(self) -> None:
        self._line.close()
        self._end()

    def _streams(self) -> Transport:
        assert self._process.stdin is not None and self._process.stdout is not None
        # Duplicates, which the line closes itself; the program sees the end of its input when both are closed.
        reads, writes = os.dup(self._process.stdout.fileno()), os.dup(self._process.stdin.fileno())
        self._process.stdin.close()
        self._process.stdout.close()
        return FileTransport(self.name, reads, writes)

    def _connect(self, port: int, deadline: float) -> SocketTransport:
        while True:
            try:
                return SocketTransport("127.0.0.1", port, patience_s=0.2)
            except HarnessError:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    silent = HarnessError(f"{self.name} runs but does not serve its serial line.",
                                          "Is the machine overloaded?")
                    raise self._ended() or silent from None

    def _ended(self) -> HarnessError | None:
        """How the program ended; None if it still runs."""
        try:
            code = self._process.wait(timeout=0.5)
        except subprocess.TimeoutExpired:
            return None
        assert self._process.stderr is not None
        said = self._process.stderr.read().decode(errors="replace").strip().splitlines()
        return self._explain(code, said[-1] if said else "it gave no reason")

    def _explain(self, code: int, last_words: str) -> HarnessError:
        return HarnessError(f"{self.name} ended with status {code}: {last_words}.")

    def _end(self) -> None:
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=0.2)  # the line is closed: many end by themselves
        self._process.terminate()
        try:
            self._process.wait(timeout=5.0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stderr is not None:
            self._process.stderr.close()


def _die_with_parent() -> list[str]:
    """Command prefix that ends a simulator when this process is killed (`setpriv` is part of every Linux)."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "KILL"] if setpriv else []


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nothing listens on now."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]
