"""Where a training computes: on the CPU, or on a GPU that PyTorch knows as "cuda".

A training runs where its windows are (harembed.train.loop.train), and these are put there once. Random numbers are
drawn on the CPU in either case, so that both train on the same windows in the same order; sums are rounded otherwise
on a GPU, so a search may go another way.
"""

import torch

from harembed.errors import RunError


def device_of(name: str) -> torch.device:
    """The device that a setting asks for.

    Parameters
    ----------
    name : "cpu", "cuda", or "auto": a GPU where there is one

    Raises
    ------
    RunError    a GPU is asked for and PyTorch finds none
    """
    found = torch.cuda.is_available()
    if name == "cuda" and not found:
        built = "finds none" if torch.version.cuda else "was built for CPUs alone"
        raise RunError(f"--device cuda needs a GPU, and PyTorch {torch.__version__} {built}.",
                       "Leave --device out, or install a build for CUDA as https://pytorch.org says.")
    return torch.device("cuda") if found and name != "cpu" else torch.device("cpu")
