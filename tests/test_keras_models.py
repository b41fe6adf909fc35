"""Keras models by TensorFlow's own converter: what is read computes what TFLM makes of the file, in Python and in C.

The files were written by keras_models.py; where TensorFlow is installed they are converted anew, too.
"""

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from host_model import HostModel

from harembed.export.oracles import run_tflm
from harembed.export.tflite import write_tflite
from harembed.export.tflite_import import read_tflite
from harembed.ir.graph import IntGraph
from harembed.ir.interpreter import Interpreter

HERE = Path(__file__).parent
FILES = sorted((HERE / "files" / "keras").glob("*.tflite"))
FLOAT_BORDERS = ("conv1d", "several_inputs_and_outputs")
WINDOWS = 6


def random_inputs(graph: IntGraph) -> list[np.ndarray]:
    """Half of them over the full range, half as calibration saw them."""
    rng = np.random.default_rng(0)
    result = []
    for name in graph.inputs:
        shape = (WINDOWS, *graph[name].shape[1:])
        wide, usual = rng.integers(-128, 128, shape), np.clip(np.round(rng.normal(size=shape) * 40), -128, 127)
        usual[::2] = wide[::2]
        result.append(usual.astype(np.int8))
    return result


def truth(data: bytes, graph: IntGraph, inputs: list[np.ndarray], real: bool) -> list[np.ndarray]:
    """What TFLM makes of the file, as integers; through its float inputs and outputs where it has them."""
    if not real:
        return run_tflm(data, inputs)
    specs = [graph[name] for name in graph.inputs]
    outside = [(s.scale * (x.astype(np.float64) - s.zero_point)).astype(np.float32)
               for x, s in zip(inputs, specs, strict=True)]
    outputs = zip(run_tflm(data, outside), (graph[name] for name in graph.outputs), strict=True)
    return [np.round(y / s.scale + s.zero_point).astype(np.int8) for y, s in outputs]


def check(path: Path, folder: Path | None) -> None:
    """`folder` for C, None to leave that out."""
    data = path.read_bytes()
    graph = read_tflite(data)
    inputs = random_inputs(graph)
    expected = [y.reshape(WINDOWS, -1) for y in truth(data, graph, inputs, path.stem in FLOAT_BORDERS)]
    assert all(len(np.unique(y, axis=0)) > 1 for y in expected), "the model answers the same to everything"
    results = [Interpreter(graph).run(*inputs), run_tflm(write_tflite(graph), inputs)]
    if folder is not None and shutil.which("gcc"):
        results.append(HostModel(graph, folder / path.stem, folder).run(*inputs))
    for outputs in results:
        for actual, wanted in zip(outputs, expected, strict=True):
            assert np.array_equal(actual.reshape(WINDOWS, -1), wanted)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_converted_model_computes_the_same(path: Path, tmp_path: Path) -> None:
    check(path, tmp_path)


@pytest.mark.skipif(importlib.util.find_spec("tensorflow") is None,
                    reason="TensorFlow is not installed (pip install -e '.[tensorflow]')")
def test_models_converted_anew_compute_the_same(tmp_path: Path) -> None:
    names = [path.stem for path in FILES]
    # A process of its own: TensorFlow brings a copy of LiteRT, and takes seconds to go away.
    subprocess.run([sys.executable, HERE / "keras_models.py", tmp_path, *names], check=True, capture_output=True,
                   env={**os.environ, "CUDA_VISIBLE_DEVICES": ""})
    for name in names:
        check(tmp_path / f"{name}.tflite", None)
