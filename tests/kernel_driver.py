"""Runs kernels by themselves: a C program around single operators, for the host and for a bare Cortex-M33.

The program holds parameters, inputs and weights as constants, calls each kernel once per input, and collects all
outputs in `results`: those of the portable kernels, or where DSP instructions are used those of the DSP form for
each of its goals. On the M33 (Unicorn) the executed instructions are counted by function.
"""

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np
import unicorn
from unicorn import arm_const

from harembed.export.csource import kernels_of
from harembed.harness.elf_image import read_elf
from harembed.harness.instruction_counts import BlockCounter
from harembed.ir.graph import IntGraph, Kind
from harembed.ir.interpreter import Interpreter
from harembed.ir.ops import OPS
from harembed.ir.ops.base import GOALS, Goal

FIRMWARE = Path(__file__).parents[1] / "firmware"
FLAGS = ("-std=c11", "-Wall", "-Wextra", "-Werror", "-Wconversion", "-Wdouble-promotion",
         f"-I{FIRMWARE / 'include'}", f"-I{FIRMWARE / 'kernels'}")
ARM_GCC = ("arm-none-eabi-gcc", "-mcpu=cortex-m33", "-mthumb", "-mfpu=fpv5-sp-d16", "-mfloat-abi=hard")
ZIG = (sys.executable, "-m", "ziglang", "cc", "-target", "thumb-freestanding-eabihf",
       "-mcpu=cortex_m33+dsp+fp_armv8d16sp")
FLASH = (0x0800_0000, 4 << 20)
RAM = (0x2000_0000, 1 << 20)
ROOM = 1 << 14  # bytes of scratch memory that a kernel may borrow
RETURN = FLASH[0] + FLASH[1] - 16  # where `run` returns to

COLLECT = """
static __attribute__((noinline)) void collect(int32_t at, const int8_t *from, int32_t count)
{
    for (int32_t i = 0; i < count; ++i) results[at + i] = from[i];
}
"""

HOST_MAIN = """
#include <stdio.h>
int main(void)
{
    run();
    return fwrite(results, 1, sizeof results, stdout) == sizeof results ? 0 : 1;
}
"""

# A freestanding compiler may call these two. volatile: else it would make a loop a call of itself.
BARE_METAL = """
void *memcpy(void *to, const void *from, size_t n);
void *memset(void *to, int value, size_t n);
void *memcpy(void *to, const void *from, size_t n)
{
    volatile char *t = to;
    for (size_t i = 0; i < n; ++i) t[i] = ((const char *)from)[i];
    return to;
}
void *memset(void *to, int value, size_t n)
{
    volatile char *t = to;
    for (size_t i = 0; i < n; ++i) t[i] = (char)value;
    return to;
}
"""

LINKER_SCRIPT = f"""
MEMORY {{ FLASH (rx) : ORIGIN = {FLASH[0]}, LENGTH = {FLASH[1] - 16}
          RAM (rwx) : ORIGIN = {RAM[0]}, LENGTH = {RAM[1] - 4096} }}
PHDRS {{ code PT_LOAD; variables PT_LOAD; }}
SECTIONS {{
    .text : {{ *(.text*) *(.rodata*) }} > FLASH : code
    .ARM.exidx : {{ *(.ARM.exidx*) }} > FLASH : code
    .bss : {{ *(.bss*) *(COMMON) }} > RAM : variables
    .data : {{ *(.data*) }} > RAM : variables
}}
ASSERT(SIZEOF(.data) == 0, "nothing copies .data")
"""


@dataclass(frozen=True)
class Job:
    """A graph of one node, with values [N, ...] of each of its inputs, and the goals of its DSP forms."""

    graph: IntGraph
    inputs: tuple[np.ndarray, ...]
    goals: tuple[Goal, ...]

    @property
    def expected(self) -> bytes:
        return Interpreter(self.graph).run(*self.inputs)[0].tobytes()


def dsp_goals(graph: IntGraph) -> tuple[Goal, ...]:
    """Those for which the one node has a DSP form."""
    (node,) = graph.nodes
    return tuple(goal for goal in GOALS if OPS[node.op].dsp(graph, node, goal) is not None)


def job(graph: IntGraph, rng: np.random.Generator, goals: tuple[Goal, ...], randoms: int = 2) -> Job:
    """With both ends of the range and full-range random inputs."""
    inputs = []
    for i, name in enumerate(graph.inputs):
        shape = graph[name].shape[1:]
        ends = np.stack([np.full(shape, v, np.int8) for v in ((-128, 127), (127, 127))[i % 2]])
        inputs.append(np.concatenate([ends, rng.integers(-128, 128, (randoms, *shape)).astype(np.int8)]))
    return Job(graph, tuple(inputs), goals)


