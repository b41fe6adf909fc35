"""What a training said of itself, epoch by epoch."""

from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

Metric = Literal["macro_f1", "weighted_f1"]


@dataclass(frozen=True)
class Curve:
    """One entry per epoch; all but train_loss are of the validation people."""

    train_loss: tuple[float, ...]
    val_loss: tuple[float, ...]
    accuracy: tuple[float, ...]
    weighted_f1: tuple[float, ...]
    macro_f1: tuple[float, ...]

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @staticmethod
    def from_dict(d: dict[str, Any]) -> "Curve":
        return Curve(**{f.name: tuple(d[f.name]) for f in fields(Curve)})

    def __len__(self) -> int:
        return len(self.train_loss)
