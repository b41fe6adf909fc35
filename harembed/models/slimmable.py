"""A slimmable network (Yu and Huang, AutoSlim): one set of weights for networks of many widths.

A network of some widths takes the first so many filters of every layer, and what connects them. Its batch norm takes
the statistics of what it computes itself: those of other widths would be wrong (Yu et al., "Slimmable neural
networks", ICLR 2019). So only weights are shared; statistics are those of a batch while training and are computed
anew for each width before it is judged (search/slimming.py).
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.func import functional_call

from harembed.models import build_model
from harembed.space import Architecture

_GATES = {"lstm": 4, "gru": 3}  # PyTorch stacks the weights of a recurrent layer's gates
# The features of all sensors side by side: input of the first layer behind a first stage.
_JOINED = ("fusion.dense.weight", "lstm0.lstm.weight_ih_l0", "gru0.gru.weight_ih_l0")


class Slimmable(nn.Module):
    """The weights of the widest network, for it and all narrower ones.

    Parameters
    ----------
    widest : Architecture
    dropout : float    of all while training
    """

    def __init__(self, widest: Architecture, dropout: float) -> None:
        super().__init__()
        self.widest, self.dropout = widest, dropout
        self.full = build_model(widest)

    def forward(self, x: Tensor, arch: Architecture) -> Tensor:
        """[N, 1, sensors, window] to logits [N, classes] by a narrower network, with gradients to the weights that
        it takes; batch norm by the statistics of these windows."""
        model = build_model(arch).to(x.device).train()
        for module in model.modules():
            if isinstance(module, nn.Dropout):
                module.p = self.dropout
        logits: Tensor = functional_call(model, self._weights_of(model), (x,))
        return logits

    @torch.no_grad()
    def cut(self, arch: Architecture) -> nn.Sequential:
        """A narrower network of its own; the statistics of its batch norms are still to be computed."""
        model = build_model(arch).to(next(self.full.parameters()).device)
        model.load_state_dict(self._weights_of(model), strict=False)  # statistics are missing
        return model

    def _weights_of(self, narrower: nn.Module) -> dict[str, Tensor]:
        """What belongs into a narrower network, by the names of its parameters."""
        full, sensors = dict(self.full.named_parameters()), len(self.widest.channels)
        return {name: first(full[name], p.shape, _blocks(name, sensors)) for name, p in narrower.named_parameters()}


def first(full: Tensor, shape: torch.Size, blocks: Mapping[int, int]) -> Tensor:
    """The first entries along every axis, so many as `shape` says; where an axis is made of blocks of equal size, the
    first ones of each.

    Parameters
    ----------
    blocks : axis -> blocks; an axis that is not named is one
    """
    for axis, size in enumerate(shape):
        count = blocks.get(axis, 1)
        full = full.unflatten(axis, (count, -1)).narrow(axis + 1, 0, size // count).flatten(axis, axis + 1)
    return full


def _blocks(name: str, sensors: int) -> dict[int, int]:
    kind = name.split(".")[1]
    return {0: _GATES.get(kind, 1), 1: sensors if name in _JOINED else 1}
