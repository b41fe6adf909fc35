"""A model of one layer of each operator that is measured against TFLite Micro's: tests/files/operators.tflite.

`python tests/operators_model.py` writes it; `harembed compare tests/files/operators.tflite --backends own,tflm` makes
the table. Sizes are those of human activity recognition. Each layer has inputs and an output of its own, so that the
comparison covers every byte.
"""

from pathlib import Path

import numpy as np

from harembed.export.tflite import write_tflite
from harembed.ir.graph import GraphBuilder, IntGraph, Kind
from harembed.ir.ops.activations import Logistic, Tanh
from harembed.ir.ops.base import Case
from harembed.ir.ops.conv import Conv2DAttrs
from harembed.ir.ops.depthwise import DepthwiseConv2D
from harembed.ir.ops.elementwise import Add, Mul, Sub
from harembed.ir.ops.hard_swish import HardSwish
from harembed.ir.ops.leaky_relu import LeakyRelu, LeakyReluAttrs
from harembed.ir.ops.lstm import Lstm
from harembed.ir.ops.matmul import BatchMatMul
from harembed.ir.ops.mean import Mean, MeanAttrs
from harembed.ir.ops.pool import AveragePool2D, MaxPool2D, Pool2DAttrs
from harembed.ir.ops.prelu import Prelu
from harembed.ir.ops.rescale import Relu, Relu6
from harembed.ir.ops.softmax import Softmax
from harembed.ir.ops.sum import Sum
from harembed.ir.ops.unary import unary_case

MODEL = Path(__file__).parent / "files" / "operators.tflite"
FLAT = (1, 9, 32, 4)  # sensors, samples, filters
CASES = {
    # CMSIS-NN rounds gates that saturate in another way, rarely by a step: these do not.
    "lstm_16_to_32_over_31": Lstm.case("", 31, 16, 32, weight_scale=0.001),
    "softmax_of_9_by_9": Softmax.case("", (1, 32, 9, 9), 0.05),
    "softmax_over_31": Softmax.case("", (1, 31), 0.05),
    "attention_scores": BatchMatMul.case("", (1, 32, 9, 8), (1, 32, 9, 8), adj_y=True),
    "attention_values": BatchMatMul.case("", (1, 32, 9, 9), (1, 32, 9, 8)),
    "weighted_sum_over_31": BatchMatMul.case("", (1, 1, 31), (1, 31, 32)),
    "logistic": unary_case(Logistic(), "", FLAT, None, (0.05, 1 / 256), (-7, -128)),
    "tanh": unary_case(Tanh(), "", FLAT, None, (0.05, 1 / 128), (-7, 0)),
    "relu": unary_case(Relu(), "", FLAT, None, (0.05, 0.03), (-7, -128)),
    "relu6": unary_case(Relu6(), "", FLAT, None, (0.05, 0.0235), (-7, -128)),
    "leaky_relu": unary_case(LeakyRelu(), "", FLAT, LeakyReluAttrs()),
    "hard_swish": unary_case(HardSwish(), "", FLAT, None, (0.05, 0.03), (4, -110)),
    "prelu": Prelu.case("", FLAT, (1, 1, 4)),
    "add": Add.case("", FLAT, FLAT),
    # Of the pinned TFLite Micro, SUB computes its scales in float32: these are exact there.
    "sub": Sub.case("", FLAT, FLAT, (0.5, 0.375, 0.5)),
    "mul": Mul.case("", FLAT, FLAT),
    "mul_by_channel": Mul.case("", FLAT, (1, 1, 1, 4)),
    "mean_over_time": unary_case(Mean(), "", (1, 1, 32, 24), MeanAttrs((1, 2)), (0.05, 0.02)),
    "sum_over_time": unary_case(Sum(), "", (1, 32, 24), MeanAttrs((1,)), (0.05, 0.4)),
    "average_pool": unary_case(AveragePool2D(), "", FLAT, Pool2DAttrs((1, 2), (1, 2), "valid")),
    "max_pool": unary_case(MaxPool2D(), "", FLAT, Pool2DAttrs((1, 2), (1, 2), "valid")),
    "depthwise_1_by_5": DepthwiseConv2D.case("", 1, 64, 24, 1, 1, 5, Conv2DAttrs(padding="same", activation="relu")),
    "depthwise_3_by_3": DepthwiseConv2D.case("", 9, 32, 8, 1, 3, 3, Conv2DAttrs(padding="same", activation="relu")),
}


def operators() -> IntGraph:
    """All cases side by side."""
    g = GraphBuilder("operators")
    inputs, outputs = [], []
    for i, (name, case) in enumerate(CASES.items()):
        assert isinstance(case, Case)
        graph = case.build(np.random.default_rng(i))
        (node,) = graph.nodes
        new = {"": ""} | {t: f"{name}_{t}" for t in graph.tensors}
        for t in graph.tensors.values():
            if t.kind is Kind.CONSTANT:
                assert t.data is not None
                g.constant(new[t.name], t.data, t.qparams)
            else:
                kind = Kind.ACTIVATION if t.kind is Kind.OUTPUT else t.kind
                g.tensor(new[t.name], t.shape, t.dtype, kind, t.qparams)
        g.node(node.op, [new[t] for t in node.inputs], [new[t] for t in node.outputs], node.attrs, name)
        inputs += [new[t] for t in graph.inputs]
        outputs += [new[t] for t in node.outputs]
    return g.build(inputs, outputs)


if __name__ == "__main__":
    MODEL.write_bytes(write_tflite(operators()))
    print(f"wrote {MODEL}")
