"""The DSP form of a kernel computes what the interpreter and the portable form compute, bit for bit.

On the host the instructions are emulated, with sanitizers too; on a simulated Cortex-M33 they are themselves.
"""

import ctypes
import importlib.util
import shutil
import subprocess
from dataclasses import fields, replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from kernel_driver import (
    ARM_GCC,
    FLAGS,
    ROOM,
    ZIG,
    Job,
    build_host,
    build_m33,
    dsp_goals,
    job,
    kernel_sources,
    program,
    run_host,
    run_m33,
    table,
)
from random_cases import KINDS

from harembed.ir.fixedpoint import requantize
from harembed.ir.graph import IntGraph
from harembed.ir.ops import OPS
from harembed.ir.ops.base import GOALS, Goal
from harembed.ir.ops.conv import Conv2D, Conv2DAttrs
from harembed.ir.ops.dense import FullyConnected, FullyConnectedAttrs
from harembed.ir.ops.depthwise import DepthwiseConv2D
from harembed.ir.ops.dot_dsp import WEIGHTS_JOINED
from harembed.ir.ops.elementwise import Add, Mul, Sub
from harembed.ir.ops.lego import LegoConv
from harembed.ir.ops.lstm import Lstm, LstmAttrs
from harembed.ir.ops.matmul import BatchMatMul
from harembed.ir.ops.mean import Mean, MeanAttrs
from harembed.ir.ops.pool import AveragePool2D, MaxPool2D, Pool2DAttrs
from harembed.ir.ops.requantize_dsp import AWAY, TWICE, UPWARD, joined_channels, reach, requantize_channels
from harembed.ir.ops.softmax import Softmax
from harembed.ir.ops.unary import unary_case

