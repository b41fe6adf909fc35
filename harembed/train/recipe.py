"""How a network is trained: plain data."""

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Recipe:
    """AdamW under a one-cycle schedule with label smoothing, dropout and light augmentation.

    The defaults took networks of 0.1 M MACs to a macro F1 of 0.96-0.98 on UCI-HAR's test subjects.
    """

    epochs: int = 40
    learning_rate: float = 3e-3  # peak of the cycle
    batch: int = 128  # windows
    weight_decay: float = 1e-2
    label_smoothing: float = 0.1  # share of the target spread over all classes
    dropout: float = 0.3
    gain: float = 0.1  # standard deviation of a random factor around 1, per window and channel
    offset: float = 0.1  # standard deviation of a random shift, per window and channel, of the normalised signal

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)
