"""A run that begins with somebody's int8 .tflite, and the door where other kinds of files are turned away."""

import hashlib
import io
import zipfile
from collections import Counter
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from harembed.cost.memory import MemoryPlan
from harembed.errors import BoardError, DataError, GraphError
from harembed.export.tflite import write_tflite
from harembed.export.tflite_import import read_tflite
from harembed.harness.validate import extreme_inputs, random_inputs
from harembed.ir.graph import IntGraph, Kind
from harembed.ir.ops.base import Goal
from harembed.job import Job, Probes
from harembed.rundir import RunDir
from harembed.settings import CompileSettings

RANDOM_INPUTS = 200
SOURCE = "source.tflite"  # the model as it was given
INPUTS = "inputs.npz"  # the user's inputs, as they were given

_FROM_TENSORFLOW = ("Convert it with tf.lite.TFLiteConverter: optimizations = [tf.lite.Optimize.DEFAULT], a "
                    "representative_dataset, inference_input_type = inference_output_type = tf.int8.")
# What people have instead of a .tflite: (endings, what it is, how to get a .tflite).
_OTHER_FORMATS = (
    ((".onnx",), "an ONNX model", "Convert the float model first: `onnx2tf -i model.onnx -oiqt` (package "
     "onnx2tf) writes model_full_integer_quant.tflite; compile that."),
    ((".pt", ".pth", ".ckpt", ".pt2", ".pkl", ".safetensors"), "a PyTorch file", "Convert it first: the package "
     "ai-edge-torch writes an int8 .tflite with its PT2E quantiser. Or let `harembed search` train a network on your "
     "recordings."),
    ((".h5", ".hdf5", ".keras", ".pb"), "a TensorFlow model", _FROM_TENSORFLOW),
)
_MAGIC = ((b"PK\x03\x04", ".pt"), (b"\x80\x02", ".pt"), (b"\x80\x04", ".pt"), (b"\x89HDF", ".h5"))


def read_model(path: Path) -> bytes:
    """The bytes of a .tflite file.

    Raises
    ------
    GraphError    it cannot be read, or is of another kind: the hint says how to get a .tflite
    """
    if path.is_dir() and (path / "saved_model.pb").is_file():
        raise GraphError(f"{path} is a TensorFlow SavedModel, not a .tflite.", _FROM_TENSORFLOW)
    try:
        data = path.read_bytes()
    except OSError as e:
        raise GraphError(f"Cannot read {path}: {e.strerror}.", "Give the path of an int8 .tflite file.") from e
    if data[4:8] == b"TFL3":
        return data
    ending = next((e for magic, e in _MAGIC if data.startswith(magic)), path.suffix.lower())
    # A protocol buffer whose first field is a small version number, the second the producer's name.
    ending = ".onnx" if data[:1] == b"\x08" and data[2:3] == b"\x12" else ending
    for endings, what, advice in _OTHER_FORMATS:
        if path.suffix.lower() in endings or ending in endings:
            raise GraphError(f"{path} is {what}, not a .tflite.", advice)
    raise GraphError(f"{path} is not a .tflite file ({len(data):,} bytes, no TFL3 mark at byte 4).",
                     "Give an int8 .tflite, as TensorFlow's converter writes it.")


def read_bytes(path: Path) -> bytes:
    """The content of a file of inputs.

    Raises
    ------
    DataError    it cannot be read
    """
    try:
        return path.read_bytes()
    except OSError as e:
        raise DataError(f"Cannot read {path}: {e.strerror}.", "Give a readable .npy or .npz file.") from e


def read_inputs(path: Path, data: bytes, graph: IntGraph) -> tuple[np.ndarray, ...]:
    """Model inputs from a file.

    Parameters
    ----------
    path : Path     for messages
    data : bytes    .npy: [N, ...] for a model with one input; .npz: an array of each input's name

    Returns
    -------
    tuple of arrays [N, ...]    one per input, in the graph's order, of the input's dtype and shape

    Raises
    ------
    DataError    it cannot be read, or does not fit the model's inputs
    """
    try:
        loaded = np.load(io.BytesIO(data), allow_pickle=False)
        arrays = dict(loaded) if isinstance(loaded, np.lib.npyio.NpzFile) else {graph.inputs[0]: loaded}
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as e:
        raise DataError(f"{path} is no .npy or .npz file: {e}.", "Write it with numpy.save or numpy.savez.") from e
    missing = [name for name in graph.inputs if name not in arrays]
    if missing:
        raise DataError(f"{path} holds {', '.join(arrays) or 'nothing'}, not the model's input {missing[0]!r}.",
                        f"Write numpy.savez(FILE, **arrays) with the names {', '.join(graph.inputs)}.")
    count = len(np.atleast_1d(arrays[graph.inputs[0]]))
    return tuple(_checked_input(path, graph, name, arrays[name], count) for name in graph.inputs)