def program(jobs: Sequence[Job]) -> str:
    """C text with `results` [all output bytes] and `run()`."""
    portable, dsp = _Text(), _Text()
    data: list[str] = []
    kernels: set[str] = set()
    for i, one in enumerate(jobs):
        graph, (node,) = one.graph, one.graph.nodes
        prepared = OPS[node.op].prepare(graph, node)
        kernels.add(prepared.kernel)
        size = graph[graph.outputs[0]].nbytes
        scratch = OPS[node.op].dsp_scratch_bytes(graph, node)
        # Each input, output and scratch is an array of its own: a sanitizer then sees every byte too far.
        data += [f"static int8_t output{i}[{size}];", *_inputs(i, one), *_states(i, graph)]
        portable.lines += _parameters(f"params{i}", prepared.kernel, prepared.params)
        arguments = [_argument(i, graph, t) if t else "NULL" for t in node.inputs]
        data += [table(_argument(i, graph, t), c) for t in node.inputs if t and (c := graph[t].data) is not None]
        portable.lines += _scratch(f"scratch{i}", prepared.scratch_bytes)
        end = f", scratch{i});" if prepared.scratch_bytes else ");"
        call = f"{prepared.kernel}(&params{i}, {', '.join(arguments)}, output{i}{end}"
        portable.call(f"job{i}", call, i, one, size)
        for goal in one.goals:
            form = OPS[node.op].dsp_within(graph, node, goal, ROOM)
            assert form is not None, f"{graph.name}: the portable kernel serves"
            kernels.add(form.kernel)
            params = f"params{i}_{goal}"
            dsp.lines += _parameters(params, form.kernel, form.params)
            call = f"{form.kernel}_inline(&{params}, {params}.layout" if form.inline else f"{form.kernel}(&{params}"
            dsp.lines += _scratch(f"scratch{i}_{goal}", form.borrows or scratch)
            end = f", scratch{i}_{goal});" if scratch else ");"
            taken = ", ".join(_argument(i, graph, t) for t in node.inputs
                              if t and (form.takes_constants or graph[t].data is None))
            dsp.call(f"job{i}_{goal}", f"{call}, {taken}, output{i}{end}", i, one, size)
    includes = [f'#include "{kernel}.h"' for kernel in sorted(kernels)]
    choice = ["#if HE_USE_DSP", f"int8_t results[{dsp.bytes}];", *dsp.lines, "static void calls(void)", "{",
              *dsp.calls, "}", "#else", f"int8_t results[{portable.bytes}];", *portable.lines,
              "static void calls(void)", "{", *portable.calls, "}", "#endif"]
    # The function that collects is declared before the array that it fills.
    return "\n".join(["#include <stddef.h>", "#include <stdint.h>", '#include "he_dsp.h"', *includes,
                      "extern int8_t results[];", COLLECT, *data, *choice, "void run(void);",
                      "void run(void) { calls(); }", ""])


def _scratch(name: str, nbytes: int) -> list[str]:
    return [f"_Alignas(4) static uint8_t {name}[{nbytes}];"] if nbytes else []


def _inputs(i: int, one: Job) -> list[str]:
    """Tables, and for each call the list of those that it reads."""
    lines = []
    for n in range(len(one.inputs[0])):
        lines += [table(f"input{i}_{n}_{k}", x[n]) for k, x in enumerate(one.inputs)]
        names = ", ".join(f"input{i}_{n}_{k}" for k in range(len(one.inputs)))
        lines.append(f"static const int8_t *const inputs{i}_{n}[] = {{{names}}};")
    return lines


def _states(i: int, graph: IntGraph) -> list[str]:
    return [f"static {t.dtype.numpy.name}_t state{i}_{k}[{t.elements}];"
            for k, t in enumerate(graph.of_kind(Kind.STATE))]


def _argument(i: int, graph: IntGraph, name: str) -> str:
    """A tensor in a call."""
    if name in graph.inputs:
        return f"input[{graph.inputs.index(name)}]"
    if graph[name].data is not None:
        return f"constant{i}_{graph.nodes[0].inputs.index(name)}"
    return f"state{i}_{[t.name for t in graph.of_kind(Kind.STATE)].index(name)}"


