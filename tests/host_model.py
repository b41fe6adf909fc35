"""The C that we generate, compiled for this machine and called from Python: no program around it, no protocol."""

import ctypes
import subprocess
from functools import cache
from pathlib import Path

import numpy as np

from harembed.cost.memory import MemoryPlan
from harembed.export.csource import generate, kernels_of
from harembed.ir.graph import IntGraph

FIRMWARE = Path(__file__).parents[1] / "firmware"
FLAGS = ("-std=c11", "-O1", "-fPIC", "-ffreestanding", "-Wall", "-Wextra", "-Werror", "-Wconversion",
         "-Wdouble-promotion", f"-I{FIRMWARE / 'include'}", f"-I{FIRMWARE / 'kernels'}")


class HostModel:
    """One graph as a shared library, of the portable kernels or of emulated DSP instructions.

    Kernels are compiled once per `objects` folder.
    """

    def __init__(self, graph: IntGraph, folder: Path, objects: Path, dsp: bool = False,
                 plan: MemoryPlan | None = None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in generate(graph, plan).items():
            (folder / name).write_text(text)
        flags = (*FLAGS, "-DHE_DSP_EMULATION=1") if dsp else FLAGS
        kernels = [_object(kernel, objects, flags) for kernel in (*kernels_of(graph), "he_patch_s8_dsp")]
        library = folder / "model.so"
        _gcc(*flags, "-shared", folder / "model.c", *kernels, "-o", library)
        self.graph = graph
        self._lib = ctypes.CDLL(str(library))
        self._lib.he_model_input.restype = ctypes.c_void_p
        self._lib.he_model_output.restype = ctypes.c_void_p

    def run(self, *inputs: np.ndarray) -> list[np.ndarray]:
        """All outputs, each [N, ...]; states are reset before each window."""
        results: list[list[np.ndarray]] = [[] for _ in self.graph.outputs]
        for n in range(len(inputs[0])):
            self._lib.he_model_reset()
            for i, array in enumerate(inputs):
                window = np.ascontiguousarray(array[n])
                ctypes.memmove(self._lib.he_model_input(i), window.ctypes.data, window.nbytes)
            assert self._lib.he_model_invoke() == 0
            for i, name in enumerate(self.graph.outputs):
                spec = self.graph[name]
                raw = ctypes.string_at(self._lib.he_model_output(i), spec.nbytes)
                results[i].append(np.frombuffer(raw, spec.dtype.numpy).reshape(spec.shape[1:]))
        return [np.stack(arrays) for arrays in results]


@cache
def _object(kernel: str, objects: Path, flags: tuple[str, ...]) -> Path:
    target = objects / f"{kernel}_{len(flags)}.o"
    _gcc(*flags, "-c", FIRMWARE / "kernels" / f"{kernel}.c", "-o", target)
    return target


def _gcc(*arguments: str | Path) -> None:
    done = subprocess.run(["gcc", *map(str, arguments)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
