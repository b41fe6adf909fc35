"""Generated C that calls CMSIS-NN, in a small program, on this computer or on a bare Cortex-M33.

CMSIS-NN is compiled once per session into an archive; the program runs all inputs and collects all outputs.
"""

import subprocess
from pathlib import Path

import numpy as np
from kernel_driver import BARE_METAL, FIRMWARE, FLAGS, HOST_MAIN, LINKER_SCRIPT, run_host, run_m33

from harembed.export.csource import generate, kernels_of
from harembed.ir.graph import IntGraph
from harembed.libraries import find_library

QUIET = ("-w", "-O2", "-ffunction-sections", "-fdata-sections")


def archive(folder: Path, *command: str, ar: str = "ar") -> Path:
    """All of CMSIS-NN's integer functions, compiled by a compiler with its target flags."""
    root = find_library("cmsis_nn")
    sources = [p for p in sorted((root / "Source").rglob("*.c")) if not p.stem.endswith(("_f16", "_f32", "_flt"))]
    done = subprocess.run([*command, *QUIET, f"-I{root / 'Include'}", "-c", *sources], cwd=folder, check=False,
                          capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
    result = folder / "libcmsis_nn.a"
    subprocess.run([ar, "rcs", result, *sorted(folder.glob("*.o"))], check=True)
    return result


def outputs(graph: IntGraph, inputs: tuple[np.ndarray, ...], folder: Path, library: Path, bare: bool,
            *command: str) -> list[np.ndarray]:
    """What the generated C computes: one array [N, ...] per output."""
    for name, text in generate(graph, kernels="cmsis_nn").items():
        (folder / name).write_text(text)
    driver, program = folder / "driver.c", folder / "program"
    driver.write_text(_driver(graph, inputs) + (BARE_METAL if bare else HOST_MAIN))
    (folder / "m33.ld").write_text(LINKER_SCRIPT)
    linking = ("-ffreestanding", "-nostdlib", f"-Wl,-T,{folder / 'm33.ld'}", "-Wl,--entry=run") if bare else ()
    kernels = [FIRMWARE / "kernels" / f"{name}.c" for name in kernels_of(graph, "cmsis_nn")]
    done = subprocess.run([*command, *FLAGS, "-O1", f"-I{folder}", "-isystem", find_library("cmsis_nn") / "Include",
                           *linking, driver, folder / "model.c", *kernels, library, "-lgcc", "-o", program],
                          capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    raw = run_m33(program)[0] if bare else run_host(program)
    return _split(graph, raw, len(inputs[0]))


def _driver(graph: IntGraph, inputs: tuple[np.ndarray, ...]) -> str:
    count, sizes = len(inputs[0]), [graph[name].nbytes for name in graph.outputs]
    lines = ["#include <stddef.h>", "#include <stdint.h>", '#include "harembed.h"',
             f"int8_t results[{count * (sum(sizes) + 1)}];",
             "static void copy(int8_t *to, const int8_t *from, int32_t n) { while (n-- > 0) *to++ = *from++; }"]
    for i, array in enumerate(inputs):
        values = ", ".join(str(v) for v in np.frombuffer(array.tobytes(), np.int8))
        lines.append(f"static const int8_t input{i}[] = {{{values}}};")
    lines += ["void run(void);", "void run(void)", "{", "    int8_t *to = results;",
              f"    for (int32_t n = 0; n < {count}; ++n) {{", "        he_model_reset();"]
    lines += [f"        copy(he_model_input({i}), input{i} + n * {a[0].nbytes}, {a[0].nbytes});"
              for i, a in enumerate(inputs)]
    lines.append("        *to++ = (int8_t)he_model_invoke();")
    for i, size in enumerate(sizes):
        lines.append(f"        copy(to, he_model_output({i}), {size});")
        lines.append(f"        to += {size};")
    return "\n".join([*lines, "    }", "}", ""])


def _split(graph: IntGraph, raw: bytes, count: int) -> list[np.ndarray]:
    rows = np.frombuffer(raw, np.int8).reshape(count, -1)
    assert not rows[:, 0].any(), "he_model_invoke reported an error"
    arrays, at = [], 1
    for name in graph.outputs:
        spec = graph[name]
        part = np.ascontiguousarray(rows[:, at : at + spec.nbytes])
        arrays.append(part.view(spec.dtype.numpy).reshape(count, *spec.shape[1:]))
        at += spec.nbytes
    return arrays
