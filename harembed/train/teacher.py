"""Knowledge distillation: a network learns from other networks' opinion of each window besides its label.

Hinton, Vinyals and Dean (2015), "Distilling the knowledge in a neural network"; with teachers of the student's own
architecture (born-again networks) in Shen's thesis, sec. 3.1. Teachers judge the very windows that the student sees,
turned and scaled as they are.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F


@dataclass(frozen=True)
class Opinion:
    """A trained network.

    Attributes
    ----------
    channels : of the recorded ones, which it reads, in its order
    text : one line for reports
    """

    network: nn.Module
    channels: tuple[int, ...]
    text: str = ""


@dataclass(frozen=True)
class Teacher:
    """One network or an ensemble.

    Attributes
    ----------
    opinions : at least one; their probabilities are averaged
    temperature : T of eq. 2.7 of the thesis, of teachers and student
    weight : w1 of eq. 3.2, of the soft labels; the hard ones have 1 - weight
    """

    opinions: tuple[Opinion, ...]
    temperature: float = 2.0
    weight: float = 0.7

    @torch.no_grad()
    def soft_labels(self, x: Tensor) -> Tensor:
        """Averaged probabilities [N, classes] at this temperature, of windows [N, 1, C, T] of all channels."""
        found = [F.softmax(o.network(x[:, :, list(o.channels)]) / self.temperature, dim=1) for o in self.opinions]
        return torch.stack(found).mean(0)

    def loss(self, hard: Tensor, logits: Tensor, x: Tensor) -> Tensor:
        """The loss that the labels give and that of the soft ones, weighted.

        The gradient of the soft part shrinks with the square of T, which is made good (Hinton et al., sec. 2).

        Parameters
        ----------
        hard : []    cross-entropy with the labels
        logits : [N, classes]    of the student
        x : [N, 1, C, T]    what it saw, all recorded channels
        """
        soft = F.kl_div(F.log_softmax(logits / self.temperature, dim=1), self.soft_labels(x), reduction="batchmean")
        return (1 - self.weight) * hard + self.weight * self.temperature**2 * soft

    def to_dict(self) -> dict[str, Any]:
        """For reports."""
        return {"networks": [o.text for o in self.opinions], "temperature": self.temperature, "weight": self.weight}

    def to(self, device: torch.device) -> "Teacher":
        """The same, in evaluation mode, where the student is trained."""
        for opinion in self.opinions:
            opinion.network.to(device).eval()
        return self
