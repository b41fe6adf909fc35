"""What every backend's sources tell of a model: tensors, nodes, labels, input spec, as the templates place them."""

from typing import Any

import harembed
from harembed.cost.memory import MemoryPlan
from harembed.errors import GraphError
from harembed.ir.graph import DType, IntGraph, Kind, Node, TensorSpec
from harembed.ir.ops import OPS

MAX_RANK = 5  # HE_MAX_RANK in harembed.h

CTYPES = {DType.INT8: "int8_t", DType.INT16: "int16_t", DType.INT32: "int32_t", DType.BIT: "uint32_t"}
_ENUM = {DType.INT8: "HE_INT8", DType.INT16: "HE_INT16", DType.INT32: "HE_INT32", DType.BIT: "HE_BIT"}


def model_context(graph: IntGraph, plan: MemoryPlan, backend: str) -> dict[str, Any]:
    """Names and values for model.h and for the information in model.c or model.cc; no calls.

    Offsets are those of the plan; a backend that places tensors itself ignores them.
    """
    inputs = [_tensor(graph[t], plan) for t in graph.inputs]
    outputs = [_tensor(graph[t], plan) for t in graph.outputs]
    states = [_tensor(t, plan) for t in graph.of_kind(Kind.STATE)]
    nodes = [_node(graph, plan, i, n) for i, n in enumerate(graph.nodes)]
    return {
        "generator": f"harembed {harembed.__version__}", "name": c_text(graph.name), "id": graph.id(),
        "backend": backend, "arena_bytes": plan.arena_bytes, "nodes": nodes, "inputs": inputs, "outputs": outputs,
        "states": states, "input_bytes": sum(t["nbytes"] for t in inputs),
        "max_input_bytes": max(t["nbytes"] for t in inputs),
        "tensor_groups": [{"symbol": "input_infos", "tensors": inputs},
                          {"symbol": "output_infos", "tensors": outputs},
                          {"symbol": "state_infos", "tensors": states}],
        "labels": [c_text(x) for x in graph.labels], "input_spec": graph.input_spec,
        "macs": sum(n["macs"] for n in nodes),
    }


def _node(graph: IntGraph, plan: MemoryPlan, index: int, node: Node) -> dict[str, Any]:
    output = graph[node.outputs[0]]
    shapes = " ".join("x".join(map(str, graph[t].shape)) for t in (node.inputs[0], node.outputs[0]))
    return {"name": c_text(node.name), "op": node.op, "index": index, "symbol": f"node_{index}",
            "macs": OPS[node.op].macs(graph, node), "output_offset": plan.offsets[output.name],
            "output_bytes": output.nbytes, "shapes": shapes}


def _tensor(spec: TensorSpec, plan: MemoryPlan) -> dict[str, Any]:
    if len(spec.shape) > MAX_RANK:
        raise GraphError(f"Tensor {spec.name!r} has rank {len(spec.shape)}; at most {MAX_RANK} is supported.")
    dims = [*spec.shape, *[1] * (MAX_RANK - len(spec.shape))]
    scale = spec.qparams.scale[0] if spec.qparams else 1.0
    return {"name": c_text(spec.name), "enum": _ENUM[spec.dtype], "ctype": CTYPES[spec.dtype],
            "rank": len(spec.shape), "dims": ", ".join(f"{d}U" for d in dims), "scale": _float(scale),
            "zero_point": spec.zero_point, "offset": plan.offsets[spec.name], "nbytes": spec.nbytes,
            "elements": spec.elements}


def _float(value: float) -> str:
    text = f"{value:.9g}"
    return f"{text}f" if any(c in text for c in ".e") else f"{text}.0f"


def c_text(text: str) -> str:
    """A string that is safe inside a C string literal and a comment."""
    return "".join(c if c.isascii() and c.isprintable() and c not in '"\\' else "_" for c in text).replace("*/", "__")
