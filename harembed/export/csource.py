"""C source from an integer graph: kernels of our own or of CMSIS-NN, a static arena, no malloc, no stdio, no date,
no path.

Python decides every value, templates place them, kernels compute.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any, Literal

import jinja2
import numpy as np

from harembed.cost.memory import MemoryPlan, plan_memory
from harembed.errors import GraphError
from harembed.export.cmsis_nn import CmsisNnForm, cmsis_nn_form, scratch_bytes
from harembed.export.model_context import CTYPES, c_text, model_context
from harembed.ir.code_goals import code_goals
from harembed.ir.graph import IntGraph, Kind, Node, TensorSpec
from harembed.ir.ops import OPS
from harembed.ir.ops.base import GOALS, DspForm, Goal
from harembed.resources import resource_dir

Kernels = Literal["own", "cmsis_nn"]
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


@dataclass(frozen=True)
class _CmsisNnCall:
    """A node as a call of CMSIS-NN: what its macro in calls_cmsis_nn.j2 places."""

    function: str
    params: Any
    values: Mapping[str, Any]
    tables: dict[str, str]  # name -> symbol
    constants: list[_Constant]
    inputs: list[str]
    outputs: list[str]
    scratch: str  # "" if it needs none
    scratch_bytes: int


def memory_plan(graph: IntGraph, kernels: Kernels = "own") -> MemoryPlan:
    """The plan of the arena, with the scratch memory of these kernels."""
    if kernels == "own":
        return plan_memory(graph)
    # Of its elementwise functions CMSIS-NN does not say that output and input may be one.
    return plan_memory(graph, scratch_bytes=scratch_bytes(graph), in_place=False)


def generate(graph: IntGraph, plan: MemoryPlan | None = None, optimize: Goal = "balanced",
             kernels: Kernels = "own") -> dict[str, str]:
    """Render the sources of a model.

    Parameters
    ----------
    graph : IntGraph
    plan : MemoryPlan    of this graph for these kernels; made if absent
    optimize : Goal      what the code for cores with DSP instructions is optimised for: "speed" widens weights at
        generation time and gives each layer code of its own, "balanced" keeps weights as bytes, "size" has one copy
        of the code for all layers of a kind, if they are several
    kernels : "own" or "cmsis_nn"    which library is called; a node that CMSIS-NN has no function for calls the
        portable kernel of our own

    Returns
    -------
    dict    {"model.c": text, "model.h": text}; the same graph gives the same text on every machine
    """
    plan = plan or memory_plan(graph, kernels)
    environment = jinja2.Environment(loader=jinja2.FileSystemLoader(resource_dir("templates") / "c"),
                                     trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True,
                                     undefined=jinja2.StrictUndefined, autoescape=False)
    context = _context(graph, plan, optimize, kernels)
    return {name: environment.get_template(f"{name}.j2").render(context) for name in ("model.c", "model.h")}


def kernels_of(graph: IntGraph, kernels: Kernels = "own") -> list[str]:
    """Names of the kernels of our own that a graph calls, in portable and in DSP form, whatever the goal, sorted."""
    names: set[str] = set()
    for n in graph.nodes:
        if OPS[n.op].view or (kernels == "cmsis_nn" and isinstance(cmsis_nn_form(graph, n), CmsisNnForm)):
            continue
        prepared = OPS[n.op].prepare(graph, n)
        # What the arena has free changes parameters of a form, never its kernel: no plan is needed.
        forms = (OPS[n.op].dsp(graph, n, goal) for goal in GOALS if kernels == "own")
        names.update((prepared.kernel, *prepared.also), (form.kernel for form in forms if form is not None))
    return sorted(names)


def _context(graph: IntGraph, plan: MemoryPlan, optimize: Goal, kernels: Kernels) -> dict[str, Any]:
    context = model_context(graph, plan, kernels)
    constants = [_tensor_constant(i, t) for i, t in enumerate(graph.of_kind(Kind.CONSTANT))]
    symbols = {t.name: c.symbol for t, c in zip(graph.of_kind(Kind.CONSTANT), constants, strict=True)}
    goals = code_goals(graph, optimize)
    nodes = [entry | _calls(graph, plan, i, n, symbols, goals[n.name], kernels)
             for i, (entry, n) in enumerate(zip(context["nodes"], graph.nodes, strict=True))]
    _share_tables(n["call"] for n in nodes if n["call"] is not None and n["dsp"] is None)
    _share_tables(n["dsp"] for n in nodes if n["dsp"] is not None)
    always = _words(n["call"] for n in nodes if n["dsp"] is None) | _words(n["dsp"] for n in nodes)
    always.update(word for n in nodes if n["cmsis_nn"] for word in n["cmsis_nn"].inputs)
    portable = _words(n["call"] for n in nodes if n["dsp"] is not None) - always
    return context | {
        "nodes": nodes, "kernels": kernels_of(graph, kernels),
        "buffers": [{"name": c_text(b.name), "in_place": [c_text(name) for name in b.in_place],
                     "offset": plan.offsets[b.name], "nbytes": b.nbytes, "first": b.first, "last": b.last}
                    for b in plan.buffers],
        # A constant that only portable forms name would be an unused static beside the DSP forms.
        "constants": [c for c in constants if c.symbol in always],
        "portable_constants": [c for c in constants if c.symbol in portable],
    }


def _calls(graph: IntGraph, plan: MemoryPlan, index: int, node: Node, symbols: dict[str, str], goal: Goal,
           kernels: Kernels) -> dict[str, Any]:
    """The forms of a node: of CMSIS-NN, or portable and perhaps with DSP instructions; none for a view."""
    if OPS[node.op].view:
        return {"call": None, "dsp": None, "cmsis_nn": None}
    cmsis_nn = _cmsis_nn_call(graph, plan, index, node, symbols) if kernels == "cmsis_nn" else None
    return {"call": None if cmsis_nn else _portable_call(graph, plan, index, node, symbols),
            "dsp": _dsp_call(graph, plan, index, node, symbols, goal) if kernels == "own" else None,
            "cmsis_nn": cmsis_nn}


def _portable_call(graph: IntGraph, plan: MemoryPlan, index: int, node: Node, symbols: dict[str, str]) -> _Call:
    prepared = OPS[node.op].prepare(graph, node)
    members, tables = _params(f"node_{index}", node, prepared.params)
    arguments = [f"&node_{index}_params"] if prepared.params is not None else []
    inputs = _inputs(graph, plan, node, symbols)
    variadic = OPS[node.op].variadic
    arguments += [f"node_{index}_inputs"] if variadic else inputs
    arguments += [_pointer(graph[name], plan, False) for name in node.outputs]
    if prepared.scratch_bytes:
        arguments.append(_scratch(plan, node))
    return _Call(prepared.kernel, False, members, tables, arguments, inputs if variadic else [])


def _inputs(graph: IntGraph, plan: MemoryPlan, node: Node, symbols: dict[str, str]) -> list[str]:
    return [symbols.get(name) or _pointer(graph[name], plan, True) if name else "NULL" for name in node.inputs]


def _cmsis_nn_call(graph: IntGraph, plan: MemoryPlan, index: int, node: Node,
                   symbols: dict[str, str]) -> _CmsisNnCall | None:
    form = cmsis_nn_form(graph, node)
    if not isinstance(form, CmsisNnForm):
        return None
    constants = {name: _constant(f"node_{index}_{name}", table, f"{c_text(node.name)}: {name}")
                 for name, table in form.tables.items()}
    inputs = ["NULL" if i in form.folded else x for i, x in enumerate(_inputs(graph, plan, node, symbols))]
    return _CmsisNnCall(form.function, form.params, form.values, {name: c.symbol for name, c in constants.items()},
                        list(constants.values()), inputs,
                        [_pointer(graph[name], plan, False) for name in node.outputs],
                        _scratch(plan, node) if form.scratch_bytes else "", form.scratch_bytes)


def _dsp_call(graph: IntGraph, plan: MemoryPlan, index: int, node: Node, symbols: dict[str, str],
              goal: Goal) -> _Call | None:
    offset, form = dsp_form(graph, plan, index, node, goal)
    if form is None:
        return None
    members, tables = _params(f"node_{index}", node, form.params)
    arguments = [f"&node_{index}_params", *([f"node_{index}_params.layout"] if form.inline else [])]
    arguments += [symbols.get(t) or _pointer(graph[t], plan, True) for t in node.inputs
                  if t and (form.takes_constants or graph[t].kind is not Kind.CONSTANT)]
    arguments += [_pointer(graph[t], plan, False) for t in node.outputs]
    if form.borrows:
        arguments.append(f"(he_arena + {offset})")
    elif OPS[node.op].dsp_scratch_bytes(graph, node):
        arguments.append(_scratch(plan, node))
    return _Call(form.kernel, form.inline, members, tables, arguments)


def dsp_form(graph: IntGraph, plan: MemoryPlan, index: int, node: Node, goal: Goal) -> tuple[int, DspForm | None]:
    """(where the arena has most room at a node, the form for cores with DSP instructions that suits it)."""
    offset, room = plan.room(index, f"{node.name}#scratch")
    return offset, OPS[node.op].dsp_within(graph, node, goal, room)


def _scratch(plan: MemoryPlan, node: Node) -> str:
    return f"(he_arena + {plan.offsets[f'{node.name}#scratch']})"


def _params(symbol: str, node: Node, params: Any) -> tuple[list[_Field], list[_Constant]]:
    """Fields of the params struct; arrays become tables of their own, dataclasses structs in the struct."""
    result: list[_Field] = []
    tables: list[_Constant] = []
    for f in fields(params) if params is not None else ():
        value = getattr(params, f.name)
        if isinstance(value, np.ndarray):
            table = _constant(f"{symbol}_{f.name}", value, f"{c_text(node.name)}: {f.name}")
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


def _tensor_constant(index: int, spec: TensorSpec) -> _Constant:
    assert spec.data is not None
    shape = "x".join(map(str, spec.shape))
    return _constant(f"constant_{index}", spec.data, f"{c_text(spec.name)} [{shape}]")


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


def _pointer(spec: TensorSpec, plan: MemoryPlan, const: bool) -> str:
    # A state is read and written by the same node, so it is never const.
    qualifier = "const " if const and spec.kind is not Kind.STATE else ""
    return f"({qualifier}{CTYPES[spec.dtype]} *)(he_arena + {plan.offsets[spec.name]})"
