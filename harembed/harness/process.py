"""A simulator that runs as a program of its own and serves its serial line on a TCP port of 127.0.0.1."""

import shutil
import socket
import subprocess
import time

from harembed.errors import HarnessError
from harembed.harness.transport import SocketTransport


class SimulatorProcess:
    """A running program and the connection to its serial line. `close` ends and reaps the process.

    Parameters
    ----------
    name : str              for messages
    command : list of str   starts the program, which listens on `port` within `start_s` seconds
    port : int              see free_port

    Raises
    ------
    HarnessError    the program ended at once, or does not listen
    """

    ticks: str

    def __init__(self, name: str, command: list[str], port: int, start_s: float) -> None:
        self.name = name
        self._process = subprocess.Popen([*_die_with_parent(), *command], stdin=subprocess.DEVNULL,
                                         stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        try:
            self._line = self._connect(port, time.monotonic() + start_s)
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
