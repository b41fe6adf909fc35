"""Instructions and flash of layers with Lego filters beside the same layers dense, on a simulated Cortex-M33.

    python tests/bench_lego.py [speed|balanced|size]

Flash is code, weights, indices and channels of the layer, and the shared code that it calls. Inputs are random; the
results are compared with the interpreter's.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from kernel_driver import ARM_GCC, Job, build_m33, job, kernel_sources, program, run_m33

from harembed.ir.expand import expanded
from harembed.ir.graph import IntGraph
from harembed.ir.ops.base import Goal
from harembed.ir.ops.conv import Conv2DAttrs
from harembed.ir.ops.lego import LegoConv

# channels = filters, kernel, samples, fragments, bricks
LAYERS = ((32, 3, 32, 4, 8), (64, 5, 32, 4, 16), (64, 7, 32, 4, 16), (64, 5, 32, 2, 32), (96, 5, 32, 4, 24),
          (128, 5, 32, 4, 32), (128, 9, 32, 4, 32))
ATTRS = Conv2DAttrs(padding="same", activation="relu")
OTHERS = {"run", "collect", "memcpy", "memset", "results"}  # of the program around the kernels


def measured(graph: IntGraph, goal: Goal) -> tuple[int, int, int]:
    """(instructions of one inference, bytes of flash, those that are code)."""
    one: Job = job(graph, np.random.default_rng(1), (goal,), randoms=2)
    with tempfile.TemporaryDirectory() as name:
        elf = build_m33(Path(name), program([one]), kernel_sources([one]), *ARM_GCC, "-O2", "-ffunction-sections",
                        "-fdata-sections", "-Wl,--gc-sections")
        results, instructions = run_m33(elf)
        assert results == one.expected, graph.name
        symbols = subprocess.run(["arm-none-eabi-nm", "-S", elf], capture_output=True, text=True, check=True).stdout
    sizes = {p[3]: (p[2], int(p[1], 16)) for line in symbols.splitlines() if len(p := line.split()) == 4}
    kept = {n: s for n, s in sizes.items() if n not in OTHERS and not n.startswith(("input", "constant"))
            and s[0] in "tTrR"}
    code = sum(size for n, (_, size) in kept.items() if not n.startswith("params"))
    executed = sum(count for n, count in instructions.items() if n not in OTHERS) // len(one.inputs[0])
    return executed, sum(size for _, size in kept.values()), code


def main() -> None:
    goal: Goal = sys.argv[1] if len(sys.argv) > 1 else "balanced"  # type: ignore[assignment]
    print(f"{goal}: c = n, kernel, o, m | instructions dense, lego, ratio | flash dense (code), lego (code), ratio")
    for c, k, length, fragments, bricks in LAYERS:
        case = LegoConv.case("bench", 1, length, c, c, 1, k, fragments, bricks, ATTRS, (-128, -128), (0.02, 0.4))
        lego = case.build(np.random.default_rng(0))
        one, two = (measured(g, goal) for g in (expanded(lego), lego))
        print(f"{c:4} {k:2} {fragments} {bricks / c:.2f} | {one[0]:9,} {two[0]:9,} {one[0] / two[0]:5.2f} | "
              f"{one[1]:7,} ({one[2]:5,}) {two[1]:6,} ({two[2]:5,}) {one[1] / two[1]:5.2f}")


if __name__ == "__main__":
    main()