EMULATION = "-DHE_DSP_EMULATION=1"
PORTABLE = "-DHE_FORCE_PORTABLE=1"
SANITIZERS = ("-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
KERNELS = ("conv_2d", "lego_conv", "depthwise_conv_2d", "fully_connected", "lstm", "gru", "add", "sub", "mul",
           "batch_matmul", "softmax", "mean", "sum", "average_pool_2d", "max_pool_2d", "prelu", "xnor_conv")


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
    Conv2D.case("all_border_rows", 4, 9, 1, 5, 5, 1, same((3, 1))),
    Conv2D.case("all_border_rows_of_quads", 3, 6, 8, 3, 5, 1, same((1, 1))),
    Conv2D.case("shift_left", 3, 6, 4, 5, 1, 3, same(), scales=(0.9, 0.002)),
    Conv2D.case("shift_far_right", 3, 6, 4, 5, 1, 3, same(), scales=(1e-6, 1.0)),
    Conv2D.case("shift_at_the_limit", 2, 6, 40, 8, 1, 3, same(), scales=(2e-5, 0.25), zero_points=(-128, -128)),
    Conv2D.case("narrow_range", 3, 6, 4, 5, 1, 3, same(activation="relu6"), zero_points=(7, 0)),
    Conv2D.case("first_of_seven_sensors", 7, 50, 1, 3, 1, 7, same((1, 2), activation="relu")),
    Conv2D.case("second_of_seven_sensors", 7, 25, 3, 4, 1, 7, same((1, 2), activation="relu")),
    Conv2D.case("fusion_of_seven_sensors", 7, 13, 7, 24, 7, 1, Conv2DAttrs(activation="relu")),
    Conv2D.case("one_channel_down", 20, 3, 1, 5, 5, 1, same((2, 1))),
    Conv2D.case("one_channel_square", 9, 10, 1, 4, 3, 3, same((2, 1))),
    Conv2D.case("one_channel_dilated_in_both", 9, 10, 1, 3, 3, 3, same(dilation=(2, 3))),
    Conv2D.case("border_in_quads", 4, 9, 8, 3, 3, 3, same()),
    Conv2D.case("three_positions", 1, 3, 6, 5, 1, 3, same()),
    Conv2D.case("one_position", 1, 1, 70, 9, 1, 1),
    Conv2D.case("five_positions", 1, 5, 3, 2, 1, 1),
    Conv2D.case("narrow_rows", 9, 3, 4, 2, 3, 3, same()),
    Conv2D.case("one_output_channel", 2, 9, 5, 1, 1, 5, same()),
    Conv2D.case("relu_off_the_end", 2, 9, 5, 4, 1, 3, same(activation="relu"), zero_points=(3, -5)),
    Conv2D.case("left_shift_with_relu", 3, 6, 4, 5, 1, 3, same(activation="relu"), (-3, -128), scales=(0.9, 0.004)),
    Conv2D.case("joined_rest_of_one", 5, 6, 7, 6, 3, 3, same()),
    Conv2D.case("joined_rest_of_two", 4, 6, 6, 8, 3, 5, same()),
    Conv2D.case("joined_rest_of_three", 1, 13, 7, 9, 1, 5, same(activation="relu"), zero_points=(127, -128)),
    Conv2D.case("joined_border_of_quads", 5, 7, 16, 5, 3, 3, same((2, 1)), zero_points=(-128, 127)),
    Conv2D.case("joined_away_from_zero", 2, 6, 32, 5, 1, 1, zero_points=(11, -7)),
    Conv2D.case("joined_long_rounds", 2, 4, 140, 30, 1, 1),
    Conv2D.case("joined_in_blocks", 4, 6, 64, 131, 1, 1, same(activation="relu"), zero_points=(-128, -128)),
    Conv2D.case("sums_too_large_to_join", 1, 5, 600, 3, 1, 1),
    Conv2D.case("tiles_at_a_border", 5, 6, 32, 40, 3, 3, same(activation="relu"), zero_points=(-128, -128)),
    Conv2D.case("one_position_left", 3, 3, 64, 128, 1, 1),
    Conv2D.case("two_positions_left", 1, 6, 32, 257, 1, 1, same(activation="relu6")),
    Conv2D.case("two_positions_left_of_int8", 1, 6, 1200, 7, 1, 1),
    LegoConv.case("two_positions", 1, 2, 8, 5, 1, 3, 2, 3, same(activation="relu")),
    LegoConv.case("rows_of_two", 4, 2, 8, 5, 1, 3, 4, 3, same(activation="relu")),
    LegoConv.case("border_rows", 5, 6, 16, 6, 3, 3, 2, 4, same((2, 1), activation="relu"), (127, -128)),
    LegoConv.case("valid_beyond_the_end", 3, 2, 6, 5, 2, 1, 2, 3, Conv2DAttrs((1, 1), activation="relu")),
    LegoConv.case("away_from_zero", 2, 6, 16, 5, 1, 1, 2, 4, zero_points=(11, -7)),
    LegoConv.case("away_from_zero_saturating", 2, 6, 16, 5, 1, 1, 2, 4, zero_points=(11, -7), scales=(0.9, 0.002)),
    LegoConv.case("more_bricks_than_bytes_count", 1, 3, 2, 3, 1, 1, 1, 260),
    LegoConv.case("long_rounds", 1, 9, 64, 9, 1, 5, 4, 5, same(activation="relu"), (-128, -128)),
    DepthwiseConv2D.case("rows_of_seven", 6, 7, 7, 1, 3, 3, same((1, 2))),
    DepthwiseConv2D.case("two_at_a_time", 8, 10, 8, 1, 3, 3, same((2, 2), activation="relu"), (7, -128)),
    DepthwiseConv2D.case("two_at_a_time_odd", 7, 11, 12, 1, 3, 3, Conv2DAttrs((2, 2), activation="relu"),
                         (-128, -128)),
    DepthwiseConv2D.case("all_strips_odd", 7, 5, 12, 1, 3, 3, same(activation="relu"), zero_points=(127, -128)),
    DepthwiseConv2D.case("all_strips_even", 6, 8, 10, 1, 3, 3, same(activation="relu"), zero_points=(3, -128)),
    DepthwiseConv2D.case("dilated_in_both", 8, 9, 5, 1, 3, 3, same(dilation=(2, 3))),
    DepthwiseConv2D.case("all_border", 2, 3, 6, 1, 3, 7, same()),
    DepthwiseConv2D.case("long", 1, 40, 4, 1, 1, 21, same()),
    DepthwiseConv2D.case("away_from_zero", 3, 9, 9, 1, 1, 5, same(), zero_points=(11, -7)),
    FullyConnected.case("three_rows", (1, 3, 10), 7, FullyConnectedAttrs(keep_num_dims=True)),
    FullyConnected.case("rows_odd", (1, 5, 7), 3, FullyConnectedAttrs(keep_num_dims=True)),
    FullyConnected.case("long", (1, 517), 5),
    FullyConnected.case("joined_with_rests", (1, 2, 39), 19, FullyConnectedAttrs(keep_num_dims=True)),
    FullyConnected.case("joined_eight_words", (1, 32), 16, zero_points=(127, -128)),
    FullyConnected.case("sums_too_large_to_join", (1, 600), 17, largest_bias=2**24),
    Lstm.case("left_shifts", 9, 6, 5, LstmAttrs(4.0), (0.2, 0.008, 2.0**-12), weight_scale=0.02),
    Lstm.case("left_shifts_beyond_int16", 6, 3, 5, scales=(0.9, 0.5, 2.0**-12), weight_scale=0.9),
    Lstm.case("zero_point_beside_the_rounding", 9, 4, 6, scales=(0.03, 0.03, 2.0**-13), zero_points=(6, 127)),
    Lstm.case("all_shifts_right", 9, 13, 10, scales=(0.01, 0.003, 2.0**-14), weight_scale=0.003),
    Lstm.case("three_more_than_fours", 5, 7, 15, LstmAttrs(1.5), (0.03, 0.008, 2.0**-7)),
    Lstm.case("more_units_than_unrolled", 4, 2, 37, LstmAttrs(10.0), (0.03, 0.008, 2.0**-11)),
    Add.case("one_scale", (1, 4, 6), (1, 4, 6), (0.05, 0.05, 0.04)),
    Sub.case("one_scale_relu", (1, 4, 6), (1, 1, 6), (0.05, 0.05, 0.04), activation="relu"),
    Mul.case("left_shift", (1, 4, 6), (1, 4, 6), (0.5, 0.5, 0.1)),
    Mul.case("tiny", (1, 4, 6), (1, 4, 6), (1e-5, 0.5, 0.1)),
    BatchMatMul.case("seven_by_five", (1, 7, 9), (1, 9, 5)),
    BatchMatMul.case("five_columns_transposed", (1, 3, 11), (1, 5, 11), adj_y=True),
    BatchMatMul.case("both_gathered", (1, 2, 10, 6), (1, 2, 10, 3), adj_x=True),
    BatchMatMul.case("left_shift", (1, 4, 2), (1, 2, 4), scales=(0.5, 0.5, 0.1)),
    BatchMatMul.case("finest_output", (1, 5, 3), (1, 3, 4), scales=(0.5, 0.5, 1e-7)),
    *(unary_case(op, *arguments) for op in (AveragePool2D(), MaxPool2D()) for arguments in (
        ("same_of_six", (1, 5, 7, 6), Pool2DAttrs((3, 3), (2, 2), "same", "relu")),
        ("whole_of_five", (1, 8, 31, 5), Pool2DAttrs((8, 31), (8, 31)), (0.05, 0.05), (-128, -128)),
        ("halves_of_eight", (1, 6, 9, 8), Pool2DAttrs((1, 2), (1, 2), activation="relu6"), (0.1, 0.1), (3, 3)),
        ("beyond_the_input", (1, 2, 3, 9), Pool2DAttrs((3, 7), (1, 1), "same")))),
    unary_case(Mean(), "of_many", (1, 2, 700, 5), MeanAttrs((2,)), (0.05, 0.003), (-128, 127)),
    unary_case(Mean(), "of_many_in_a_row", (1, 2, 1500), MeanAttrs((2,)), (0.05, 0.003), (127, -128)),
    unary_case(Mean(), "of_some_in_a_row", (1, 3, 6), MeanAttrs((2,)), (0.05, 0.07), (9, -3)),
    unary_case(Mean(), "left_shift", (1, 3, 6), MeanAttrs((1,)), (0.9, 0.02), (9, -3)),
    Softmax.case("steep_and_deep", (1, 2, 40), 0.9),
    Softmax.case("one_value_each", (1, 40, 1), 0.1),
    Lstm.case("very_fine_cell", 9, 4, 6, scales=(0.03, 0.008, 2.0**-19)),
)


