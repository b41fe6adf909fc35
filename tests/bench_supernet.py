"""Seconds per epoch of the super-net, with and without cutting what has closed. Times are of this machine and of this
run; only their ratio means something.

    python tests/bench_supernet.py uci-har motionsense dsads
"""

import os
import sys
import tempfile
import time
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

from harembed.data import load_dataset
from harembed.rundir import RunDir
from harembed.search.settings import SearchSettings, desk
from harembed.search.sftnas import train_supernet
from harembed.search_job import SEARCH_WINDOWS


def main(names: list[str]) -> None:
    root = os.environ.get("HAREMBED_DATA")
    print(f"{'dataset':<14}{'shrink':<8}{'s/epoch by quarter of the training':<40}{'sum':>8}")
    for name in names:
        windows = load_dataset(name, root and Path(root)).train.thinned(SEARCH_WINDOWS)
        for shrink in (False, True):
            times = [time.perf_counter()]
            settings = SearchSettings(bilevel=replace(desk(), shrink=shrink))
            with tempfile.TemporaryDirectory() as folder:
                train_supernet(windows, settings, RunDir(Path(folder)),
                               lambda *_, times=times: times.append(time.perf_counter()))
            epochs = [after - before for before, after in pairwise(times)]
            quarter = len(epochs) // 4
            means = [sum(epochs[i : i + quarter]) / quarter for i in range(0, len(epochs), quarter)]
            print(f"{name:<14}{shrink!s:<8}{'  '.join(f'{m:6.2f}' for m in means):<40}{sum(epochs):8.1f}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:] or ["uci-har"])
