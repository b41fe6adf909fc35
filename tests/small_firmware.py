"""The small network that the tests of simulators and of the harness run, and boards to run it on."""

import numpy as np

from harembed.board import load_board
from harembed.ir.graph import GraphBuilder, Kind, QParams
from harembed.ir.input_spec import make_input_spec
from harembed.ir.interpreter import Interpreter
from harembed.ir.ops.conv import Conv2DAttrs, output_length

NUCLEO, MPS2, HOST = load_board("nucleo_l552ze_q"), load_board("mps2_an505"), load_board("host")


def two_convolutions():
    """Raw [32, 7] int16, of which six channels are used, through two convolutions over time."""
    rng = np.random.default_rng(1)
    g = GraphBuilder("two convolutions")
    name = g.tensor("input", (1, 6, 32, 1), kind=Kind.INPUT, qparams=QParams((0.05,), -3))
    shape, scale = (6, 32, 1), 0.05
    for i, (filters, zero_point, activation) in enumerate([(4, -128, "relu"), (3, 7, "none")]):
        height, width, channels = shape
        scales = tuple(rng.uniform(0.002, 0.02, filters))
        weights = g.constant(f"filter_{i}", rng.integers(-127, 128, (filters, 1, 5, channels)).astype(np.int8),
                             QParams(scales, 0, 0))
        bias = g.constant(f"bias_{i}", rng.integers(-3000, 3000, filters).astype(np.int32),
                          QParams(tuple(scale * s for s in scales), 0, 0))
        shape = (height, output_length(width, 5, 2, 1, "same")[0], filters)
        output = g.tensor(f"activation_{i}", (1, *shape), qparams=QParams((0.1,), zero_point))
        g.node("conv_2d", [name, weights, bias], [output], Conv2DAttrs((1, 2), padding="same", activation=activation),
               name=f"conv {i}")
        name, scale = output, 0.1
    mean, std = rng.uniform(-500, 500, 7), rng.uniform(200, 4000, 7)
    spec = make_input_spec(mean, std, 0.05, -3, 32, [0, 2, 3, 4, 5, 6], 1, 32)
    return g.build(["input"], [name], spec, ("sit", "stand"))


GRAPH = two_convolutions()
RAW = np.random.default_rng(5).integers(-32768, 32768, (40, 32, 7)).astype(np.int16)


def reference_logits(raw):
    return Interpreter(GRAPH).run_raw(raw)[0].ravel()