def with_extreme_bias(graph: IntGraph) -> IntGraph:
    """Sums that wrap: bias at both ends of int32."""
    bias = graph["bias"]
    data = np.resize(np.array([2**31 - 1, -(2**31)], np.int32), bias.shape)
    return replace(graph, tensors={**graph.tensors, "bias": replace(bias, data=data)})


@cache
def jobs() -> tuple[Job, ...]:
    rng = np.random.default_rng(5)
    cases = [c for op in KERNELS for c in OPS[op].CASES] + list(MORE_CASES)
    graphs = [c.build(rng) for c in cases]
    graphs = [g for g in graphs if dsp_goals(g)]
    randoms = {**dict.fromkeys(KERNELS, 6), "conv_2d": 30, "lego_conv": 15, "xnor_conv": 12}
    more = [KINDS[op](rng).build(rng) for op, count in randoms.items() if op in KINDS for _ in range(count)]
    graphs += [g for g in more if dsp_goals(g)]
    graphs += [with_extreme_bias(g) for g in graphs[:2]]
    # Code of its own for each layer takes long to compile: every third case has some, for "speed" or "balanced".
    return tuple(job(g, rng, goals_of(g, i), randoms=1) for i, g in enumerate(graphs))


def goals_of(graph: IntGraph, i: int) -> tuple[Goal, ...]:
    own = graph.nodes[0].op == "fully_connected" or any(conv_paths(graph, GOALS[i % 2]))
    wanted = ("size", GOALS[i % 2]) if own or i % 3 == 0 else ("size",)
    if graph.nodes[0].op == "depthwise_conv_2d":  # whose quickest code only "speed" has
        wanted += ("speed",)
    there = dsp_goals(graph)
    return tuple(g for g in there if g in wanted) or there[:1]


