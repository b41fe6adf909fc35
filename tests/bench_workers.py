"""Candidates per minute of one and of two workers, of this machine and of Ray: short trainings of a default search.
Times are of this machine and of this run; only their ratio means something.

    python tests/bench_workers.py watch
"""

import os
import random
import sys
import time
from pathlib import Path

from harembed.data import load_dataset
from harembed.data.recording import vectors
from harembed.search.candidate import derived_seed
from harembed.search.executor import workers
from harembed.search.newcomers import draw_fitting
from harembed.search.score import make_folds, train_and_score
from harembed.search.settings import SearchSettings
from harembed.search_job import SEARCH_WINDOWS

CANDIDATES = 16


def main(name: str) -> None:
    root = os.environ.get("HAREMBED_DATA")
    dataset = load_dataset(name, root and Path(root))
    windows = dataset.train.thinned(SEARCH_WINDOWS)
    settings = SearchSettings(vectors=vectors(dataset.info.channels), tails=("conv",))
    drawn, _ = draw_fitting(random.Random(0), windows.shape, settings, CANDIDATES, set(), {})
    tasks = [(c.architecture, 0, settings.recipe, derived_seed(0, c.id)) for c in drawn]
    divide = (windows, settings.folds, 0, settings.vectors)
    print(f"{len(tasks)} candidates of {name}, {settings.recipe.epochs} epochs of {len(windows):,} windows")
    for executor in ("local", "ray"):
        found = {}
        for count in (1, 2):
            with workers(count, make_folds, divide, train_and_score, executor) as run:
                list(run(tasks[:count]))  # PyTorch is loaded, the data are there
                started = time.perf_counter()
                scores = list(run(tasks))
                found[count] = 60 * len(tasks) / (time.perf_counter() - started), scores
        one, two = (found[count][0] for count in (1, 2))
        same = found[1][1] == found[2][1]
        print(f"{executor:<6} 1 worker {one:6.1f} candidates a minute, 2 workers {two:6.1f}: {two / one:.2f} times; "
              f"scores {'equal' if same else 'DIFFER'}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "watch")
