"""From motion recordings to a verified microcontroller firmware."""

__version__ = "0.1.0"