def conv_paths(graph: IntGraph, goal: Goal) -> tuple[bool, bool, int]:
    """Of a convolution: joined weights, several tiles at a time, positions one by one at the end."""
    (node,) = graph.nodes
    form = OPS[node.op].dsp_within(graph, node, goal, ROOM)
    if form is None or form.kernel != "he_conv_2d_s8_dsp" or goal == "size":
        return False, False, 0
    p = form.params
    return p.layout == WEIGHTS_JOINED, p.tiles > 1, p.last


def test_cases_reach_the_paths_of_convolutions() -> None:
    reached = {conv_paths(j.graph, goal) for j in jobs() for goal in j.goals}
    assert {tiles for _, tiles, _ in reached} == {True, False}
    wanted = {(True, 0), (True, 1), (True, 2), (False, 0), (False, 2)}
    assert {(joined, last) for joined, _, last in reached} >= wanted


def check(results: bytes, portable: bool = False) -> None:
    """Name the first case that differs; each job's results stand there once for each form."""
    at = 0
    for j in jobs():
        wanted = j.expected
        for form in ("portable",) if portable else j.goals:
            assert results[at : at + len(wanted)] == wanted, (j.graph.name, form, OPS[j.graph.nodes[0].op].prepare(
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
    results = run_host(build_host(tmp_path, program(jobs()), kernel_sources(jobs()), compiler, *flags))
    check(results, portable=EMULATION not in flags)


@pytest.mark.arm_gcc
@pytest.mark.skipif(shutil.which(ARM_GCC[0]) is None, reason=f"no {ARM_GCC[0]} on PATH")
def test_m33(tmp_path: Path) -> None:
    """Equal in all forms, and the two DSP forms together execute fewer instructions than the portable one."""
    text, sources = program(jobs()), kernel_sources(jobs())
    instructions = {}
    for flags in (("-O2",), ("-Os",), ("-O2", PORTABLE)):
        results, by_function = run_m33(build_m33(tmp_path, text, sources, *ARM_GCC, *flags))
        check(results, portable=PORTABLE in flags)
        instructions[flags] = sum(by_function.values())
    assert instructions["-O2",] < instructions["-O2", PORTABLE]


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
static int32_t results[ALL * ALL * 34];
static uint32_t words[4];
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
            *r++ = he_smlabb(u, v, a ^ 0x5A5A5A5A);
            *r++ = he_smlatt(u, v, a ^ 0x5A5A5A5A);
            *r++ = (int32_t)he_pair(a, b);
            *r++ = he_smmla(a, b, a ^ 0x5A5A5A5A);
            *r++ = he_smmlar(a, b, a ^ 0x5A5A5A5A);
            *r++ = he_smmulr(a, b);
            *r++ = he_smlal_high(a, b, v ^ 0x5A5A5A5AU, a ^ 0x5A5A5A5A);
            *r++ = (int32_t)he_smax8(u, v);
            *r++ = (int32_t)he_smin8(u, v);
            *r++ = he_smulbb(u, v);
            *r++ = he_smultb(u, v);
            *r++ = he_ssat16_asr(a, 0);
            *r++ = he_ssat16_asr(a, 5);
            *r++ = he_ssat16_asr(a, (int32_t)(j % 32));
            *r++ = he_ssat24_doubled(a);
            *r++ = (int32_t)he_qadd16(u, v);
            *r++ = (int32_t)he_ssub16(u, v);
            *r++ = (int32_t)he_pair_of_highs(u, v);
            *r++ = (int32_t)he_neighbours((const int16_t *)edges, (int32_t)j);
            *r++ = (int32_t)he_two_at(he_opaque(edges), 3).second;
            *r++ = he_in_register(a);
            *r++ = he_ssat8_asr(a, 1);
            *r++ = he_ssat8_asr(a, 1 + (int32_t)(j % 31));
            *r++ = he_smlad_first(u, v, a ^ 0x5A5A5A5A);
            he_smlad_to(&r[-1], v, u);
            uint32_t *to = words;
            he_put_two(&to, u, v);
            he_put_two(&to, v + 1U, u + 1U);
            const uint32_t *from = words;
            *r++ = (int32_t)he_next_word(&from);
            const he_words two = he_next_two(&from);
            *r++ = (int32_t)two.first;
            *r++ = (int32_t)two.second;
            const int8_t *bytes = (const int8_t *)words + 1;
            *r++ = (int32_t)he_next_4(&bytes);
            *r++ = (int32_t)he_load_4(bytes);
            *r++ = (int32_t)(bytes - (const int8_t *)words);
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
void channel(int32_t n, const int32_t *sum, uint32_t fine, const he_requantize_s8 *r, const int32_t *words,
             int8_t *q);
void channel(int32_t n, const int32_t *sum, uint32_t fine, const he_requantize_s8 *r, const int32_t *words,
             int8_t *q)
{
    for (int32_t i = 0; i < n; ++i) {
        const int32_t shift = r->sum_shift ? r->sum_shift : words[3];
        q[i] = he_requantize_s8_sum(r, words, (int32_t)(((uint32_t)sum[i] << (r->shifted ? shift : 0)) + fine));
    }
}
"""


def sums_to_try(low: int, high: int, multiplier: int, shift: int, rng: np.random.Generator) -> np.ndarray:
    """int32 in [low, high]: both ends, zero, many at or beside a tie of either rounding or a limit of int8."""
    halves = rng.integers(-600, 601, 2000) / 2  # of an output step
    ties = np.round(halves * 2.0**-shift * 2.0**31 / max(multiplier, 1))[:, np.newaxis] + np.arange(-2, 3)
    scattered = rng.integers(low, high + 1, 500)
    chosen = np.concatenate([ties.ravel(), scattered, [low, high, -1, 0, 1]])
    return np.clip(chosen, low, high).astype(np.int32)


@pytest.mark.skipif(shutil.which("gcc") is None, reason="no gcc on PATH")
def test_requantisation_equals_double_rounding(tmp_path: Path) -> None:
    """Against the Python twin, which TFLM was checked against, for all sums that matter: all shifts, extreme
    multipliers and zero points, channels far apart."""
    source, library = tmp_path / "requantize.c", tmp_path / "requantize.so"
    source.write_text(REQUANTIZE)
    subprocess.run(["gcc", "-O2", "-shared", "-fPIC", EMULATION, *FLAGS, source, "-o", library], check=True)
    channel = ctypes.CDLL(str(library)).channel
    rng = np.random.default_rng(9)
    forms: set[tuple[int, int, int]] = set()
    for middle in range(-31, 31):
        for zero_point, relu in ((-128, True), (-128, False), (-3, True), (0, False), (127, False)):
            spread = int(rng.choice([0, 2, 7, 20]))
            shift = np.clip(middle + rng.integers(-spread, spread + 1, 4), -31, 30).astype(np.int32)
            multipliers = [0, 2**30, 2**30 + 1, 2**31 - 1, *rng.integers(2**30, 2**31, 9)]
            multiplier = rng.choice(multipliers, 4).astype(np.int32)
            size = int(rng.choice([1, 5, 300]))
            weights = rng.integers(-127, 128, (4, size)).astype(np.int8)
            bias = rng.integers(-(2**31), 2**31, 4) >> rng.integers(0, 31)
            act_min = zero_point if relu else -128
            for kind in ("plain", "widened", "joined"):
                given = (weights, bias.astype(np.int32), -128, multiplier, shift, zero_point, act_min, 127)
                c = joined_channels(*given) if kind == "joined" else requantize_channels(*given, kind == "widened")
                if c is None:
                    continue
                r = c.requantize
                forms.add((r.form, r.shifted, r.sum_shift))
                lowest, highest = reach(weights, bias, -128)
                for o in range(4):
                    # Sums beyond int32 wrap, and then any may come.
                    whole = lowest[o] < -(2**31) or highest[o] >= 2**31
                    low, high = (-(2**31), 2**31 - 1) if whole else (int(lowest[o]), int(highest[o]))
                    sums = sums_to_try(low, high, int(multiplier[o]), int(shift[o]), rng)
                    expected = requantize(sums, multiplier[o], shift[o], zero_point, act_min, 127)
                    if not c.weights[o].any():
                        sums[:] = 0  # no sum counts: the multiplier is 0
                    q = np.empty(sums.size, np.int8)
                    values = np.array([getattr(r, f.name) for f in fields(r)], np.int32)
                    words = c.words[o].copy()
                    given_sums, *others = (a.ctypes.data_as(ctypes.c_void_p) for a in (sums, values, words, q))
                    channel(sums.size, given_sums, 0 if c.fine is None else int(c.fine[o]), *others)
                    assert np.array_equal(q, expected), (r, c.words[o], multiplier[o], shift[o], low, high)
    alone = {(form, shifted, 0) for form in (UPWARD, AWAY) for shifted in (0, 1)}
    alike = {(form, shifted, 2) for form in (UPWARD, AWAY) for shifted in (0, 1)}
    assert forms == {*alone, *alike, (UPWARD, 1, 8), (AWAY, 1, 8), (TWICE, 0, 0)}
