"""All operators of the integer graph, by name."""

from harembed.ir.ops.base import Op
from harembed.ir.ops.conv import Conv2D

OPS: dict[str, Op] = {op.name: op for op in (Conv2D(),)}
