"""C++ source that runs an integer graph on TFLite Micro: the .tflite as an array, a resolver of its operators only.

TFLM_OPS says of each operator how the resolver adds it and which kernel sources compute it. The arena's size cannot
be known without the interpreter: `arena_bound` gives one that is certainly enough, a first build reports what the
interpreter used of it (`he_model_info.arena_bytes`), and the build that counts has that.
"""

from typing import Any

import jinja2

from harembed.cost.memory import MemoryPlan, plan_memory
from harembed.errors import GraphError
from harembed.export.cmsis_nn import CmsisNnForm, cmsis_nn_form
from harembed.export.model_context import model_context
from harembed.export.tflite import write_tflite
from harembed.export.tflite_ops import TFLITE_OPS
from harembed.ir.expand import expanded
from harembed.ir.graph import IntGraph, Kind, Node
from harembed.ir.ops import OPS
from harembed.resources import resource_dir

# Operator -> (method of MicroMutableOpResolver, stems of tensorflow/lite/micro/kernels/*.cc).
TFLM_OPS: dict[str, tuple[str, tuple[str, ...]]] = {
    "conv_2d": ("AddConv2D", ("conv",)),
    "depthwise_conv_2d": ("AddDepthwiseConv2D", ("depthwise_conv", "conv")),
    "fully_connected": ("AddFullyConnected", ("fully_connected",)),
    "average_pool_2d": ("AddAveragePool2D", ("pooling",)),
    "max_pool_2d": ("AddMaxPool2D", ("pooling",)),
    "mean": ("AddMean", ("reduce",)),
    "sum": ("AddSum", ("reduce",)),
    "reshape": ("AddReshape", ("reshape",)),
    "transpose": ("AddTranspose", ("transpose",)),
    "pad": ("AddPad", ("pad",)),
    "pad_v2": ("AddPadV2", ("pad",)),
    "concatenation": ("AddConcatenation", ("concatenation",)),
    "quantize": ("AddQuantize", ("quantize",)),
    "relu": ("AddRelu", ("activations",)),
    "relu6": ("AddRelu6", ("activations",)),
    "leaky_relu": ("AddLeakyRelu", ("leaky_relu",)),
    "prelu": ("AddPrelu", ("prelu",)),
    "hard_swish": ("AddHardSwish", ("hard_swish",)),
    "softmax": ("AddSoftmax", ("softmax",)),
    "tanh": ("AddTanh", ("tanh",)),
    "logistic": ("AddLogistic", ("logistic",)),
    "add": ("AddAdd", ("add",)),
    "sub": ("AddSub", ("sub",)),
    "mul": ("AddMul", ("mul",)),
    "batch_matmul": ("AddBatchMatMul", ("batch_matmul", "transpose")),
    "strided_slice": ("AddStridedSlice", ("strided_slice",)),
    "lstm": ("AddUnidirectionalSequenceLSTM", ("unidirectional_sequence_lstm", "lstm_eval", "fully_connected")),
}
ALIGNMENT = 16  # of TFLite Micro's arena and of each buffer in it
# Generous sizes of what the interpreter keeps, in bytes on a 32-bit machine.
_FIXED = 3000
_PER_TENSOR = 64
_PER_NODE = 320
_LSTM = 1600


def kernel_stems(graph: IntGraph) -> tuple[str, ...]:
    """Stems of the kernel sources that a graph needs."""
    return tuple(sorted({stem for op in _operators(expanded(graph)) for stem in TFLM_OPS[op][1]}))


def generate_tflm(graph: IntGraph, arena_bytes: int | None = None) -> dict[str, str]:
    """Render the sources of a model on TFLite Micro.

    Parameters
    ----------
    arena_bytes : int    what the interpreter reported; None takes arena_bound

    Returns
    -------
    dict    {"model.cc": text, "model.h": text}
    """
    environments = {folder: jinja2.Environment(
        loader=jinja2.FileSystemLoader(resource_dir("templates") / folder), trim_blocks=True, lstrip_blocks=True,
        keep_trailing_newline=True, undefined=jinja2.StrictUndefined, autoescape=False) for folder in ("tflm", "c")}
    plan = _plan(graph)
    context = _context(graph, plan, arena_bytes or _enough(graph, plan))
    return {"model.cc": environments["tflm"].get_template("model.cc.j2").render(context),
            "model.h": environments["c"].get_template("model.h.j2").render(context)}


def arena_bound(graph: IntGraph) -> int:
    """Bytes of arena that are enough: a plan of all buffers with room to spare, and what is kept of each."""
    return _enough(graph, _plan(graph))


def _plan(graph: IntGraph) -> MemoryPlan:
    """Where the buffers could lie; the interpreter places them by itself."""
    graph = expanded(graph)
    return plan_memory(graph, max_steps=0, scratch_bytes={node.name: _scratch(graph, node) for node in graph.nodes},
                       in_place=False)


def _enough(graph: IntGraph, plan: MemoryPlan) -> int:
    graph = expanded(graph)
    channels = sum(graph[n.outputs[0]].shape[-1] for n in graph.nodes)
    kept = (_FIXED + _PER_TENSOR * len(graph.tensors) + _PER_NODE * len(graph.nodes) + 8 * channels
            + sum(_LSTM + 32 * graph[n.outputs[0]].shape[-1] for n in graph.nodes if n.op == "lstm"))
    planned = plan.arena_bytes * 5 // 4 + ALIGNMENT * len(plan.buffers)
    return -(-(planned + kept) // ALIGNMENT) * ALIGNMENT


def _scratch(graph: IntGraph, node: Node) -> int:
    form = None if OPS[node.op].view else cmsis_nn_form(graph, node)
    mine = form.scratch_bytes if isinstance(form, CmsisNnForm) else 0
    # An LSTM keeps its cell there too; operands of a matrix product are turned round; rows get multipliers.
    turned = sum(graph[t].nbytes for t in node.inputs if t) if node.op == "batch_matmul" else 0
    return mine + 8 * graph[node.outputs[0]].shape[-1] + turned


def _operators(graph: IntGraph) -> list[str]:
    missing = sorted({n.op for n in graph.nodes} - set(TFLM_OPS))
    if missing:
        raise GraphError(f"TFLite Micro has no {', '.join(missing)}.", "Use --backend own.")
    return sorted({n.op for n in graph.nodes})


def _context(graph: IntGraph, plan: MemoryPlan, arena_bytes: int) -> dict[str, Any]:
    data = write_tflite(graph)
    # write_tflite numbers the tensors of the expanded graph in their order, and makes one operator of each node.
    in_file = expanded(graph)
    index = {name: i for i, name in enumerate(in_file.tensors)}
    context = model_context(graph, plan, "tflm")
    for group, names in zip(context["tensor_groups"], (graph.inputs, graph.outputs,
                                                       [t.name for t in graph.of_kind(Kind.STATE)]), strict=True):
        for tensor, name in zip(group["tensors"], names, strict=True):
            tensor["index"] = index[name]
    for entry, node in zip(context["nodes"], graph.nodes, strict=True):
        entry["output_index"] = index[node.outputs[0]]
        expansion = OPS[node.op].expand(graph, node)
        entry["operators"] = 1 if expansion is None else len(expansion.nodes)
    rows = (", ".join(map(str, data[i : i + 24])) for i in range(0, len(data), 24))
    resolver = [{"method": TFLM_OPS[op][0], "builtin": TFLITE_OPS[op].builtin} for op in _operators(in_file)]
    return {**context, "arena_bytes": arena_bytes, "model_bytes": len(data), "resolver": resolver,
            "model_data": "\n".join(f"    {row}," for row in rows)}
