"""The loss that a batch is trained by."""

from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional as F

from harembed.nn.centres import centre_loss
from harembed.train.augment import Sensors
from harembed.train.local_loss import LocalLosses
from harembed.train.recipe import Recipe
from harembed.train.teacher import Teacher


@dataclass(frozen=True)
class Objective:
    """Cross-entropy with smoothed labels and what is added to it, or stands instead of it.

    Attributes
    ----------
    sensors : what the windows are, see harembed.train.loop.train
    teacher : adds what others say of the same windows
    local : losses of every layer instead of one of the whole network
    centred : the network has a centre loss
    """

    recipe: Recipe
    sensors: Sensors | None
    teacher: Teacher | None = None
    local: LocalLosses | None = None
    centred: bool = False

    @property
    def seen(self) -> Sensors | None:
        """Which channels the changed windows keep. A teacher may read others than its student: all of them."""
        return self.sensors if self.teacher is None or self.sensors is None else self.sensors.using(None)

    def loss(self, model: nn.Module, x: Tensor, labels: Tensor) -> Tensor:
        """[] of windows [N, 1, C, T] with labels [N] int64; the channels C are those of `seen`."""
        smoothing = self.recipe.label_smoothing
        if self.local is not None:
            return self.local(model, x, labels, smoothing)
        logits = model(x if self.teacher is None or self.sensors is None else self.sensors.select(x))
        loss = F.cross_entropy(logits, labels, label_smoothing=smoothing)
        if self.teacher is not None:
            loss = self.teacher.loss(loss, logits, x)
        return loss + self.recipe.centre_loss * centre_loss(model, labels) if self.centred else loss
