"""C source from an integer graph: `own` kernels, a static arena, no malloc, no stdio, no date, no path.

Python decides every value, templates place them, kernels compute.
"""

from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Any

import jinja2
import numpy as np

import harembed
from harembed.cost.memory import MemoryPlan, plan_memory
from harembed.errors import GraphError
from harembed.ir.graph import DType, IntGraph, Kind, Node, TensorSpec
from harembed.ir.ops import OPS
from harembed.resources import resource_dir

MAX_RANK = 5  # HE_MAX_RANK in harembed.h

_CTYPE = {DType.INT8: "int8_t", DType.INT16: "int16_t", DType.INT32: "int32_t", DType.BIT: "uint32_t"}
_ENUM = {DType.INT8: "HE_INT8", DType.INT16: "HE_INT16", DType.INT32: "HE_INT32", DType.BIT: "HE_BIT"}
_TABLE_CTYPE = {"int8": "int8_t", "uint8": "uint8_t", "int16": "int16_t", "uint16": "uint16_t",
                "int32": "int32_t", "uint32": "uint32_t"}


@dataclass(frozen=True)
class _Constant:
    symbol: str
    ctype: str
    count: int
    values: str
    comment: str


@dataclass(frozen=True)
class _Field:
    name: str
    value: str


def generate(graph: IntGraph, plan: MemoryPlan | None = None) -> dict[str, str]:
    """Render the sources of a model.

    Parameters
    ----------
    graph : IntGraph
    plan : MemoryPlan    of this graph; made if absent

    Returns
    -------
    dict    {"model.c": text, "model.h": text}; the same graph gives the same text on every machine
    """
    plan = plan or plan_memory(graph)
    environment = jinja2.Environment(loader=jinja2.FileSystemLoader(resource_dir("templates") / "c"),
                                     trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True,
                                     undefined=jinja2.StrictUndefined, autoescape=False)
    context = _context(graph, plan)
    return {name: environment.get_template(f"{name}.j2").render(context) for name in ("model.c", "model.h")}


def kernels_of(graph: IntGraph) -> list[str]:
    """Names of the kernels that a graph calls, sorted."""
    return sorted({OPS[n.op].prepare(graph, n).kernel for n in graph.nodes if not OPS[n.op].view})


def _context(graph: IntGraph, plan: MemoryPlan) -> dict[str, Any]:
    constants = [_tensor_constant(i, t) for i, t in enumerate(graph.of_kind(Kind.CONSTANT))]
    symbols = {t.name: c.symbol for t, c in zip(graph.of_kind(Kind.CONSTANT), constants, strict=True)}
    nodes = []
    first: dict[tuple[str, str], str] = {}  # symbols of tables by content: unrolled networks repeat them
    for index, node in enumerate(graph.nodes):
        description, tables = _node(graph, plan, index, node, symbols)
        same = {t.symbol: first.setdefault((t.ctype, t.values), t.symbol) for t in tables}
        description["fields"] = [_Field(f.name, same.get(f.value, f.value)) for f in description["fields"]]
        nodes.append(description)
        constants.extend(tables)
    inputs = [_tensor(graph[t], plan) for t in graph.inputs]
    outputs = [_tensor(graph[t], plan) for t in graph.outputs]
    states = [_tensor(t, plan) for t in graph.of_kind(Kind.STATE)]
    return {
        "generator": f"harembed {harembed.__version__}", "name": _text(graph.name), "id": graph.id(),
        "backend": "own", "calls": "calls_own.j2", "arena_bytes": plan.arena_bytes, "kernels": kernels_of(graph),
        "buffers": [{"name": b.name.replace("*/", ""), "offset": plan.offsets[b.name], "nbytes": b.nbytes,
                     "first": b.first, "last": b.last} for b in plan.buffers],
        "constants": _used(constants, nodes), "nodes": nodes, "inputs": inputs, "outputs": outputs,
        "states": states, "max_input_bytes": max(t["nbytes"] for t in inputs),
        "tensor_groups": [{"symbol": "input_infos", "tensors": inputs},
                          {"symbol": "output_infos", "tensors": outputs},
                          {"symbol": "state_infos", "tensors": states}],
        "labels": [_text(x) for x in graph.labels], "input_spec": graph.input_spec,
        "macs": sum(n["macs"] for n in nodes),
    }