class _Text:
    """One of the two programs: definitions, calls, and the bytes of their results."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.calls: list[str] = []
        self.bytes = 0

    def call(self, name: str, statement: str, i: int, one: Job, size: int) -> None:
        resets = [f"    for (int k = 0; k < {t.elements}; ++k) state{i}_{s}[k] = {t.zero_point};"
                  for s, t in enumerate(one.graph.of_kind(Kind.STATE))]
        self.lines.append(f"__attribute__((noinline)) static void {name}(const int8_t *const *input)\n"
                          f"{{ {statement} }}")
        for n in range(len(one.inputs[0])):
            self.calls += [*resets, f"    {name}(inputs{i}_{n}); collect({self.bytes}, output{i}, {size});"]
            self.bytes += size


def kernel_sources(jobs: Sequence[Job]) -> list[Path]:
    """Both forms of every kernel and what the DSP forms share, as a firmware build takes them."""
    names = {name for j in jobs for name in kernels_of(j.graph)} | {"he_patch_s8"}
    return sorted({p for name in names for p in (FIRMWARE / "kernels").glob(f"{name}*.c")})


def build_host(folder: Path, text: str, sources: Sequence[Path], *command: str) -> Path:
    return _compile(folder, text + HOST_MAIN, sources, *command)


def build_m33(folder: Path, text: str, sources: Sequence[Path], *command: str) -> Path:
    script = folder / "m33.ld"
    script.write_text(LINKER_SCRIPT)
    return _compile(folder, text + BARE_METAL, sources, *command, "-ffreestanding", "-nostdlib", f"-Wl,-T,{script}",
                    "-Wl,--entry=run")


def run_host(executable: Path) -> bytes:
    done = subprocess.run([executable], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


def run_m33(elf: Path) -> tuple[bytes, dict[str, int]]:
    """(results, instructions by function)."""
    image = read_elf(elf)
    uc = unicorn.Uc(unicorn.UC_ARCH_ARM, unicorn.UC_MODE_THUMB | unicorn.UC_MODE_MCLASS)
    uc.ctl_set_cpu_model(arm_const.UC_CPU_ARM_CORTEX_M33)
    uc.mem_map(*FLASH)
    uc.mem_map(*RAM)
    for address, data in image.segments:
        uc.mem_write(address, data)
    counter = BlockCounter(lambda a, n: bytes(uc.mem_read(a, n)), FLASH, lambda: True, None)
    uc.hook_add(unicorn.UC_HOOK_BLOCK, counter.on_block)
    uc.reg_write(arm_const.UC_ARM_REG_SP, RAM[0] + RAM[1])
    uc.reg_write(arm_const.UC_ARM_REG_LR, RETURN | 1)
    uc.emu_start(image.symbol("run").start | 1, RETURN)
    assert uc.reg_read(arm_const.UC_ARM_REG_PC) == RETURN
    results = image.symbol("results")
    return bytes(uc.mem_read(results.start, results.nbytes)), counter.by_function(image.functions)


def table(name: str, array: np.ndarray) -> str:
    """A constant array in C, which not every program needs."""
    values = ", ".join("INT32_MIN" if v == -2**31 else str(v) for v in array.reshape(-1).tolist())
    return f"__attribute__((unused)) static const {array.dtype.name}_t {name}[{array.size}] = {{{values}}};"


def _parameters(name: str, kernel: str, params: Any) -> list[str]:
    lines, initialiser = _initialiser(name, params)
    return [*lines, f"static const {kernel}_params {name} = {initialiser};"]


def _initialiser(name: str, params: Any) -> tuple[list[str], str]:
    lines, members = [], []
    for field in fields(params):
        value = getattr(params, field.name)
        if isinstance(value, np.ndarray):
            lines.append(table(f"{name}_{field.name}", value))
            value = f"{name}_{field.name}"
        elif isinstance(value, tuple):
            value = f"{{{', '.join(str(int(v)) for v in value)}}}"
        elif is_dataclass(value):
            more, value = _initialiser(f"{name}_{field.name}", value)
            lines += more
        elif value is None:
            value = "NULL"
        members.append(f".{field.name} = {value}")
    return lines, f"{{{', '.join(members)}}}"


def _compile(folder: Path, text: str, sources: Sequence[Path], *command: str) -> Path:
    driver, out = folder / "driver.c", folder / "driver.elf"
    driver.write_text(text)
    done = subprocess.run([*command, *FLAGS, driver, *sources, "-o", out], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return out
