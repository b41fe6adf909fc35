"""Ways to move bytes to a device: a serial port, a socket, a pty, the standard streams of a host build.

Simulators that run inside this process bring their own Transport (simulator_l552.py).
"""

import os
import select
import socket
import subprocess
import time
from pathlib import Path
from typing import Protocol

from harembed.errors import HarnessError


class Transport(Protocol):
    """One face for all. `read` returns as soon as anything came, b"" when nothing came in time."""

    name: str

    def read(self, timeout_s: float) -> bytes: ...

    def write(self, data: bytes) -> None: ...

    def close(self) -> None: ...


class FileTransport:
    """Unbuffered reads and writes on file descriptors: a pty, a pipe, a socket."""

    def __init__(self, name: str, read_fd: int, write_fd: int) -> None:
        self.name = name
        self._read_fd = read_fd
        self._write_fd = write_fd

    def read(self, timeout_s: float) -> bytes:
        ready, _, _ = select.select([self._read_fd], [], [], timeout_s)
        if not ready:
            return b""
        try:
            data = os.read(self._read_fd, 4096)
        except OSError as e:
            raise _gone(self.name, e) from e
        if not data:
            raise _gone(self.name, None)
        return data

    def write(self, data: bytes) -> None:
        try:
            while data:
                data = data[os.write(self._write_fd, data) :]
        except OSError as e:
            raise _gone(self.name, e) from e

    def close(self) -> None:
        for fd in {self._read_fd, self._write_fd}:
            os.close(fd)


class ProcessTransport(FileTransport):
    """The standard input and output of a program: the host build of a firmware."""

    def __init__(self, command: list[str]) -> None:
        try:
            self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
        except OSError as e:
            raise HarnessError(f"Cannot start {command[0]}: {e.strerror}.", "Is it a program for this "
                               "computer? `harembed search` builds one.") from e
        assert self._process.stdin is not None and self._process.stdout is not None
        super().__init__(command[0], self._process.stdout.fileno(), self._process.stdin.fileno())

    def close(self) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()  # the host port ends at the end of its input
        try:
            self._process.wait(timeout=1.0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()


class SocketTransport(FileTransport):
    """A TCP connection, as `socket://HOST:PORT`: QEMU's and Renode's serial lines."""

    def __init__(self, host: str, port: int, patience_s: float = 5.0) -> None:
        name = f"socket://{host}:{port}"
        deadline = time.monotonic() + patience_s
        while True:
            try:
                self._socket = socket.create_connection((host, port), timeout=1.0)
                break
            except OSError as e:
                if time.monotonic() > deadline:
                    raise HarnessError(f"Nothing accepts a connection at {name}: {e}.",
                                       "Start the simulator first, or check host and port.") from e
                time.sleep(0.01)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.settimeout(None)
        super().__init__(name, self._socket.fileno(), self._socket.fileno())

    def close(self) -> None:
        self._socket.close()


class SerialTransport:
    """A serial port through pyserial, opened for this process alone."""

    def __init__(self, port: str, baud: int) -> None:
        import serial

        self.name = port
        try:
            self._serial = serial.serial_for_url(port, baudrate=baud, timeout=0, write_timeout=5.0, exclusive=True)
        except (serial.SerialException, ValueError) as e:
            raise _cannot_open(port, e) from e

    def read(self, timeout_s: float) -> bytes:
        import serial

        try:
            self._serial.timeout = timeout_s
            first = self._serial.read(1)
            return first + self._serial.read(self._serial.in_waiting) if first else b""
        except (serial.SerialException, OSError) as e:
            raise _gone(self.name, e) from e

    def write(self, data: bytes) -> None:
        import serial

        try:
            self._serial.write(data)
            self._serial.flush()
        except (serial.SerialException, OSError) as e:
            raise _gone(self.name, e) from e

    def close(self) -> None:
        self._serial.close()


def open_port(port: str, baud: int = 115200) -> Transport:
    """Open `socket://HOST:PORT`, or a serial port by path or name (a pty too).

    Raises
    ------
    HarnessError    it does not exist, is in use, or may not be opened
    """
    if port.startswith("socket://"):
        host, _, number = port.removeprefix("socket://").partition(":")
        if not number.isdigit():
            raise HarnessError(f"{port!r} names no port number.", "Write it as socket://127.0.0.1:4000.")
        return SocketTransport(host, int(number))
    return SerialTransport(port, baud)


def serial_ports() -> list[str]:
    """Serial ports of this machine, as pyserial lists them."""
    from serial.tools import list_ports

    return sorted(p.device for p in list_ports.comports())


def _cannot_open(port: str, error: Exception) -> HarnessError:
    text = str(error)
    if "Permission" in text or "denied" in text:
        return HarnessError(f"You may not open {port}: permission denied.",
                            "Add yourself to its group: `sudo usermod -aG dialout $USER`, then log in again.")
    if "busy" in text.lower() or "exclusively lock" in text:
        return HarnessError(f"{port} is in use by another program.", "Close the terminal or monitor that holds it.")
    if not Path(port).exists() and "://" not in port:
        known = ", ".join(serial_ports()) or "none"
        return HarnessError(f"There is no serial port {port}.",
                            f"Serial ports of this machine: {known}. Plug the board in and check --port.")
    return HarnessError(f"Cannot open {port}: {text}.", "Check --port and --baud.")


def _gone(name: str, error: Exception | None) -> HarnessError:
    reason = f": {error}" if error else ""
    return HarnessError(f"The connection to {name} ended{reason}.",
                        "Check the cable, or what the simulator printed, and start again.")
