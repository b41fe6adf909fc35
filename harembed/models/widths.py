"""The widths of a network: what pruning takes away, one number for each layer."""

from collections.abc import Sequence
from dataclasses import replace

from harembed.cost.dims import Number
from harembed.space import Architecture, ConvTail, FlatTail, ResNetTail


def widths(arch: Architecture) -> tuple[int, ...]:
    """Filters of the first stage's convolutions, then of the tail's (fusion first), or its hidden features."""
    first = tuple(c.filters for c in arch.convs)
    if isinstance(arch.tail, ConvTail):
        return (*first, arch.tail.fusion, *(c.filters for c in arch.tail.convs))
    if isinstance(arch.tail, ResNetTail):
        return (*first, arch.tail.filters)
    return first if isinstance(arch.tail, FlatTail) else (*first, arch.tail.hidden)


def scaled(arch: Architecture, factor: float) -> Architecture:
    """The same network, so many times as wide; no layer has less than one filter."""
    return with_widths(arch, [max(round(w * factor), 1) for w in widths(arch)])


def with_widths(arch: Architecture, values: Sequence[Number]) -> Architecture:
    """The same network with other widths, in the order of `widths`.

    They may be 0-d tensors: then it is a network for cost formulas alone, which carry gradients to them.
    """
    convs = tuple(replace(c, filters=v) for c, v in zip(arch.convs, values, strict=False))
    if isinstance(arch.tail, FlatTail):
        return replace(arch, convs=convs)
    width, *behind = values[len(convs):]
    if isinstance(arch.tail, ConvTail):
        after = tuple(replace(c, filters=v) for c, v in zip(arch.tail.convs, behind, strict=True))
        return replace(arch, convs=convs, tail=replace(arch.tail, fusion=width, convs=after))
    if isinstance(arch.tail, ResNetTail):
        return replace(arch, convs=convs, tail=replace(arch.tail, filters=width))
    assert not behind, "a recurrent tail has one width"
    return replace(arch, convs=convs, tail=replace(arch.tail, hidden=width))
