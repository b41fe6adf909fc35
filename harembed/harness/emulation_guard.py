"""Ends an emulation inside this process that hangs, or that Ctrl-C is meant for."""

import signal
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


class EmulationGuard:
    """Watches one emulator from another thread, and for SIGINT.

    By itself, KeyboardInterrupt is raised at the entrance of whichever hook comes next, before Unicorn's guard
    against exceptions, and is lost. Python sees a signal when a hook runs (at each access to a register of the chip,
    so at least once in an inference), or when hang_s is over.

    Whoever stops an emulation from outside must give it up: Unicorn may execute the beginning of a block twice when
    it goes on, and a byte that was read is read no more.

    Parameters
    ----------
    stop : stops the emulator; callable from any thread
    hang_s : float    an emulation that takes more of the processor's time than this hangs; on a busy machine, one
        that waits for its turn does not
    """

    def __init__(self, stop: Callable[[], None], hang_s: float) -> None:
        self._stop, self._hang_s = stop, hang_s
        self._deadline = 0.0
        self._running = False
        self._interrupted = False
        self._closed = threading.Event()
        threading.Thread(target=_watch, args=(weakref.ref(self), self._closed), daemon=True).start()

    @property
    def expired(self) -> bool:
        return time.process_time() > self._deadline

    @contextmanager
    def session(self) -> Iterator[None]:
        """Around everything that shall be over before hang_s, or at Ctrl-C."""
        self._deadline = time.process_time() + self._hang_s
        previous = signal.getsignal(signal.SIGINT)
        if threading.current_thread() is not threading.main_thread() or not callable(previous):
            yield
            return
        signal.signal(signal.SIGINT, self._note)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, previous)
            self._interrupted = False

    @contextmanager
    def emulation(self) -> Iterator[None]:
        """Around each start of the emulator; raises KeyboardInterrupt behind it if Ctrl-C came."""
        self._running = True
        try:
            yield
        finally:
            self._running = False
        if self._interrupted:
            raise KeyboardInterrupt

    def tick(self) -> None:
        """Called every second."""
        if self._running and self.expired:
            self._stop()

    def close(self) -> None:
        self._closed.set()

    def _note(self, number: int, frame: FrameType | None) -> None:
        self._interrupted = True
        self._stop()


def _watch(guard: "weakref.ref[EmulationGuard]", closed: threading.Event) -> None:
    while not closed.wait(1.0):
        target = guard()
        if target is None:
            return
        target.tick()
        del target
