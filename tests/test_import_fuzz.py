"""Damaged and hostile .tflite files: a GraphError in proportionate time and memory, or a graph that compiles.

HAREMBED_FUZZ is the number of files (default: a few hundred), HAREMBED_FUZZ_SEED where they start. All of them, as
`HAREMBED_FUZZ=100000 pytest tests/test_import_fuzz.py`, take some minutes.
"""

import os
import resource
import struct
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from foreign_file import tflite
from test_foreign_import import MODELS

from harembed.cost.memory import plan_memory
from harembed.errors import GraphError
from harembed.export.csource import generate
from harembed.export.tflite import FILE_IDENTIFIER, write_tflite
from harembed.export.tflite_import import read_tflite
from harembed.export.tflite_ops import TFLITE_OPS
from harembed.ir.file import dump_graph, load_graph
from harembed.ir.ops import OPS

KERAS = Path(__file__).parent / "files" / "keras"
ANCHORS = Path(__file__).parents[2] / "shared" / "anchors"
COUNT = int(os.environ.get("HAREMBED_FUZZ", "600"))
SEED = int(os.environ.get("HAREMBED_FUZZ_SEED", "0"))
EXTREMES = (0, 1, -1, 2, 3, 4, 127, 128, 255, -128, 32767, 32768, 65535, 65536, 2**24, 2**30, 2**31 - 1, -(2**31))
FLOATS = (0.0, -1.0, 1e-45, 1e-38, 1e38, float("inf"), float("nan"), 1e-9, 1e9)
MAX_GROWTH_BYTES = 1 << 28
MAX_SECONDS = 5.0  # of the processor, for a file of at most 20 kB


def seeds() -> list[bytes]:
    """One small file of each operator and case, foreign ones, and the anchors where they are."""
    rng = np.random.default_rng(1)
    files = [write_tflite(case.build(rng)) for op in TFLITE_OPS for case in OPS[op].CASES[:3]]
    files += [tflite(*model) for model in MODELS.values()]
    files += [path.read_bytes() for path in sorted(KERAS.glob("*.tflite"))]
    return files + [path.read_bytes() for path in sorted(ANCHORS.glob("*.tflite"))]


def flip_bits(data: bytearray, rng: np.random.Generator, files: list[bytes]) -> bytearray:
    for at in rng.integers(0, len(data), rng.integers(1, 9)):
        data[at] ^= 1 << int(rng.integers(8))
    return data


def set_bytes(data: bytearray, rng: np.random.Generator, files: list[bytes]) -> bytearray:
    for at in rng.integers(0, len(data), rng.integers(1, 9)):
        data[at] = int(rng.integers(256))
    return data


