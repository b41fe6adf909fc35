"""How many fragments and bricks Lego filters are asked for with (Tang et al., sec. IV: o and m = k / n)."""

import re
from dataclasses import dataclass

from harembed.errors import SearchError

_TEXT = re.compile(r"o=(\d+),m=(\d*\.?\d+)")


@dataclass(frozen=True)
class Lego:
    """
    Attributes
    ----------
    fragments : o, that the input channels of a convolution are split into
    share : m, of its filters: so many bricks are learned
    """

    fragments: int
    share: float

    @staticmethod
    def parse(text: str) -> "Lego":
        """Read "o=4,m=0.25".

        Raises
        ------
        SearchError    the text is none, or a value is out of range
        """
        found = _TEXT.fullmatch(text.replace(" ", ""))
        lego = Lego(int(found[1]), float(found[2])) if found else Lego(0, 0.0)
        if lego.fragments < 2 or not 0.0 < lego.share < 1.0:
            raise SearchError(f"Lego filters are asked for as o=4,m=0.25: 2 fragments or more, and a share of bricks "
                              f"below 1, not {text!r}.", "More fragments and fewer bricks make a network smaller.")
        return lego

    @property
    def text(self) -> str:
        return f"o={self.fragments},m={self.share:g}"

    def parts(self, inputs: int, filters: int) -> tuple[int, int] | None:
        """(fragments, bricks) of a convolution; None if it stays dense.

        Fragments are equal: so many as divide the input channels, at most o. Bricks are at least so many that no two
        filters need to be the same.
        """
        fragments = max(f for f in range(1, min(self.fragments, inputs) + 1) if inputs % f == 0)
        bricks = max(round(self.share * filters), 1)
        while bricks**fragments < filters:
            bricks += 1
        return (fragments, bricks) if fragments > 1 and bricks < filters else None
