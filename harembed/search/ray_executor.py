"""Trainings by Ray, on this machine or on many: Ray schedules them, moves data and repeats what was lost.

What setup gets (the windows) goes into Ray's object store once, and from there once to every machine; a worker
process prepares its state from it before its first task. So the machines of a cluster need no dataset, but they need
harembed: the same code, and the same PyTorch and NumPy, or the scores would not be those of one machine. That is
checked. CPUs of different kinds may still round differently.

There are tasks and no actors: when this process ends, in whatever way, Ray ends what it had started for it.
"""

import hashlib
import logging
import os
import socket
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

import harembed
from harembed.errors import HarembedError, SearchError
from harembed.search.executor import RETRIES, Map, Task

PATIENCE_S = 30.0  # between looks whether the cluster can compute at all
REACH_S = 5.0
ANSWER_S = 120.0  # a busy machine takes long to start Python
MUST_AGREE = ("torch", "numpy")
TOKEN = Path.home() / ".ray" / "auth_token"  # Ray makes it when it first starts on one machine alone

logger = logging.getLogger(__name__)

Shared = tuple[Callable[..., Any], tuple[Any, ...], Callable[..., Any], dict[str, str]]

_state: Any = None  # of a worker: what its setup returned
_prepared = False


@contextmanager
def ray_workers(count: int, address: str | None, setup: Callable[..., Any], arguments: tuple[Any, ...],
                work: Callable[..., Any]) -> Iterator[Map]:
    """As harembed.search.executor.workers; `count` is of processes on this machine, if there is no address."""
    with _connected(count, address) as ray:
        if address is not None:
            _check_nodes(ray)
        shared = ray.put((setup, arguments, work, installed()))
        # By default Ray tries again when a worker or its node is lost, and not when a task raises.
        remote = ray.remote(num_cpus=1, max_retries=RETRIES)(_run)
        yield lambda tasks: _in_order(ray, [remote.remote(shared, task) for task in tasks])


def check_ray(address: str | None) -> None:
    """Refuse what cannot work, before other parts of a search take their time.

    Raises
    ------
    SearchError    Ray is not installed; the cluster is not there; a machine of it has other code
    """
    _import_ray()
    if address is not None:
        with _connected(0, address) as ray:
            _check_nodes(ray)


def installed() -> dict[str, str]:
    """What must be the same on all machines, harembed, with a digest of its code, and what computes for it."""
    digest, root = hashlib.sha256(), Path(harembed.__file__).parent
    for path in sorted(root.rglob("*.py")):
        digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes())
    found = {"harembed": f"{harembed.__version__} (code {digest.hexdigest()[:8]})"}
    # A build for another device (2.8.0+cu128) computes the same on CPUs.
    return found | {name: version(name).split("+")[0] for name in MUST_AGREE}


def _import_ray() -> ModuleType:
    """Ray, without its usage statistics, and with the token of its clusters where there is one: `ray start` uses that
    unasked, but a client only if told to before it is imported."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    if TOKEN.is_file():
        os.environ.setdefault("RAY_AUTH_MODE", "token")
    try:
        import ray
        import ray.exceptions
        import ray.util.scheduling_strategies
    except ImportError as e:
        raise SearchError(f"--executor ray needs Ray, which cannot be imported: {e}.",
                          "Type `pip install 'harembed[ray]'`, or leave --executor out to train in local "
                          "processes.") from e
    return ray


@contextmanager
def _connected(count: int, address: str | None) -> Iterator[ModuleType]:
    """Ray, connected to a cluster, or to one of this machine alone that ends with the context."""
    ray = _import_ray()
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    try:
        if address is None:
            # Ray's default makes workers wait for all else that runs; local processes do not.
            os.environ.setdefault("RAY_worker_niceness", "0")
            ray.init(address="local", num_cpus=count, include_dashboard=False, **quiet)
        else:
            _reach(address)
            ray.init(address=address, **quiet)
    except (OSError, RuntimeError, ValueError, ray.exceptions.RayError) as e:
        ray.shutdown()
        where = "on this machine" if address is None else f"at {address}"
        raise SearchError(f"Cannot use Ray {where}: {_first_line(e)}", _how_to_connect(address)) from e
    try:
        yield ray
    finally:
        ray.shutdown()


def _reach(address: str) -> None:
    """Ray itself would try for a minute."""
    host, _, port = address.rpartition(":")
    socket.create_connection((host, int(port)), REACH_S).close()


def _how_to_connect(address: str | None) -> str:
    if address is None:
        return "Leave --executor out to train in local processes."
    return ("Start Ray with `ray start --head` on the first machine and `ray start --address HOST:6379` on the "
            f"others; this one must be among them. If there is a file ~/.ray/{TOKEN.name}, all need the same.")


def _check_nodes(ray: ModuleType) -> None:
    """Look what every machine has installed.

    Raises
    ------
    SearchError    names a machine, what it has and what is here
    """
    def look() -> dict[str, str]:  # travels as code, because a machine may lack harembed
        try:
            from harembed.search.ray_executor import installed
        except ImportError as e:
            return {"harembed": f"nothing that can be imported ({e})"}
        return installed()

    nodes = [node for node in ray.nodes() if node["Alive"] and node["Resources"].get("CPU", 0) >= 1]
    if not nodes:
        raise SearchError("The Ray cluster has no CPU to train on.", "Add machines with `ray start --address`.")
    on = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy
    looks = [ray.remote(num_cpus=0, scheduling_strategy=on(node["NodeID"], soft=False))(look).remote()
             for node in nodes]
    for node, there in zip(nodes, looks, strict=True):
        try:
            _same(installed(), ray.get(there, timeout=ANSWER_S), node["NodeManagerHostname"])
        except ray.exceptions.RayError as e:
            # A machine that died counts as alive for half a minute; and one that is too busy may do for trainings.
            logger.info("%s does not answer: %s", node["NodeManagerHostname"], _first_line(e))


def _same(here: dict[str, str], there: dict[str, str], name: str) -> None:
    for package in here.keys() & there.keys():
        if here[package] != there[package]:
            raise SearchError(f"{name}, a machine of the Ray cluster, has {package} {there[package]}; here it is "
                              f"{here[package]}.", "Install the same on every machine and start its Ray again; "
                              "otherwise scores would differ.")


def _run(shared: Shared, task: Task) -> Any:
    """In a worker, which is of one connection to Ray alone."""
    global _state, _prepared
    setup, arguments, work, expected = shared
    if not _prepared:
        _same(expected, installed(), socket.gethostname())  # the machine may have joined after the others
        torch.set_num_threads(1)
        _state, _prepared = setup(*arguments), True
    return work(_state, *task)


def _in_order(ray: ModuleType, results: Sequence[Any]) -> Iterator[Any]:
    waiting = deque(results)
    while waiting:
        yield _result(ray, waiting.popleft())


def _result(ray: ModuleType, reference: Any) -> Any:
    try:
        while not ray.wait([reference], timeout=PATIENCE_S)[0]:
            if ray.cluster_resources().get("CPU", 0) < 1:
                raise SearchError("No machine of the Ray cluster is left to train on.",
                                  "Add one with `ray start --address`; the same command goes on where it stopped.")
        return ray.get(reference)
    except ray.exceptions.RayTaskError as e:
        if isinstance(e.cause, HarembedError):
            raise e.cause from None
        raise  # a bug keeps its traceback, the worker's
    except ray.exceptions.RayError as e:
        raise SearchError(f"A training was lost {RETRIES + 1} times: {_first_line(e)}",
                          "If memory is short give Ray fewer CPUs; the same command goes on where it stopped.") from e


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
