"""The ways to make a network's convolutions, and how wide it may be in each."""

from dataclasses import dataclass

from harembed.cost.dims import dims_of
from harembed.cost.macs import constant_bytes
from harembed.errors import SearchError
from harembed.lego import Lego
from harembed.models.widths import widths, with_widths
from harembed.space import XNOR_CHANNELS, Architecture, Network, with_form

_STEPS = 96  # widths that are tried, an eighth of an octave apart
_LARGEST = 16.0  # times as wide


@dataclass(frozen=True)
class Form:
    """
    Attributes
    ----------
    lego : bricks of Lego filters, or none
    xnor : signs
    multiple : widths from `begins` on are multiples of it, which the form makes good use of
    """

    name: str
    lego: Lego | None = None
    xnor: bool = False
    multiple: int = 1
    begins: int = 1

    def width(self, wanted: float) -> int:
        """The next one."""
        step = self.multiple if wanted >= self.begins else 1
        return max(round(wanted / step), 1) * step


FORMS = (Form("int8"), Form("Lego o=2, m=0.5", Lego(2, 0.5), multiple=2), Form("Lego o=4, m=0.25", Lego(4, 0.25),
                                                                               multiple=4),
         Form("XNOR", xnor=True, multiple=8, begins=XNOR_CHANNELS))


def widest(arch: Architecture, form: Form, most_bytes: int) -> Network | None:
    """The network in this form with all its widths scaled alike, so that its constants need as many bytes as they
    may, by estimate (harembed.cost.macs.constant_bytes); None if even the narrowest needs more."""
    now = widths(arch)
    for step in range(_STEPS):
        factor = _LARGEST * 2 ** (-step / 8)
        try:
            made = with_form(with_widths(arch, [form.width(w * factor) for w in now]), form.lego, form.xnor)
        except SearchError:
            continue
        if constant_bytes(dims_of(made)) <= most_bytes:
            return made
    return None
