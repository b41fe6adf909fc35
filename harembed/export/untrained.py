"""The integer graph of an architecture that nobody has trained: its shapes, operators and attributes are those of the
trained one, its numbers are random. Costs that depend on shapes alone are computed on it."""

import numpy as np
import torch

from harembed.export.lower import lower
from harembed.ir.graph import IntGraph
from harembed.models import build_model
from harembed.space import Network
from harembed.train import qat

_SEED = 0
_WINDOWS = 4  # of noise; they choose the ranges of activations
_GAMMA = 0.5
_COUNTS = 1000.0  # deviation of the raw samples that the graph expects


def untrained_graph(arch: Network) -> IntGraph:
    """Build, calibrate on noise and lower; the same every time, and PyTorch's generator is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(_SEED)
        model = build_model(arch).eval()
        for name, parameter in model.named_parameters():
            if name.endswith("gamma"):  # starts at 0, which no training leaves and no scale can express
                torch.nn.init.constant_(parameter, _GAMMA)
        x = torch.randn(_WINDOWS, 1, len(arch.channels), arch.window)
    std = np.full(max(arch.channels) + 1, _COUNTS)
    net = qat.quantise(model, std[list(arch.channels)])
    qat.calibrate(net, x)
    labels = tuple(f"class {i}" for i in range(arch.classes))
    return lower(net, arch, np.zeros_like(std), std, labels, "untrained")