def _node(graph: IntGraph, plan: MemoryPlan, index: int, node: Node,
          symbols: dict[str, str]) -> tuple[dict[str, Any], list[_Constant]]:
    op = OPS[node.op]
    prepared = op.prepare(graph, node)
    symbol = f"node_{index}"
    params, tables = _params(symbol, node, prepared.params)
    output = graph[node.outputs[0]]
    arguments: list[str] = []
    inputs: list[str] = []
    if not op.view:
        arguments += [f"&{symbol}_params"] if prepared.params is not None else []
        inputs = [symbols.get(name) or _pointer(graph[name], plan, True) if name else "NULL" for name in node.inputs]
        arguments += [f"{symbol}_inputs"] if op.variadic else inputs
        arguments += [_pointer(graph[name], plan, False) for name in node.outputs]
        if prepared.scratch_bytes:
            arguments.append(f"(he_arena + {plan.offsets[f'{node.name}#scratch']})")
    shapes = " ".join("x".join(map(str, graph[t].shape)) for t in (node.inputs[0], node.outputs[0]))
    return {
        "name": _text(node.name), "op": node.op, "symbol": symbol, "kernel": prepared.kernel, "fields": params,
        "arguments": arguments, "pointers": inputs if op.variadic else [], "macs": op.macs(graph, node),
        "output_offset": plan.offsets[output.name], "output_bytes": output.nbytes, "shapes": shapes,
    }, tables


def _params(symbol: str, node: Node, params: Any) -> tuple[list[_Field], list[_Constant]]:
    """Fields of the params struct; arrays become tables of their own."""
    result: list[_Field] = []
    tables: list[_Constant] = []
    for f in fields(params) if params is not None else ():
        value = getattr(params, f.name)
        if isinstance(value, np.ndarray):
            table = _constant(f"{symbol}_{f.name}", value, f"{_text(node.name)}: {f.name}")
            tables.append(table)
            result.append(_Field(f.name, table.symbol))
        elif value is None:
            result.append(_Field(f.name, "NULL"))
        elif isinstance(value, (int, np.integer)):
            result.append(_Field(f.name, _integer(int(value))))
        elif isinstance(value, tuple):
            result.append(_Field(f.name, "{ " + ", ".join(_integer(int(v)) for v in value) + " }"))
        else:
            raise GraphError(f"Node {node.name!r}: parameter {f.name} is a {type(value).__name__}, "
                             "which has no form in C.")
    return result, tables


def _tensor(spec: TensorSpec, plan: MemoryPlan) -> dict[str, Any]:
    if len(spec.shape) > MAX_RANK:
        raise GraphError(f"Tensor {spec.name!r} has rank {len(spec.shape)}; at most {MAX_RANK} is supported.")
    dims = [*spec.shape, *[1] * (MAX_RANK - len(spec.shape))]
    scale = spec.qparams.scale[0] if spec.qparams else 1.0
    return {"name": _text(spec.name), "enum": _ENUM[spec.dtype], "ctype": _CTYPE[spec.dtype],
            "rank": len(spec.shape), "dims": ", ".join(f"{d}U" for d in dims), "scale": _float(scale),
            "zero_point": spec.zero_point, "offset": plan.offsets[spec.name], "nbytes": spec.nbytes,
            "elements": spec.elements}


def _tensor_constant(index: int, spec: TensorSpec) -> _Constant:
    assert spec.data is not None
    shape = "x".join(map(str, spec.shape))
    return _constant(f"constant_{index}", spec.data, f"{_text(spec.name)} [{shape}]")


def _constant(symbol: str, data: np.ndarray, comment: str) -> _Constant:
    values = data.ravel().tolist()
    return _Constant(symbol, _TABLE_CTYPE[data.dtype.name], max(len(values), 1), _rows(values or [0]), comment)


def _used(constants: Iterable[_Constant], nodes: list[dict[str, Any]]) -> list[_Constant]:
    """Drop constants that no call and no params struct names: an unused static is a compiler error."""
    words: set[str] = set()
    for n in nodes:
        words.update(n["arguments"], n["pointers"])
        words.update(f.value for f in n["fields"])
    return [c for c in constants if c.symbol in words]


def _rows(values: list[int], per_row: int = 16) -> str:
    texts = [_integer(v) for v in values]
    return "\n".join("    " + ", ".join(texts[i : i + per_row]) + ","
                     for i in range(0, len(texts), per_row))


def _integer(value: int) -> str:
    # -2147483648 is an expression of type long in C.
    return "INT32_MIN" if value == -(2**31) else str(value)


def _float(value: float) -> str:
    text = f"{value:.9g}"
    return f"{text}f" if any(c in text for c in ".e") else f"{text}.0f"


def _pointer(spec: TensorSpec, plan: MemoryPlan, const: bool) -> str:
    # A state is read and written by the same node, so it is never const.
    qualifier = "const " if const and spec.kind is not Kind.STATE else ""
    return f"({qualifier}{_CTYPE[spec.dtype]} *)(he_arena + {plan.offsets[spec.name]})"


def _text(text: str) -> str:
    """A string that is safe inside a C string literal and a comment."""
    return "".join(c if c.isascii() and c.isprintable() and c not in '"\\' else "_" for c in text).replace("*/", "__")
