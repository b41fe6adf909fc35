"""All that a foreign project (CubeIDE, Zephyr, Arduino, Make) needs to compile a model: sources and one page."""

import re
from pathlib import Path

import jinja2

import harembed
from harembed.export.csource import Kernels, generate, kernels_of, memory_plan
from harembed.export.tflm import arena_bound, generate_tflm
from harembed.ir.graph import IntGraph
from harembed.ir.ops.base import Goal
from harembed.libraries import LIBRARIES
from harembed.resources import resource_dir

_INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"', re.MULTILINE)


def bundle(graph: IntGraph, optimize: Goal = "balanced", backend: str = "own") -> dict[str, str]:
    """Generated model, the kernels that it calls in both forms (portable and DSP), headers, README.md.

    Parameters
    ----------
    optimize : Goal    as for harembed.export.csource.generate
    backend : str      own, cmsis_nn or tflm; the page names the foreign sources that the others need

    Returns
    -------
    dict    file name -> text; one flat folder, so that any build system takes it with one include path
    """
    if backend == "tflm":
        files, kernels, arena_bytes = generate_tflm(graph), [], arena_bound(graph)
    else:
        called: Kernels = "cmsis_nn" if backend == "cmsis_nn" else "own"
        files, kernels = generate(graph, optimize=optimize, kernels=called), kernels_of(graph, called)
        arena_bytes = memory_plan(graph, called).arena_bytes
    firmware = resource_dir("firmware")
    homes = [firmware / "kernels", firmware / "include"]
    pending = [*(f"{kernel}.c" for kernel in kernels), "harembed.h", "he_input.h"]
    while pending:
        name = pending.pop()
        if name in files:
            continue
        path = _find(name, homes)
        if path is not None:
            files[name] = path.read_text()
            pending += _INCLUDE.findall(files[name])
            # A header of shared code may have its definitions beside it.
            source = path.with_suffix(".c")
            if source.is_file():
                pending.append(source.name)
    files["README.md"] = _page(graph, files, backend, arena_bytes)
    return dict(sorted(files.items()))


def _find(name: str, homes: list[Path]) -> Path | None:
    return next((home / name for home in homes if (home / name).is_file()), None)


def _page(graph: IntGraph, files: dict[str, str], backend: str, arena_bytes: int) -> str:
    environment = jinja2.Environment(loader=jinja2.FileSystemLoader(resource_dir("templates") / "c"),
                                     trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True,
                                     undefined=jinja2.StrictUndefined)
    return environment.get_template("README.md.j2").render(
        generator=f"harembed {harembed.__version__}", graph=graph, id=graph.id(),
        arena_bytes=arena_bytes, backend=backend, libraries=LIBRARIES, inputs=[graph[name] for name in graph.inputs],
        outputs=[graph[name] for name in graph.outputs],
        sources=sorted(n for n in files if n.endswith((".c", ".cc"))))
