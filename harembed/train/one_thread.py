"""One thread of PyTorch for all training: networks of this size gain nothing from a second one.

On two idle cores, a network of 174,016 MACs, batches of 64: a second thread saved a tenth of a step where it spun
while it waited, and where it slept, as it must on cores that something else uses, it made the step 1.8 times longer.
A sum that is split among threads also rounds differently.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def one_thread() -> Iterator[None]:
    """A context, or a decorator of a function."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
