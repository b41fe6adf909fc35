"""An integer graph as two files: graph.json, readable, and graph.npz, its constants."""

import io
import json
import zipfile
from dataclasses import asdict, is_dataclass
from typing import Any

import numpy as np

from harembed.errors import GraphError
from harembed.ir.graph import DType, IntGraph, Kind, Node, QParams, TensorSpec, check
from harembed.ir.input_spec import InputChannel, InputSpec
from harembed.ir.ops import OPS


def dump_graph(graph: IntGraph) -> tuple[str, bytes]:
    """Return (JSON text, NPZ bytes) from which load_graph makes an equal graph, with the same id."""
    document = {
        "name": graph.name,
        "id": graph.id(),
        "inputs": graph.inputs,
        "outputs": graph.outputs,
        "labels": graph.labels,
        "input_spec": asdict(graph.input_spec) if graph.input_spec else None,
        "tensors": [{"name": t.name, "shape": t.shape, "dtype": t.dtype.value, "kind": t.kind.value,
                     "qparams": asdict(t.qparams) if t.qparams else None} for t in graph.tensors.values()],
        "nodes": [{"name": n.name, "op": n.op, "inputs": n.inputs, "outputs": n.outputs,
                   "attrs": asdict(n.attrs) if is_dataclass(n.attrs) else None}  # type: ignore[arg-type]
                  for n in graph.nodes],
    }
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n", _npz(graph)


def _npz(graph: IntGraph) -> bytes:
    """The constants under the names of their tensors. (np.savez takes names as keywords, and has some of its own.)"""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for spec in graph.of_kind(Kind.CONSTANT):
            with archive.open(zipfile.ZipInfo(f"{spec.name}.npy"), "w", force_zip64=True) as f:
                np.lib.format.write_array(f, np.asanyarray(spec.data), allow_pickle=False)
    return buffer.getvalue()


def load_graph(text: str, constants: bytes) -> IntGraph:
    """The inverse of dump_graph.

    Raises
    ------
    GraphError    the files do not belong together, or were damaged
    """
    try:
        document = json.loads(text)
        with np.load(io.BytesIO(constants), allow_pickle=False) as z:
            arrays = {k: z[k] for k in z.files}
        tensors = {t["name"]: _tensor(t, arrays) for t in document["tensors"]}
        nodes = tuple(Node(n["name"], n["op"], tuple(n["inputs"]), tuple(n["outputs"]),
                           _attrs(n["op"], n["attrs"])) for n in document["nodes"])
        graph = IntGraph(document["name"], tensors, nodes, tuple(document["inputs"]), tuple(document["outputs"]),
                         _input_spec(document["input_spec"]), tuple(document["labels"]))
    except (ValueError, KeyError, TypeError, OSError) as e:
        raise GraphError(f"The graph file is damaged: {e!r}.", "Delete graph.* and scores.json; run again.") from e
    check(graph)
    if graph.id() != document["id"]:
        raise GraphError(f"The graph says it is {document['id']}, its content is {graph.id()}.",
                         "graph.json and graph.npz are of different runs: delete both.")
    return graph


def _tensor(t: dict[str, Any], arrays: dict[str, np.ndarray]) -> TensorSpec:
    q = t["qparams"]
    qparams = QParams(tuple(q["scale"]), q["zero_point"], q["axis"]) if q else None
    return TensorSpec(t["name"], tuple(t["shape"]), DType(t["dtype"]), Kind(t["kind"]), qparams,
                      arrays.get(t["name"]))


def _attrs(op: str, attrs: dict[str, Any] | None) -> Any:
    if attrs is None:
        return None
    cls = OPS[op].Attrs
    if cls is None:
        raise GraphError(f"Operator {op!r} takes no attributes.")
    return cls(**{k: tuple(v) if isinstance(v, list) else v for k, v in attrs.items()})


def _input_spec(d: dict[str, Any] | None) -> InputSpec | None:
    if d is None:
        return None
    return InputSpec(**{**d, "channels": tuple(InputChannel(**c) for c in d["channels"])})
