"""Layer-wise training: every convolution learns from a loss of its own, and no gradient passes from layer to layer.

Nøkland and Eidnes (2019), "Training neural networks with local error signals", as Tang et al. use it for activity
recognition (eq. 7 to 9). What is learned beside the network, a classifier and a convolution a layer, is thrown away.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from harembed.errors import RunError
from harembed.nn.lego import LegoConvNorm
from harembed.nn.temporal import ConvNorm
from harembed.nn.xnor import XnorConvNorm

ALPHA = 0.99  # of eq. 9: weight of the similarity loss
CLASSIFIER_INPUTS = 2048  # at most: feature maps are averaged over time until they have no more values


class LocalLosses(nn.Module):
    """The losses of a network, layer by layer.

    Parameters
    ----------
    model : a chain of convolutions (ConvNorm, LegoConvNorm, XnorConvNorm), layers without parameters, and a dense
        layer at the end
    x : [n, 1, S, T] float    a few windows, for shapes
    classes : int

    Raises
    ------
    RunError    names a layer that is none of these
    """

    def __init__(self, model: nn.Sequential, x: Tensor, classes: int) -> None:
        super().__init__()
        self.heads = nn.ModuleDict()
        layers = list(model.named_children())
        was_training = model.training
        model.eval()
        with torch.no_grad():
            for name, layer in layers[:-1]:
                x = layer(x)
                if isinstance(layer, (ConvNorm, LegoConvNorm, XnorConvNorm)):
                    self.heads[name] = _Head(x.shape[1:], classes)
                elif any(True for _ in layer.parameters()):
                    raise RunError(f"Layer {name!r} ({type(layer).__name__}) has no local loss: only convolutions "
                                   "have.", "Take a network with --tail conv.")
        model.train(was_training)

    def forward(self, model: nn.Sequential, x: Tensor, labels: Tensor, smoothing: float) -> Tensor:
        """The sum of all losses [] of windows x [N, 1, S, T]; each reaches the parameters of its own layer alone.

        Parameters
        ----------
        labels : [N] int64
        smoothing : of the labels, see harembed.train.recipe.Recipe
        """
        total = x.new_zeros(())
        for name, layer in model.named_children():
            x = layer(x)
            if name in self.heads:
                total = total + self.heads[name](x, labels, smoothing)
                x = x.detach()
        return total + F.cross_entropy(x, labels, label_smoothing=smoothing)


class _Head(nn.Module):
    """Eq. 9 on the output of one layer.

    Parameters
    ----------
    shape : (filters, sensors, samples)
    """

    def __init__(self, shape: torch.Size, classes: int) -> None:
        super().__init__()
        filters, sensors, samples = shape
        self.pooled = (sensors, min(samples, max(1, CLASSIFIER_INPUTS // (filters * sensors))))
        self.classes = classes
        self.classifier = nn.Linear(filters * self.pooled[0] * self.pooled[1], classes)
        self.compared = nn.Conv2d(filters, filters, 3, padding=1, bias=False)

    def forward(self, x: Tensor, labels: Tensor, smoothing: float) -> Tensor:
        scores = self.classifier(F.adaptive_avg_pool2d(x, self.pooled).flatten(1))
        prediction = F.cross_entropy(scores, labels, label_smoothing=smoothing)
        spread = self.compared(x).flatten(2).std(dim=2)  # Nøkland and Eidnes compare deviations over place and time
        # The mean square, as their code has it; eq. 8 writes a norm.
        alike = F.mse_loss(similarities(spread), similarities(F.one_hot(labels, self.classes).to(x.dtype)))
        return (1 - ALPHA) * prediction + ALPHA * alike


def similarities(x: Tensor) -> Tensor:
    """S of eq. 8: adjusted cosine similarity of every pair of rows [N, D], [N, N] from -1 to 1."""
    centred = F.normalize(x - x.mean(dim=1, keepdim=True), dim=1)
    return centred @ centred.T
