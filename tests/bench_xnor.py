"""Instructions and flash of binary convolutions beside int8 ones of the same size, on a simulated Cortex-M33.

    python tests/bench_xnor.py [speed|balanced|size]

As bench_lego.py: flash is code, weights, thresholds and channels of the layer, and the shared code that it calls.
"""

import sys

import numpy as np
from bench_lego import ATTRS, measured

from harembed.ir.ops.base import Goal
from harembed.ir.ops.conv import Conv2D
from harembed.ir.ops.xnor import XnorConv

# channels = filters, kernel; 32 samples
LAYERS = ((64, 15), (64, 5), (64, 3), (96, 5), (128, 5), (128, 3), (32, 5))
SAMPLES = 32


def main() -> None:
    goal: Goal = sys.argv[1] if len(sys.argv) > 1 else "balanced"  # type: ignore[assignment]
    print(f"{goal}: c = n, kernel | instructions int8, binary, ratio, per binary MAC | flash int8 (code), "
          "binary (code), ratio, ratio without code")
    for c, k in LAYERS:
        size = (1, SAMPLES, c, c, 1, k, ATTRS)
        dense = Conv2D.case("bench", *size, zero_points=(-128, -128), scales=(0.02, 0.4))
        binary = XnorConv.case("bench", *size, (-128, -128), 0.4)
        one, two = (measured(case.build(np.random.default_rng(0)), goal) for case in (dense, binary))
        print(f"{c:4} {k:2} | {one[0]:9,} {two[0]:9,} {one[0] / two[0]:5.2f} {two[0] / (SAMPLES * c * c * k):.3f} | "
              f"{one[1]:7,} ({one[2]:5,}) {two[1]:6,} ({two[2]:5,}) {one[1] / two[1]:5.2f} "
              f"{(one[1] - one[2]) / (two[1] - two[2]):5.2f}")


if __name__ == "__main__":
    main()
