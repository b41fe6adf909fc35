"""What each layer's code is optimised for: "size" shares one copy of a kernel's code, where that is smaller."""

from collections import Counter

from harembed.ir.graph import IntGraph
from harembed.ir.ops import OPS
from harembed.ir.ops.base import Goal

# From how many layers on one copy is smaller than code for each, in which shapes are constants; others: from two on.
_SHARED_FROM = {"he_conv_2d_s8_dsp": 4}


def code_goals(graph: IntGraph, goal: Goal) -> dict[str, Goal]:
    """Node name -> goal: with "size", "balanced" for the layers of a kernel that too few of them call."""
    if goal != "size":
        return {n.name: goal for n in graph.nodes}
    forms = {n.name: OPS[n.op].dsp(graph, n, "balanced") for n in graph.nodes}
    own = {name: form.kernel for name, form in forms.items() if form is not None and form.inline}
    count = Counter(own.values())
    return {name: "balanced" if name in own and count[own[name]] < _SHARED_FROM.get(own[name], 2) else goal
            for name in forms}
