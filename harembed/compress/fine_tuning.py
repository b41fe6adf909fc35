"""The last phase of training: a float and an int8 branch of the same network, equally long, on the same windows."""

from dataclasses import dataclass

from torch import Tensor

from harembed.nn.quant import Mode
from harembed.nn.quant_layers import QuantNet
from harembed.progress import Tick
from harembed.search.executor import workers
from harembed.train import qat
from harembed.train.augment import Sensors
from harembed.train.loop import Epoch, History
from harembed.train.recipe import Recipe
from harembed.train.teacher import Teacher

Tuned = tuple[QuantNet, History]


@dataclass(frozen=True)
class Lesson:
    """What both branches learn from: see harembed.train.loop.train."""

    x: Tensor
    y: Tensor
    recipe: Recipe
    seed: int
    sensors: Sensors | None
    teacher: Teacher | None = None

    def teach(self, net: QuantNet, mode: Mode, tick: Tick | None = None, part: int = 0, parts: int = 1) -> Tuned:
        """The network, trained on, and how its loss fell."""
        epochs = self.recipe.epochs

        def told(epoch: int, figures: Epoch) -> None:
            if tick is not None:
                tick(part * epochs + epoch + 1, parts * epochs, f"{mode.value} branch, loss {figures['loss']:.3f}")

        history = qat.fine_tune(net, mode, self.x, self.y, self.recipe, self.seed, told, sensors=self.sensors,
                                teacher=self.teacher)
        return net.cpu(), history


def fine_tune_both(float_net: QuantNet, int8_net: QuantNet, lesson: Lesson, processes: int,
                   tick: Tick) -> tuple[Tuned, Tuned]:
    """Train both, in two processes if there may be so many and no GPU would be shared; with the same result."""
    if processes == 1 or lesson.x.device.type != "cpu":
        return (lesson.teach(float_net, Mode.FLOAT, tick, 0, 2), lesson.teach(int8_net, Mode.INT8, tick, 1, 2))
    with workers(2, _same, (lesson,), Lesson.teach) as run:
        floats = run([(float_net, Mode.FLOAT)])
        int8 = lesson.teach(int8_net, Mode.INT8, tick)
        return next(floats), int8


def _same(lesson: Lesson) -> Lesson:
    return lesson
