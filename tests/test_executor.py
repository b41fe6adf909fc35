"""Where candidates are trained makes no difference: one process, several, Ray with nodes of which one is killed."""

import os
import secrets
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
from counted_training import LOG, counted, times, twice
from test_search import run as search
from test_search import toy_windows
from test_search_strategies import SMALL

from harembed.errors import RunError, SearchError
from harembed.search import random_search, ray_executor
from harembed.search.contest import open_contest
from harembed.search.executor import RETRIES, signals_wait, workers
from harembed.search.ray_executor import check_ray, installed
from harembed.search.score import make_folds, train_and_score
from harembed.search.settings import SearchSettings
from harembed.settings import RunSettings, load_settings
from harembed.space import Architecture, ConvTail, TemporalConv
from harembed.train.recipe import Recipe

# Before Ray is imported: its nodes let in who knows this, and nothing is written into the home folder. Workers get
# their share of a busy machine.
os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32), "RAY_USAGE_STATS_ENABLED": "0",
               "RAY_worker_niceness": "0"}

HERE = Path(__file__).parent
NODE = {"object_store_memory": 80 * 2**20, "include_dashboard": False}
ARCH = Architecture(32, (0, 1, 2), "same", (TemporalConv(3, 2, 4),), ConvTail(4), 3)
FOLDS = (toy_windows(), 3, 1, ())


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """What one process finds."""
    path = tmp_path_factory.mktemp("whole")
    search(path, SMALL, strategy="random")
    return (path / "ledger.jsonl").read_bytes()


def test_a_signal_waits_until_processes_are_started_whichever_thread_takes_it():
    over = threading.Event()
    threading.Thread(target=over.wait, daemon=True).start()  # takes what the main thread blocks, as PyTorch's do
    went_on = []

    def begin():
        with signals_wait():
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.05)
            went_on.append(True)

    # A shell that runs the tests in the background has them ignore Ctrl-C.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            begin()
        assert went_on and signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)
        over.set()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """Three nodes on this machine; the first cannot train."""
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join([str(HERE.parent), str(HERE), os.environ.get("PYTHONPATH", "")]))
        patch.setenv(LOG, str(tmp_path_factory.mktemp("trainings") / "log"))
        found = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, **NODE})
        for _ in range(2):
            found.add_node(num_cpus=1, **NODE)
        yield found
        found.shutdown()


def test_a_killed_node_costs_the_training_that_it_had_in_hand(cluster, whole, tmp_path, monkeypatch):
    """The ledger is that of one process, and nothing else was trained twice."""
    reports = 0

    def progress(*_):
        nonlocal reports
        reports += 1
        if reports == 4:
            cluster.remove_node(next(iter(cluster.worker_nodes)), allow_graceful=False)

    monkeypatch.setattr(random_search, "open_contest", partial(open_contest, work=counted))
    where = replace(SMALL, executor="ray", address=cluster.address)
    search_with(tmp_path, where, progress)
    assert (tmp_path / "ledger.jsonl").read_bytes() == whole
    begun = Path(os.environ[LOG]).read_text().splitlines()
    assert len(set(begun)) == whole.count(b"\n")  # one line a training
    assert len(begun) - len(set(begun)) <= 1


def search_with(path, settings, progress):
    from harembed.rundir import RunDir
    from harembed.search import search as run

    return run(toy_windows(), settings, RunDir(path), progress, "random")


def test_an_error_of_a_task_arrives_and_is_not_tried_again(cluster):
    diverging = Recipe(epochs=1, batch=16, learning_rate=1e30)
    with (workers(1, make_folds, FOLDS, train_and_score, "ray", cluster.address) as run,
          pytest.raises(RunError, match="Training diverged in epoch 1 of 1") as raised):
        list(run([(ARCH, 0, diverging, 1)]))
    assert raised.value.hint.startswith("Lower the learning rate")


def test_machines_with_other_code_are_named(cluster, monkeypatch):
    monkeypatch.setattr(ray_executor, "installed", lambda: {**installed(), "harembed": "0.0.1 (code 00000000)"})
    with pytest.raises(SearchError, match=r"a machine of the Ray cluster, has harembed .*; here it is 0\.0\.1"):
        check_ray(cluster.address)


