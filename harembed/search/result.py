"""What a search hands over."""

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from harembed.search.candidate import Candidate


@dataclass(frozen=True, eq=False)
class SearchResult:
    """The chosen network, and all that were looked at.

    Attributes
    ----------
    best : the candidate that was chosen on validation subjects
    candidates : every scored candidate, in order of first scoring
    rejected : proposals that no limit let through, as (description, what was exceeded)
    history : one entry per epoch of the super-net: epoch, tau, beta1, train_loss, alpha_loss, macs, peak_bytes; or of
        the networks that autoslim and pas prune: round, epoch, train_loss; narrowest_loss, or macs and peak_bytes
    weights : of `best` for harembed.models.build_model, as the super-net had them: a starting point for fine-tuning;
        None if `best` is a neighbour of what the super-net proposed, or if there was no super-net
    epochs : of training, by what was trained: "super-net" (converted, see effort.py), "candidates"
    """

    best: Candidate
    candidates: tuple[Candidate, ...]
    rejected: tuple[tuple[str, str], ...]
    history: list[dict[str, float]]
    weights: dict[str, Tensor] | None
    epochs: dict[str, int]

    def to_dict(self) -> dict[str, Any]:
        return {"best": self.best.to_dict(), "candidates": [c.to_dict() for c in self.candidates],
                "rejected": [list(r) for r in self.rejected], "history": self.history,
                "epochs_trained": self.epochs_trained}

    @property
    def epochs_trained(self) -> dict[str, int]:
        return {"total": sum(self.epochs.values()), **self.epochs}
