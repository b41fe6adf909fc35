"""The DSP form of a kernel computes what the interpreter and the portable form compute, bit for bit.

On the host the instructions are emulated, with sanitizers too; on a simulated Cortex-M33 they are themselves.
"""

import ctypes
import importlib.util
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from kernel_driver import (
    ARM_GCC,
    FLAGS,
    ZIG,
    Job,
    build_host,
    build_m33,
    job,
    kernel_sources,
    program,
    run_host,
    run_m33,
    table,
)

from harembed.ir.fixedpoint import requantize
from harembed.ir.graph import IntGraph
from harembed.ir.ops import OPS
from harembed.ir.ops.base import Case
from harembed.ir.ops.conv import Conv2D, Conv2DAttrs
from harembed.ir.ops.dense import FullyConnected, FullyConnectedAttrs

EMULATION = "-DHE_DSP_EMULATION=1"
PORTABLE = "-DHE_FORCE_PORTABLE=1"
SANITIZERS = ("-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
KERNELS = ("conv_2d", "fully_connected")


def same(stride: tuple[int, int] = (1, 1), dilation: tuple[int, int] = (1, 1),
         activation: str = "none") -> Conv2DAttrs:
    return Conv2DAttrs(stride, dilation, "same", activation)


# What the operators' CASES do not reach: the paths that only the DSP form has.
MORE_CASES = (
    Conv2D.case("dilated_in_both", 7, 8, 3, 3, 3, 3, same(dilation=(2, 2))),
    Conv2D.case("dilated_in_height", 9, 5, 4, 4, 3, 3, same(dilation=(3, 1))),
    Conv2D.case("dilated_one_row_inside", 1, 13, 5, 2, 1, 5, same(dilation=(1, 3))),
    Conv2D.case("tall", 21, 3, 2, 3, 5, 1, same((2, 1))),
    Conv2D.case("border_columns_in_pairs", 8, 5, 3, 4, 1, 5, same()),
    Conv2D.case("border_columns_clipped_rows", 9, 7, 1, 6, 3, 5, same((2, 2))),
    Conv2D.case("all_border", 2, 3, 4, 3, 3, 7, same()),
    Conv2D.case("shift_left", 3, 6, 4, 5, 1, 3, same(), scales=(0.9, 0.002)),
    Conv2D.case("shift_far_right", 3, 6, 4, 5, 1, 3, same(), scales=(1e-6, 1.0)),
    Conv2D.case("shift_at_the_limit", 2, 6, 40, 8, 1, 3, same(), scales=(2e-5, 0.25), zero_points=(-128, -128)),
    Conv2D.case("narrow_range", 3, 6, 4, 5, 1, 3, same(activation="relu6"), zero_points=(7, 0)),
    FullyConnected.case("rows_odd", (1, 5, 7), 3, FullyConnectedAttrs(keep_num_dims=True)),
    FullyConnected.case("long", (1, 517), 5),
)


def random_case(rng: np.random.Generator) -> Case:
    """A convolution of any small shape, always with at least one output."""
    kh, kw, sh, sw = (int(v) for v in rng.integers(1, 6, 4))
    dilation = (int(rng.integers(1, 4)), int(rng.integers(1, 4))) if rng.random() < 0.4 else (1, 1)
    padding = ("same", "valid")[rng.integers(2)]
    low = [(k - 1) * d + 1 if padding == "valid" else 1 for k, d in zip((kh, kw), dilation, strict=True)]
    h, w = (int(v + rng.integers(0, 12)) for v in low)
    c, o = (int(v) for v in rng.integers(1, 11, 2))
    zero_points = (int(rng.integers(-128, 128)), int(rng.integers(-128, 128)))
    attrs = Conv2DAttrs((sh, sw), dilation, padding, ("none", "relu", "relu6")[rng.integers(3)])
    return Conv2D.case("random", h, w, c, o, kh, kw, attrs, zero_points, bias=bool(rng.integers(2)))


def with_extreme_bias(graph: IntGraph) -> IntGraph:
    """Sums that wrap: bias at both ends of int32."""
    bias = graph["bias"]
    data = np.resize(np.array([2**31 - 1, -(2**31)], np.int32), bias.shape)
    return replace(graph, tensors={**graph.tensors, "bias": replace(bias, data=data)})


@cache
def jobs() -> tuple[Job, ...]:
    rng = np.random.default_rng(5)
    cases = [c for op in KERNELS for c in OPS[op].CASES] + list(MORE_CASES)
    graphs = [c.build(rng) for c in cases] + [random_case(rng).build(rng) for _ in range(40)]
    graphs += [with_extreme_bias(g) for g in graphs[:2]]
    return tuple(job(g, rng, randoms=1) for g in graphs)


def check(results: bytes) -> None:
    """Name the first case that differs."""
    at = 0
    for j in jobs():
        wanted = j.expected
        assert results[at : at + len(wanted)] == wanted, (j.graph.name, OPS[j.graph.nodes[0].op].prepare(
            j.graph, j.graph.nodes[0]).params)
        at += len(wanted)
    assert at == len(results)


@pytest.mark.parametrize("compiler, flags", [
    pytest.param("gcc", ("-O2",), id="portable-gcc"),
    pytest.param("clang", ("-O2",), id="portable-clang"),
    pytest.param("gcc", ("-O2", EMULATION), id="dsp-gcc"),
    pytest.param("clang", ("-O2", EMULATION), id="dsp-clang"),
    pytest.param("gcc", SANITIZERS, id="portable-sanitized"),
    pytest.param("gcc", (*SANITIZERS, EMULATION), id="dsp-sanitized"),
])
def test_host(compiler: str, flags: tuple[str, ...], tmp_path: Path) -> None:
    if shutil.which(compiler) is None:
        pytest.skip(f"no {compiler} on PATH")
    check(run_host(build_host(tmp_path, program(jobs()), kernel_sources(jobs()), compiler, *flags)))


@pytest.mark.arm_gcc
@pytest.mark.skipif(shutil.which(ARM_GCC[0]) is None, reason=f"no {ARM_GCC[0]} on PATH")
def test_m33(tmp_path: Path) -> None:
    """Equal in both forms, and the DSP form executes less than half as many instructions."""
    text, sources = program(jobs()), kernel_sources(jobs())
    instructions = {}
    for flags in (("-O2",), ("-Os",), ("-O2", PORTABLE)):
        results, by_function = run_m33(build_m33(tmp_path, text, sources, *ARM_GCC, *flags))
        check(results)
        instructions[flags] = sum(by_function.values())
    assert 2 * instructions["-O2",] < instructions["-O2", PORTABLE]


@pytest.mark.skipif(importlib.util.find_spec("ziglang") is None, reason="no ziglang package")
def test_m33_by_zig(tmp_path: Path) -> None:
    results, _ = run_m33(build_m33(tmp_path, program(jobs()), kernel_sources(jobs()), *ZIG, "-O2"))
    check(results)


EDGES = np.array([0, 1, -1, 2, -2, 127, 128, -128, -129, 255, 32767, -32768, 65536, 0x7F80_FF01, 0x0102_0304,
                  2**30 - 1, 2**30, -(2**30), -(2**30) - 1, 2**31 - 1, -(2**31), -0x7F00_FF81], np.int64)

INSTRUCTIONS = """
#include <stddef.h>
#include "he_dsp.h"
#define ALL (sizeof edges / sizeof edges[0])
static int32_t results[ALL * ALL * 9];
void run(void);
void run(void)
{
    int32_t *r = results;
    for (size_t i = 0; i < ALL; ++i) {
        for (size_t j = 0; j < ALL; ++j) {
            const int32_t a = edges[i], b = edges[j];
            const uint32_t u = (uint32_t)a, v = (uint32_t)b;
            *r++ = (int32_t)he_sxtb16(u);
            *r++ = (int32_t)he_sxtb16_ror8(u);
            *r++ = (int32_t)he_sxtab16(v, u);
            *r++ = (int32_t)he_sxtab16_ror8(v, u);
            *r++ = he_smlad(u, v, a ^ 0x5A5A5A5A);
            *r++ = he_mla(a, b, b);
            *r++ = he_smmulr(a, b);
            *r++ = he_qadd(a, b);
            *r++ = he_ssat8_asr1(a);
        }
    }
}
"""


@pytest.mark.arm_gcc
@pytest.mark.skipif(shutil.which(ARM_GCC[0]) is None, reason=f"no {ARM_GCC[0]} on PATH")
def test_emulation_equals_the_instructions(tmp_path: Path) -> None:
    text = "#include <stdint.h>\n" + table("edges", EDGES.astype(np.int32)) + INSTRUCTIONS
    (tmp_path / "host").mkdir()
    host = run_host(build_host(tmp_path / "host", text, [], "gcc", *SANITIZERS, EMULATION))
    assert run_m33(build_m33(tmp_path, text, [], *ARM_GCC, "-O2"))[0] == host


REQUANTIZE = """
#include "he_requantize_dsp.h"
void quick(int32_t n, const int32_t *acc, const int32_t *multiplier, int32_t shift, int32_t zero_point, int8_t *q);
void quick(int32_t n, const int32_t *acc, const int32_t *multiplier, int32_t shift, int32_t zero_point, int8_t *q)
{
    for (int32_t i = 0; i < n; ++i) {
        q[i] = (int8_t)(he_requantize_s8_is_quick(shift)
            ? he_requantize_s8_quick(acc[i], multiplier[i], -1 - shift, 1 + 2 * zero_point)
            : he_requantize_s8_general(acc[i], multiplier[i], shift, zero_point));
    }
}
"""


def accumulators(multiplier: np.ndarray, shift: int, rng: np.random.Generator) -> np.ndarray:
    """int32, all magnitudes, many of them at or beside a tie of either rounding or a limit of int8."""
    n = multiplier.size
    steps = rng.integers(-300, 300, n) + 0.5  # halves of an output step
    ties = np.round(steps * 2.0**-shift * 2.0**31 / np.maximum(multiplier, 1)) + rng.integers(-2, 3, n)
    scattered = rng.integers(-(2**31), 2**31, n) >> rng.integers(0, 31, n)
    edges = rng.choice(EDGES, n) + rng.integers(-2, 3, n)
    chosen = np.choose(rng.integers(0, 3, n), [ties, scattered, edges])
    return np.clip(chosen, -(2**31), 2**31 - 1).astype(np.int32)


@pytest.mark.skipif(shutil.which("gcc") is None, reason="no gcc on PATH")
def test_quick_requantisation_equals_double_rounding(tmp_path: Path) -> None:
    """Against the Python twin, which TFLM was checked against: all shifts, extreme multipliers and zero points."""
    source, library = tmp_path / "requantize.c", tmp_path / "requantize.so"
    source.write_text(REQUANTIZE)
    subprocess.run(["gcc", "-O2", "-shared", "-fPIC", EMULATION, *FLAGS, source, "-o", library], check=True)
    quick = ctypes.CDLL(str(library)).quick
    rng = np.random.default_rng(9)
    n = 20_000
    ends: Sequence[int] = (0, 2**30, 2**30 + 1, 2**31 - 1)
    for shift in range(-31, 31):
        for zero_point in (-128, -3, 0, 127):
            multiplier = np.where(rng.random(n) < 0.3, rng.choice(ends, n), rng.integers(2**30, 2**31, n))
            multiplier = multiplier.astype(np.int32)
            acc = accumulators(multiplier, shift, rng)
            q = np.empty(n, np.int8)
            quick(n, *(a.ctypes.data_as(ctypes.c_void_p) for a in (acc, multiplier)), shift, zero_point,
                  q.ctypes.data_as(ctypes.c_void_p))
            assert np.array_equal(q, requantize(acc, multiplier, shift, zero_point, -128, 127)), (shift, zero_point)