def test_a_cluster_that_is_not_there_is_named():
    with pytest.raises(SearchError, match=r"Cannot use Ray at 127\.0\.0\.1:1: .*refused") as refused:
        check_ray("127.0.0.1:1")
    assert "ray start --address" in refused.value.hint


def test_without_ray_it_says_what_to_type(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(SearchError, match="--executor ray needs Ray") as missing:
        check_ray(None)
    assert "pip install 'harembed[ray]'" in missing.value.hint


def test_a_local_process_that_is_killed_costs_its_task_alone(tmp_path):
    deadly = tmp_path / "deadly"
    deadly.touch()
    with workers(2, twice, (3,), times) as run:
        assert list(run([(n, str(deadly) if n == 2 else "") for n in range(6)])) == [0, 6, 12, 18, 24, 30]
    assert not deadly.exists() and RETRIES > 0


@pytest.mark.slow
@pytest.mark.parametrize("executor", ["local", "ray"])
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT], ids=["killed", "Ctrl-C"])
def test_nothing_is_left_when_the_command_ends_early(tmp_path, executor, how):
    log, mark = tmp_path / "log", f"HAREMBED_TEST_MARK={secrets.token_hex(8)}"
    program = ("from counted_training import sleep, twice\nfrom harembed.search.executor import workers\n"
               "if __name__ == '__main__':\n"
               f"    with workers(2, twice, (1,), sleep, {executor!r}) as run:\n"
               "        list(run([(600.0,)] * 4))\n")
    (tmp_path / "program.py").write_text(program)
    paths = os.pathsep.join([str(HERE.parent), str(HERE)])
    started = subprocess.Popen([sys.executable, str(tmp_path / "program.py")], stderr=subprocess.DEVNULL,
                               env={**os.environ, "PYTHONPATH": paths, LOG: str(log), **dict([mark.split("=")])},
                               start_new_session=True,
                               # A shell that runs the tests in the background has them ignore Ctrl-C.
                               preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
    try:
        wait_until(lambda: log.exists() and log.read_text().count("begin") == 2, 300)
        assert len(processes(mark)) > 2
        if how is signal.SIGINT:
            os.killpg(started.pid, how)  # as a terminal does
        else:
            started.kill()
        started.wait(60)
        wait_until(lambda: not processes(mark), 60)
    finally:
        for process in processes(mark):
            os.kill(int(process), signal.SIGKILL)


def processes(mark: str) -> list[str]:
    """Numbers of those whose environment has the mark, without two helpers of Ray: when Ray's server is killed they
    try for a minute to report it before they end."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            if mark.encode() in (path / "environ").read_bytes() and b"Agent" not in (path / "cmdline").read_bytes():
                found.append(path.name)
        except OSError:
            continue
    return found


def wait_until(condition, seconds: float) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.2)


def test_the_executor_is_no_part_of_a_run(tmp_path):
    plain = RunSettings()
    (tmp_path / "run.toml").write_text('executor = "ray"\naddress = "head:6379"\n')
    elsewhere = load_settings(tmp_path / "run.toml", {})
    assert elsewhere.executor == "ray" and elsewhere.address == "head:6379"
    assert elsewhere.to_toml() == plain.to_toml() and elsewhere.model_dump() == plain.model_dump()
    assert SearchSettings().executor == plain.executor


@pytest.mark.parametrize("given, message", [
    ({"executor": "dask"}, "no executor 'dask'"),
    ({"address": "head:6379"}, "--address is of --executor ray"),
    ({"executor": "ray", "address": "ray://head:10001"}, "--address takes HOST:PORT"),
    ({"executor": "ray", "address": "head:6379", "processes": 4}, "--processes is of this machine"),
    ({"processes": 0}, "processes: Input should be greater than 0"),
])
def test_options_that_make_no_sense_are_refused(given, message):
    with pytest.raises(RunError, match=message):
        load_settings(None, given)


def test_a_task_is_what_it_was_when_it_was_handed_out():
    """Its tensors stay where they are: whoever owns them may go on computing, and even change them."""
    owned = torch.zeros(1000)
    with workers(2, _nothing, (), _sum_of) as run:
        results = run([(owned,)] * 4)
        owned += 1
        assert list(results) == [0.0] * 4
    assert not owned.is_shared()


def _nothing() -> None:
    return None


def _sum_of(state: None, x: torch.Tensor) -> float:
    return float(x.sum())
