"""What an operator needs, piece by piece: each failure names the next thing to write."""

import re
from dataclasses import fields, is_dataclass
from pathlib import Path

import numpy as np
import pytest

from harembed.export.onnx_ops import ONNX_OPS
from harembed.export.tflite_ops import TFLITE_OPS
from harembed.ir.expand import expanded
from harembed.ir.ops import OPS
from harembed.resources import resource_dir

KERNELS = resource_dir("firmware") / "kernels"


def _prepared(op: str):
    graph = OPS[op].CASES[0].build(np.random.default_rng(0))
    return OPS[op].prepare(graph, graph.nodes[0])


def _struct_fields(header: Path, struct: str) -> list[str]:
    """Names of the fields of a struct, in any order."""
    text = re.sub(r"/\*.*?\*/", "", header.read_text(), flags=re.S)
    found = re.search(r"typedef struct \{([^{}]*)\}\s*" + struct + r";", text)
    assert found, f"{header.name}: no `typedef struct {{ ... }} {struct};`"
    names = []
    for declaration in found[1].split(";"):
        for part in declaration.split(","):
            words = re.findall(r"\w+", re.sub(r"\[[^\]]*\]", "", part))
            names += words[-1:]
    return names


@pytest.mark.parametrize("op", OPS)
def test_operator_is_complete(op: str) -> None:
    assert OPS[op].name == op, f"harembed/ir/ops: {op!r} is registered under another name than its own"
    assert OPS[op].CASES, f"harembed/ir/ops: {op} has no CASES"
    graph = OPS[op].CASES[0].build(np.random.default_rng(0))
    for part in {n.op for n in expanded(graph).nodes}:  # an operator that TFLite lacks expands into others
        assert part in TFLITE_OPS, f"harembed/export/tflite_ops: {part} is missing, or {op} has no expand()"
        assert part in ONNX_OPS, f"harembed/export/onnx_ops: {part} is missing"
    if OPS[op].view:
        return
    prepared = _prepared(op)
    header, source = KERNELS / f"{prepared.kernel}.h", KERNELS / f"{prepared.kernel}.c"
    assert header.is_file(), f"firmware/kernels/{header.name} is missing (operator {op})"
    assert source.is_file(), f"firmware/kernels/{source.name} is missing (operator {op})"
    assert f"void {prepared.kernel}(" in header.read_text(), f"{header.name} does not declare void {prepared.kernel}"
    for also in prepared.also:
        assert (KERNELS / f"{also}.c").is_file(), f"firmware/kernels/{also}.c, which {op} calls, is missing"
    if prepared.params is not None:
        _same_fields(prepared.params, header, f"{prepared.kernel}_params")


# Where the structs in params are defined.
STRUCTS = {"Geometry": ("kernels/he_patch_s8_dsp.h", "he_geometry"),
           "Conv2DParams": ("kernels/he_conv_2d_s8.h", "he_conv_2d_s8_params"),
           "DotS8": ("kernels/he_dot_s8_dsp.h", "he_dot_s8"),
           "RequantizeS8": ("include/he_requantize_dsp.h", "he_requantize_s8"),
           "AddParams": ("kernels/he_add_s8.h", "he_add_s8_params"),
           "MulParams": ("kernels/he_mul_s8.h", "he_mul_s8_params"),
           "FullyConnectedParams": ("kernels/he_fully_connected_s8.h", "he_fully_connected_s8_params"),
           "AddDspParams": ("kernels/he_add_s8_dsp.h", "he_add_s8_dsp_params"),
           "MulDspParams": ("kernels/he_mul_s8_dsp.h", "he_mul_s8_dsp_params"),
           "FullyConnectedDspParams": ("kernels/he_fully_connected_s8_dsp.h", "he_fully_connected_s8_dsp_params"),
           "ScaleS8": ("include/he_requantize_dsp.h", "he_scale_s8"),
           "Vectors": ("kernels/he_batch_matmul_s8_dsp.h", "he_matmul_vectors")}


@pytest.mark.parametrize("op", [op for op in OPS if OPS[op].CASES and not OPS[op].view])
def test_dsp_form_is_complete(op: str) -> None:
    graph = OPS[op].CASES[0].build(np.random.default_rng(0))
    form = OPS[op].dsp(graph, graph.nodes[0], "speed")
    if form is None:
        assert OPS[op].dsp_scratch_bytes(graph, graph.nodes[0]) == 0
        return
    header = KERNELS / f"{form.kernel}.h"
    assert (KERNELS / f"{form.kernel}.c").is_file(), f"firmware/kernels/{form.kernel}.c is missing (operator {op})"
    _same_fields(form.params, header, f"{form.kernel}_params")


def _same_fields(params, header: Path, struct: str) -> None:
    ours, theirs = {f.name for f in fields(params)}, set(_struct_fields(header, struct))
    assert theirs == ours, f"{header.name}: {struct} and {type(params).__name__} differ in {sorted(ours ^ theirs)}"
    for f in fields(params):
        value = getattr(params, f.name)
        if is_dataclass(value):
            file, name = STRUCTS[type(value).__name__]
            _same_fields(value, KERNELS.parent / file, name)


def test_registries_name_only_operators() -> None:
    assert set(TFLITE_OPS) | set(ONNX_OPS) <= set(OPS)


def test_operators_of_a_file_are_distinct() -> None:
    """Reading maps a builtin back to one operator."""
    builtins = [codec.builtin for codec in TFLITE_OPS.values()]
    assert len(builtins) == len(set(builtins))
