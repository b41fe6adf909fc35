"""C source from an integer graph: `own` kernels, a static arena, no malloc, no stdio, no date, no path.

Python decides every value, templates place them, kernels compute.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any

import jinja2
import numpy as np

import harembed
from harembed.cost.memory import MemoryPlan, plan_memory
from harembed.errors import GraphError
from harembed.ir.graph import DType, IntGraph, Kind, Node, TensorSpec
from harembed.ir.ops import OPS
from harembed.ir.ops.base import GOALS, Goal
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


@dataclass(frozen=True)
class _Call:
    """One form of a node: its function, what that is called with, and the tables that it needs."""

    kernel: str
    inline: bool
    fields: list[_Field]
    tables: list[_Constant]
    arguments: list[str]
    pointers: list[str] = field(default_factory=list)  # the inputs of an operator that takes any number of them


def generate(graph: IntGraph, plan: MemoryPlan | None = None, optimize: Goal = "balanced") -> dict[str, str]:
    """Render the sources of a model.

    Parameters
    ----------
    graph : IntGraph
    plan : MemoryPlan    of this graph; made if absent
    optimize : Goal      what the code for cores with DSP instructions is optimised for: "speed" widens weights at
        generation time and gives each layer code of its own, "balanced" keeps weights as bytes, "size" has one copy
        of the code for all layers of a kind

    Returns
    -------
    dict    {"model.c": text, "model.h": text}; the same graph gives the same text on every machine
    """
    plan = plan or plan_memory(graph)
    environment = jinja2.Environment(loader=jinja2.FileSystemLoader(resource_dir("templates") / "c"),
                                     trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True,
                                     undefined=jinja2.StrictUndefined, autoescape=False)
    context = _context(graph, plan, optimize)
    return {name: environment.get_template(f"{name}.j2").render(context) for name in ("model.c", "model.h")}


def kernels_of(graph: IntGraph) -> list[str]:
    """Names of the kernels that a graph calls, in portable and in DSP form, whatever the goal, sorted."""
    names: set[str] = set()
    for n in graph.nodes:
        if not OPS[n.op].view:
            prepared = OPS[n.op].prepare(graph, n)
            forms = (OPS[n.op].dsp(graph, n, goal) for goal in GOALS)
            names.update((prepared.kernel, *prepared.also), (form.kernel for form in forms if form is not None))
    return sorted(names)


def _context(graph: IntGraph, plan: MemoryPlan, optimize: Goal) -> dict[str, Any]:
    constants = [_tensor_constant(i, t) for i, t in enumerate(graph.of_kind(Kind.CONSTANT))]
    symbols = {t.name: c.symbol for t, c in zip(graph.of_kind(Kind.CONSTANT), constants, strict=True)}
    nodes = [_node(graph, plan, i, n, symbols, optimize) for i, n in enumerate(graph.nodes)]
    _share_tables(n["call"] for n in nodes if n["call"] is not None and n["dsp"] is None)
    _share_tables(n["dsp"] for n in nodes if n["dsp"] is not None)
    always = _words(n["call"] for n in nodes if n["dsp"] is None) | _words(n["dsp"] for n in nodes)
    portable = _words(n["call"] for n in nodes if n["dsp"] is not None) - always
    inputs = [_tensor(graph[t], plan) for t in graph.inputs]
    outputs = [_tensor(graph[t], plan) for t in graph.outputs]
    states = [_tensor(t, plan) for t in graph.of_kind(Kind.STATE)]
    return {
        "generator": f"harembed {harembed.__version__}", "name": _text(graph.name), "id": graph.id(),
        "backend": "own", "calls": "calls_own.j2", "arena_bytes": plan.arena_bytes, "kernels": kernels_of(graph),
        "buffers": [{"name": b.name.replace("*/", ""), "offset": plan.offsets[b.name], "nbytes": b.nbytes,
                     "first": b.first, "last": b.last} for b in plan.buffers],
        # A constant that only portable forms name would be an unused static beside the DSP forms.
        "constants": [c for c in constants if c.symbol in always],
        "portable_constants": [c for c in constants if c.symbol in portable], "nodes": nodes,
        "inputs": inputs, "outputs": outputs,
        "states": states, "max_input_bytes": max(t["nbytes"] for t in inputs),
        "tensor_groups": [{"symbol": "input_infos", "tensors": inputs},
                          {"symbol": "output_infos", "tensors": outputs},
                          {"symbol": "state_infos", "tensors": states}],
        "labels": [_text(x) for x in graph.labels], "input_spec": graph.input_spec,
        "macs": sum(n["macs"] for n in nodes),
    }


def _node(graph: IntGraph, plan: MemoryPlan, index: int, node: Node, symbols: dict[str, str],
          optimize: Goal) -> dict[str, Any]:
    op = OPS[node.op]
    output = graph[node.outputs[0]]
    shapes = " ".join("x".join(map(str, graph[t].shape)) for t in (node.inputs[0], node.outputs[0]))
    return {
        "name": _text(node.name), "op": node.op, "symbol": f"node_{index}",
        "call": None if op.view else _portable_call(graph, plan, index, node, symbols),
        "dsp": None if op.view else _dsp_call(graph, plan, index, node, symbols, optimize),
        "macs": op.macs(graph, node), "output_offset": plan.offsets[output.name], "output_bytes": output.nbytes,
        "shapes": shapes,
    }


def _portable_call(graph: IntGraph, plan: MemoryPlan, index: int, node: Node, symbols: dict[str, str]) -> _Call:
    prepared = OPS[node.op].prepare(graph, node)
    members, tables = _params(f"node_{index}", node, prepared.params)
    arguments = [f"&node_{index}_params"] if prepared.params is not None else []
    inputs = [symbols.get(name) or _pointer(graph[name], plan, True) if name else "NULL" for name in node.inputs]
    variadic = OPS[node.op].variadic
    arguments += [f"node_{index}_inputs"] if variadic else inputs
    arguments += [_pointer(graph[name], plan, False) for name in node.outputs]
    if prepared.scratch_bytes:
        arguments.append(_scratch(plan, node))
    return _Call(prepared.kernel, False, members, tables, arguments, inputs if variadic else [])


def _dsp_call(graph: IntGraph, plan: MemoryPlan, index: int, node: Node, symbols: dict[str, str],
              optimize: Goal) -> _Call | None:
    form = OPS[node.op].dsp(graph, node, optimize)
    if form is None:
        return None
    members, tables = _params(f"node_{index}", node, form.params)
    arguments = [f"&node_{index}_params", *([f"node_{index}_params.layout"] if form.inline else [])]
    arguments += [symbols.get(t) or _pointer(graph[t], plan, True) for t in node.inputs
                  if t and (form.takes_constants or graph[t].kind is not Kind.CONSTANT)]
    arguments += [_pointer(graph[t], plan, False) for t in node.outputs]
    arguments += [_scratch(plan, node)] if OPS[node.op].dsp_scratch_bytes(graph, node) else []
    return _Call(form.kernel, form.inline, members, tables, arguments)


def _scratch(plan: MemoryPlan, node: Node) -> str:
    return f"(he_arena + {plan.offsets[f'{node.name}#scratch']})"


def _params(symbol: str, node: Node, params: Any) -> tuple[list[_Field], list[_Constant]]:
    """Fields of the params struct; arrays become tables of their own, dataclasses structs in the struct."""
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
        elif is_dataclass(value):
            inner, more = _params(f"{symbol}_{f.name}", node, value)
            tables += more
            lines = [line for i in inner for line in f".{i.name} = {i.value},".split("\n")]
            result.append(_Field(f.name, "\n".join(["{", *(f"    {line}" for line in lines), "}"])))
        else:
            raise GraphError(f"Node {node.name!r}: parameter {f.name} is a {type(value).__name__}, "
                             "which has no form in C.")
    return result, tables


def _share_tables(calls: Iterable[_Call]) -> None:
    """Keep one of equal tables: unrolled networks repeat them."""
    first: dict[tuple[str, str], str] = {}
    for call in calls:
        named = {f.value for f in call.fields}  # others are named inside a struct
        same = {t.symbol: first.setdefault((t.ctype, t.values), t.symbol) if t.symbol in named else t.symbol
                for t in call.tables}
        call.tables[:] = [t for t in call.tables if same[t.symbol] == t.symbol]
        call.fields[:] = [_Field(f.name, same.get(f.value, f.value)) for f in call.fields]


def _words(calls: Iterable[_Call | None]) -> set[str]:
    """What calls are made with: arguments, and values of params fields."""
    words: set[str] = set()
    for call in calls:
        if call is not None:
            words.update(call.arguments, call.pointers)
            words.update(f.value for f in call.fields)
    return words


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