def _checked_input(path: Path, graph: IntGraph, name: str, array: np.ndarray, count: int) -> np.ndarray:
    spec = graph[name]
    if array.ndim < 1 or not len(array) or array[0].size != spec.elements or len(array) != count:
        raise DataError(f"{path}: input {name!r} takes [N, {', '.join(map(str, spec.shape[1:]))}], the file has "
                        f"{list(array.shape)}.", "Stack the inputs along axis 0, as many for each input.")
    if array.dtype != spec.dtype.numpy:
        rule = f": round(x / {spec.qparams.scale[0]:.9g}) + {spec.zero_point}, clipped" if spec.qparams else ""
        raise DataError(f"{path}: input {name!r} is {spec.dtype.value}, the file has {array.dtype}.",
                        f"Quantise it as the model wants it{rule}.")
    return array.reshape(count, *spec.shape[1:])


class CompileJob(Job):
    """One run of `compile`.

    Parameters
    ----------
    model, inputs : bytes    the user's files; only the first stage reads them, later ones use the run's copies
    """

    too_large = "Choose a board with more memory (see `harembed boards`), or make the model smaller."

    def __init__(self, settings: CompileSettings, run: RunDir, toolchain: str | None, console: Console,
                 model: bytes = b"", inputs: bytes | None = None) -> None:
        super().__init__(run, settings.board, toolchain, console)
        self.settings = settings
        self.model = model
        self.inputs = inputs

    @property
    def arena_limit(self) -> int | None:
        memory = self.board.memory
        return memory.ram.bytes - memory.stack_bytes if memory else None

    @property
    def ram_budget(self) -> int | None:
        return None

    @property
    def optimize(self) -> Goal:
        return self.settings.optimize or "balanced"

    @property
    def backend(self) -> str:
        return self.settings.backend or "own"

    @cached_property
    def probes(self) -> Probes:
        graph, seed = self.graph, self.settings.seed
        extremes = extreme_inputs(graph)
        made = tuple(np.concatenate(pair) for pair in zip(random_inputs(graph, RANDOM_INPUTS, seed), extremes,
                                                          strict=True))
        if self.run.has(INPUTS):
            given = tuple(self.run.read_npz(INPUTS)[f"input_{i}"] for i in range(len(graph.inputs)))
        else:
            given = tuple(a[:0] for a in made)
        return Probes(None, given, made, len(extremes[0]), seed)

    def architecture(self) -> dict[str, Any]:
        return {"text": f"{self.settings.model}: {operators_in_words(self.graph)}"}

    def oracle_files(self) -> tuple[tuple[str, str, bytes], ...]:
        return (("tflm", "TFLM interpreter, the file as given", self.run.file(SOURCE).read_bytes()),
                ("tflm_again", "TFLM interpreter, the .tflite written again", write_tflite(self.graph)))


def imported(file_name: str, model: bytes) -> IntGraph:
    """The graph of a model, named after its file where the model itself has no telling name."""
    graph = read_tflite(model)
    return replace(graph, name=Path(file_name).stem) if graph.name in ("main", "model") else graph


def check_fit(graph: IntGraph, memory: MemoryPlan, job: Job) -> None:
    """Refuse a model that the board cannot hold, before anything is written.

    Raises
    ------
    BoardError    with the bytes that it needs and those that there are
    """
    board, limit = job.board, job.arena_limit
    if limit is not None and memory.arena_bytes > limit:
        raise BoardError(f"The model does not fit {board.name}: its tensors need {memory.arena_bytes:,} bytes of RAM "
                         f"at once (lower bound {memory.lower_bound_bytes:,}), the board has {limit:,} beside the "
                         "stack.", job.too_large)
    constants = sum(t.nbytes for t in graph.of_kind(Kind.CONSTANT))
    if board.flash_bytes is not None and constants > board.flash_bytes:
        raise BoardError(f"The model does not fit {board.name}: its weights alone take {constants:,} bytes of flash, "
                         f"the board has {board.flash_bytes:,}.", job.too_large)


def operators_in_words(graph: IntGraph) -> str:
    """'4 conv_2d, reshape, mean', in order of first use."""
    counts = Counter(node.op for node in graph.nodes)
    return ", ".join(op if n == 1 else f"{n} {op}" for op, n in counts.items())


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
