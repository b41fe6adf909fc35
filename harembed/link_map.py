"""What of an image belongs to the model and what to the application, read from the linker's map (GNU ld)."""

import re
from dataclasses import dataclass

APPLICATION = ("/src/app/", "/src/port/")  # protocol, drivers, start-up: not part of what a user links

_BROKEN_LINE = re.compile(r"^( \.\S+)\n +(?=0x)", re.MULTILINE)
_PIECE = re.compile(r"^ (\.[\w.$]+|COMMON) +0x0*([0-9a-f]+) +0x([0-9a-f]+) (\S.*)$", re.MULTILINE)
_FLASH = (".text", ".rodata", ".data", ".vectors", ".he_node")
_RAM = (".data", ".bss", "COMMON")


@dataclass(frozen=True)
class Share:
    """Bytes of the model: generated sources, kernels, foreign and C library; paddings are not counted."""

    flash: int
    ram: int


def model_share(text: str) -> Share:
    """Sum up the pieces of all objects but the application's."""
    flash = ram = 0
    for section, address, size, path in _PIECE.findall(_BROKEN_LINE.sub(r"\1 ", text)):
        # Pieces that were thrown away have the address 0.
        if int(address, 16) and not any(part in path for part in APPLICATION):
            flash += int(size, 16) if section.startswith(_FLASH) else 0
            ram += int(size, 16) if section.startswith(_RAM) else 0
    return Share(flash, ram)
