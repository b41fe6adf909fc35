"""The stages from an integer graph to an image, whatever the graph came from; each returns a note.

`import_model` is how a graph comes from a .tflite; harembed/stages.py is how it comes from recordings.
"""

import json
from pathlib import Path
from typing import Any

from harembed.backend_build import build_backend, host_program, sources_of
from harembed.backends import backend, need_libraries
from harembed.compile_job import INPUTS, SOURCE, CompileJob, check_fit, imported, operators_in_words, read_inputs
from harembed.cost.memory import MemoryPlan
from harembed.errors import BoardError
from harembed.export.cbundle import bundle
from harembed.export.onnx import write_onnx
from harembed.export.tflite import write_tflite
from harembed.ir.file import dump_graph
from harembed.ir.graph import IntGraph
from harembed.ir.ops import OPS
from harembed.job import Job
from harembed.progress import Tick
from harembed.rundir import dump_json, write_atomic


def import_model(job: CompileJob, tick: Tick) -> str:
    """source.tflite, inputs.npz (if the user gave some), graph.json, graph.npz.

    All that can be refused without a compiler is refused here, before the first byte is written.
    """
    tick(0, 1, "reading the model")
    graph = imported(job.settings.model, job.model)
    need_libraries(job.backend)
    check_fit(graph, backend(job.backend).plan(graph), job)
    backend(job.backend).sources(graph, job.optimize)
    given = None
    if job.inputs is not None:
        given = read_inputs(Path(str(job.settings.inputs)), job.inputs, graph)
    job.run.claim(job.settings.to_toml())
    job.run.write(SOURCE, job.model)
    if given is not None:
        job.run.write_npz(INPUTS, **{f"input_{i}": array for i, array in enumerate(given)})
    text, constants = dump_graph(graph)
    job.run.write("graph.npz", constants)
    job.run.write("graph.json", text)
    return operators_in_words(graph)


def plan(job: Job, tick: Tick) -> str:
    """model.json: what follows from the integer graph alone."""
    graph = job.graph
    memory = backend(job.backend).plan(graph)
    limit = job.arena_limit
    if limit is not None and memory.arena_bytes > limit:
        raise BoardError(f"The network needs {memory.arena_bytes:,} bytes of arena, {limit:,} are allowed "
                         f"(lower bound {memory.lower_bound_bytes:,}).", job.too_large)
    layers = [_layer(graph, i) for i in range(len(graph.nodes))]
    job.run.write_json("model.json", {
        "architecture": job.architecture(), "graph_id": graph.id(),
        "macs": sum(layer["macs"] for layer in layers), "parameters": graph.parameters,
        "arena_bytes": memory.arena_bytes, "lower_bound_bytes": memory.lower_bound_bytes,
        "layers": layers, "memory_plan": _memory_plan(memory)})
    gap = f"{memory.gap_bytes} bytes over the lower bound" if memory.gap_bytes else "equal to the lower bound"
    return (f"{sum(layer['macs'] for layer in layers):,} MACs, {graph.parameters:,} parameters, arena "
            f"{memory.arena_bytes:,} bytes, {gap}")


def _layer(graph: IntGraph, index: int) -> dict[str, Any]:
    node = graph.nodes[index]
    op = OPS[node.op]
    output = graph[node.outputs[0]]
    return {"name": node.name, "op": node.op, "output": output.name, "output_shape": output.shape,
            "macs": op.macs(graph, node), "output_bytes": output.nbytes,
            "weight_bytes": sum(graph[t].nbytes for t in op.weights(node) if t)}


def _memory_plan(memory: MemoryPlan) -> dict[str, Any]:
    return {"proven": memory.proven, "buffers": [
        {"name": b.name, "in_place": b.in_place, "offset": memory.offsets[b.name], "nbytes": b.nbytes,
         "first": b.first, "last": b.last} for b in memory.buffers]}


def export(job: Job, tick: Tick) -> str:
    """model.tflite, model.onnx, c/: the same network in every form."""
    export_to(job, job.run.file("c"), job.run.file("model.tflite"), job.run.file("model.onnx"))
    return "model.tflite, model.onnx, c/"


def export_to(job: Job, c: Path | None, tflite: Path | None, onnx: Path | None,
              backend_name: str | None = None) -> list[Path]:
    """Write the named forms, C for a backend (None: the run's); returns what was written."""
    written = []
    if tflite is not None:
        written.append(write_atomic(tflite, write_tflite(job.graph)))
    if onnx is not None:
        written.append(write_atomic(onnx, write_onnx(job.graph)))
    if c is not None:
        files = bundle(job.graph, job.optimize, backend_name or job.backend)
        # model.h last: its presence means that all is there.
        for name in sorted(files, key=lambda n: n == "model.h"):
            written.append(write_atomic(c / name, files[name]))
    return written


def build(job: Job, tick: Tick) -> str:
    """firmware/, firmware.json: the image of the board, or the program of the host."""
    board = job.board
    folder = job.run.file("firmware")
    facts: dict[str, Any] = {"board": _board(job), "backend": job.backend, "optimize": job.optimize}
    if board.kind == "host":
        program = host_program(job.graph, job.backend, folder, job.optimize)
        facts |= {"elf": str(program.relative_to(job.run.path)), "bin": None, "toolchain": "host compiler",
                  "sections": {}, "arena_bytes": backend(job.backend).plan(job.graph).arena_bytes,
                  "ram_static_bytes": None, "flash_bytes": None, "invoke_stack_bytes": None}
        note = f"{program}"
    else:
        built = build_backend(job.graph, job.backend, board, folder, job.toolchain, job.optimize)
        image, fallbacks = built.image, backend(job.backend).fallbacks(job.graph)
        facts |= {"outside": sources_of([built]), "fallbacks": fallbacks}
        facts |= {"elf": str(image.elf.relative_to(job.run.path)), "bin": str(image.bin.relative_to(job.run.path)),
                  "toolchain": image.toolchain, "sections": image.sections, "arena_bytes": image.arena_bytes,
                  "ram_static_bytes": image.ram_static_bytes, "flash_bytes": image.flash_bytes,
                  "invoke_stack_bytes": image.invoke_stack_bytes}
        note = f"flash {image.flash_bytes:,} bytes, static RAM {image.ram_static_bytes:,} bytes, {image.toolchain}"
        note += "".join(f"; {node} on the portable kernel: {reason}" for node, reason in fallbacks.items())
    write_atomic(job.run.file("firmware.json"), dump_json(facts))
    return note


def _board(job: Job) -> dict[str, Any]:
    """The board's facts that a report shows."""
    return {**json.loads(job.board.model_dump_json(exclude={"path"})), "flash_bytes": job.board.flash_bytes,
            "ram_bytes": job.board.ram_bytes, "ram_budget_bytes": job.ram_budget}
