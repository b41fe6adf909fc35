"""Trainings side by side in local processes, one thread each: small networks leave a second thread idle.

Results come in the order of the tasks, whoever finished first, so one process and many give the same ledger.
"""

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from harembed.train.one_thread import one_thread

Task = tuple[Any, ...]
Map = Callable[[Sequence[Task]], Iterator[Any]]

_state: Any = None  # of a worker: what its setup returned
_work: Callable[..., Any] | None = None


@contextmanager
def workers(count: int, setup: Callable[..., Any], arguments: tuple[Any, ...],
            work: Callable[..., Any]) -> Iterator[Map]:
    """Start processes that call work(setup(*arguments), *task) for every task; they end with the context.

    Parameters
    ----------
    count : int    processes; 1 computes in this process, with the same results
    setup, work : functions of a module
    """
    if count == 1:
        with one_thread():
            state = setup(*arguments)
            yield lambda tasks: (work(state, *task) for task in tasks)
        return
    context = multiprocessing.get_context("spawn")
    with context.Pool(count, _start, (setup, arguments, work, os.getpid())) as pool:
        # Leaving the context terminates the pool, also on Ctrl-C.
        yield lambda tasks: pool.imap(_run, tasks)


def _start(setup: Callable[..., Any], arguments: tuple[Any, ...], work: Callable[..., Any], parent: int) -> None:
    """Prepare a worker: Ctrl-C is for the parent, and if that is killed the worker ends by itself."""
    global _state, _work
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    torch.set_num_threads(1)
    _state, _work = setup(*arguments), work


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)


def _run(task: Task) -> Any:
    assert _work is not None
    return _work(_state, *task)
