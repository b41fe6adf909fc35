"""Trainings side by side, one thread each: small networks leave a second thread idle.

By default in local processes, which are started here; with executor "ray" by Ray (ray_executor.py), on one machine or
on many. Results come in the order of the tasks, whoever finished first, so one process and many give the same ledger.
A process that is lost (killed, or out of memory) costs the time of what it had in hand: that is trained again.
"""

import multiprocessing
import os
import pickle
import signal
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch

from harembed.errors import SearchError
from harembed.train.one_thread import one_thread

Task = tuple[Any, ...]
Map = Callable[[Sequence[Task]], Iterator[Any]]

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
RETRIES = 3  # of a task whose process is lost; then the task itself is to blame

_state: Any = None  # of a worker: what its setup returned
_work: Callable[..., Any] | None = None


@contextmanager
def workers(count: int, setup: Callable[..., Any], arguments: tuple[Any, ...], work: Callable[..., Any],
            executor: str = "local", address: str | None = None) -> Iterator[Map]:
    """Start processes that call work(setup(*arguments), *task) for every task; they end with the context.

    Parameters
    ----------
    count : int    processes; 1 computes in this process, with the same results. A Ray cluster has its own number
    setup, work : functions of a module
    executor : "local" or "ray"
    address : HOST:PORT of a Ray cluster; None starts one on this machine

    Raises
    ------
    SearchError    processes were lost again and again, or Ray cannot be used
    HarembedError  what a task raised; it is not tried again
    """
    if executor == "ray":
        from harembed.search.ray_executor import ray_workers

        with ray_workers(count, address, setup, arguments, work) as run:
            yield run
    elif count == 1:
        with one_thread():
            state = setup(*arguments)
            yield lambda tasks: (work(state, *task) for task in tasks)
    else:
        with tempfile.TemporaryDirectory(prefix="harembed-") as folder:
            given = Path(folder) / "given.pickle"
            given.write_bytes(pickle.dumps((setup, arguments, work), pickle.HIGHEST_PROTOCOL))
            with _Processes(count, given) as processes:
                yield processes.map


class _Processes:
    """A pool that is started anew when one of its processes is lost.

    Parameters
    ----------
    given : file with (setup, arguments, work) as pickle wrote them. Megabytes handed over with the start would hold
        this process up until the new one has loaded PyTorch and reads them, and a signal meanwhile would leave that
        with half of them.
    """

    def __init__(self, count: int, given: Path) -> None:
        self._context = multiprocessing.get_context("spawn")
        # Nothing is ever sent. A worker reads the end of it when this process closes it, or is killed.
        self._end, self._held = self._context.Pipe(duplex=False)
        self._count, self._given = count, given

    def __enter__(self) -> "_Processes":
        self._pool = self._start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._held.close()
        if kind is not None:  # those that are still loading do not know yet that they are not needed any more
            for process in multiprocessing.active_children():
                process.kill()
        self._pool.shutdown(cancel_futures=True)
        self._end.close()

    def map(self, tasks: Sequence[Task]) -> Iterator[Any]:
        # Here and now: the pool would do it in a thread of its own, and PyTorch would move tensors into shared memory
        # while their owner computes with them.
        parcels = [pickle.dumps(task, pickle.HIGHEST_PROTOCOL) for task in tasks]
        with signals_wait():  # the pool starts its processes when it is given work
            futures = [self._pool.submit(_run, parcel) for parcel in parcels]
        return self._in_order(parcels, futures)

    def _in_order(self, tasks: Sequence[bytes], futures: list[Future[Any]]) -> Iterator[Any]:
        lost = 0
        for number in range(len(tasks)):
            while True:
                try:
                    result = futures[number].result()
                    break
                except BrokenProcessPool as e:
                    lost += 1
                    if lost > RETRIES:
                        raise SearchError(f"Processes that train candidates were lost {lost} times in a row: killed, "
                                          "or out of memory.", "Use --processes 1, or free some memory; the same "
                                          "command goes on where it stopped.") from e
                    self._repeat(tasks, futures)
            lost = 0
            yield result

    def _repeat(self, tasks: Sequence[bytes], futures: list[Future[Any]]) -> None:
        """Start processes again, for all that had not finished."""
        self._pool.shutdown()
        self._pool = self._start()
        with signals_wait():
            for number, future in enumerate(futures):
                if future.cancelled() or isinstance(future.exception(), BrokenProcessPool):
                    futures[number] = self._pool.submit(_run, tasks[number])

    def _start(self) -> ProcessPoolExecutor:
        with signals_wait():
            return ProcessPoolExecutor(self._count, self._context, _start, (self._given, self._end))


@contextmanager
def signals_wait() -> Iterator[None]:
    """Ctrl-C and SIGTERM come after this: a process that is half started would complain, and nobody could end it.

    The mask is for the processes, which inherit it. It does not protect this one: any thread of PyTorch's takes a
    signal that the main thread blocks, and Python then interrupts the main thread. So that only notes it, too.
    """
    if not hasattr(signal, "pthread_sigmask") or threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    handlers = {number: signal.signal(number, lambda sent, _: came.append(sent)) for number in _SIGNALS}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        for number, handler in handlers.items():
            signal.signal(number, handler)
        if came:
            signal.raise_signal(came[0])


def _start(given: Path, end: Connection) -> None:
    """Prepare a worker: Ctrl-C is for the parent, and if that is killed the worker ends by itself."""
    global _state, _work
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)  # inherited from signals_wait()
    threading.Thread(target=_end_with, args=(end,), daemon=True).start()
    torch.set_num_threads(1)
    setup, arguments, _work = pickle.loads(given.read_bytes())
    _state = setup(*arguments)


def _end_with(parent: Connection) -> None:
    parent.poll(None)  # nothing ever comes but the end
    os._exit(1)


def _run(task: bytes) -> Any:
    assert _work is not None
    return _work(_state, *pickle.loads(task))