def set_words(data: bytearray, rng: np.random.Generator, files: list[bytes]) -> bytearray:
    """Integer extremes where offsets, lengths, dimensions and indices stand."""
    for _ in range(rng.integers(1, 4)):
        at = 4 * int(rng.integers(len(data) // 4 - 1))
        value = int(rng.choice((*EXTREMES, len(data), -at, len(data) - at)))
        struct.pack_into("<I", data, at, value & 0xFFFFFFFF)
    return data


def redirect(data: bytearray, rng: np.random.Generator, files: list[bytes]) -> bytearray:
    """An offset that leads elsewhere in the file, back to itself, or just beyond."""
    at = 4 * int(rng.integers(len(data) // 4 - 1))
    struct.pack_into("<i", data, at, int(rng.integers(-at, len(data) - at + 8)))
    return data


def splice(data: bytearray, rng: np.random.Generator, files: list[bytes]) -> bytearray:
    other = files[rng.integers(len(files))]
    source, at, size = rng.integers(len(other)), rng.integers(len(data)), 1 << rng.integers(1, 9)
    data[at : at + size] = other[source : source + size]
    return data


def cut(data: bytearray, rng: np.random.Generator, files: list[bytes]) -> bytearray:
    return data[: rng.integers(len(data))]


def remove(data: bytearray, rng: np.random.Generator, files: list[bytes]) -> bytearray:
    at = rng.integers(len(data))
    del data[at : at + (1 << rng.integers(9))]
    return data


def rewrite(data: bytearray, rng: np.random.Generator, files: list[bytes]) -> bytearray:
    """A well-formed file that says something absurd: fields of tensors, operators and options."""
    root = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(bytes(data), 0))
    graph = root.subgraphs[0]
    for _ in range(rng.integers(1, 4)):
        owners = [graph, rng.choice(graph.tensors), rng.choice(graph.operators), rng.choice(root.operatorCodes),
                  rng.choice(graph.operators).builtinOptions, rng.choice(graph.tensors).quantization]
        owner = owners[rng.integers(len(owners))]
        if owner is not None:
            change_field(owner, rng)
    builder = flatbuffers.Builder(1024)
    try:
        builder.Finish(root.Pack(builder), file_identifier=FILE_IDENTIFIER)
    except (struct.error, TypeError, ValueError, OverflowError, AttributeError):
        return data  # the writer refuses such a number
    return bytearray(builder.Output())


def change_field(owner: Any, rng: np.random.Generator) -> None:
    if not vars(owner):
        return
    name = str(rng.choice(sorted(vars(owner))))
    value = getattr(owner, name)
    if isinstance(value, bool):
        setattr(owner, name, not value)
    elif isinstance(value, int):
        setattr(owner, name, int(rng.choice((*EXTREMES, value + 1, value - 1))))
    elif isinstance(value, float):
        setattr(owner, name, float(rng.choice(FLOATS)))
    elif isinstance(value, np.ndarray) and value.size:
        new = value.copy()
        choices = FLOATS if new.dtype.kind == "f" else (*EXTREMES, int(new[0]) + 1, int(new[-1]) - 1)
        wide = np.array([choices[rng.integers(len(choices))]], np.float64 if new.dtype.kind == "f" else np.int64)
        with np.errstate(all="ignore"):
            new[rng.integers(new.size)] = wide.astype(new.dtype)[0]
        setattr(owner, name, new if rng.integers(4) else new[: rng.integers(new.size + 1)])


MUTATIONS: tuple[Callable[[bytearray, np.random.Generator, list[bytes]], bytearray], ...] = (
    flip_bits, set_bytes, set_words, set_words, redirect, splice, cut, remove, rewrite, rewrite)


def mutant(number: int, files: list[bytes]) -> bytes:
    """The file of a number: the same on every machine for the same seeds."""
    rng = np.random.default_rng((SEED, number))
    data = bytearray(files[rng.integers(len(files))])
    return bytes(MUTATIONS[rng.integers(len(MUTATIONS))](data, rng, files))


def compiles(data: bytes) -> None:
    """What the importer lets through, the stages behind it take, too."""
    graph = read_tflite(data)
    assert load_graph(*dump_graph(graph)).id() == graph.id()
    if len(data) < 4096:
        assert plan_memory(graph, max_steps=1000).arena_bytes < 2**40
        generate(graph)
    assert read_tflite(write_tflite(graph)).inputs == graph.inputs


def test_damaged_files_are_refused_or_compile() -> None:
    files = seeds()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    refused: list[str] = []
    for number in range(COUNT):
        data = mutant(number, files)
        started = time.process_time()
        try:
            compiles(data)
        except GraphError as error:
            refused.append(error.message)
        except Exception as error:
            raise AssertionError(f"file {number} of seed {SEED}: {error!r}") from error
        seconds = time.process_time() - started
        assert seconds < MAX_SECONDS, f"file {number} of seed {SEED} takes {seconds:.1f} s"
    assert COUNT > len(refused) > COUNT // 4
    assert all(message.isprintable() for message in refused)
    # Linux counts in KiB.
    assert 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) < MAX_GROWTH_BYTES


def test_a_table_that_is_listed_over_and_over_ends_soon() -> None:
    """A vector of offsets that all lead to one tensor with a long shape: small on disk, endless when followed."""
    data = bytearray(seeds()[0])
    data += bytes(-len(data) % 4)
    subgraph = schema.Model.GetRootAsModel(bytes(data), 0).Subgraphs(0)._tab
    tensors = subgraph.Pos + subgraph.Offset(4)  # the field that leads to the vector of tensors
    count = 50_000
    vector = len(data)
    layout = vector + 4 + 4 * count  # of the tensor: 6 bytes, its shape at byte 4
    table = layout + 8
    struct.pack_into("<I", data, tensors, vector - tensors)
    data += struct.pack("<I", count) + b"".join(struct.pack("<I", table - (vector + 4 + 4 * i)) for i in range(count))
    data += struct.pack("<HHHH", 6, 8, 4, 0) + struct.pack("<iI", table - layout, 4)
    data += struct.pack("<I", count) + bytes(4 * count)
    started = time.process_time()
    with pytest.raises(GraphError, match="more than its bytes can hold"):
        read_tflite(bytes(data))
    assert time.process_time() - started < MAX_SECONDS
