"""Networks built from architectures."""

from torch import nn

from harembed.models.network import build_network
from harembed.space import Network


def build_model(arch: Network) -> nn.Sequential:
    """The floating-point network of an architecture, with fresh weights from PyTorch's generator.

    Input [N, 1, len(arch.channels), arch.window] float, output logits [N, arch.classes].
    """
    return build_network(arch)
