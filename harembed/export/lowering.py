"""What every lowering function needs: tensors from quantisers, constants from weights."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from harembed.errors import GraphError
from harembed.ir.graph import DType, GraphBuilder, Kind, QParams
from harembed.ir.ops.lstm import GATES
from harembed.nn.quant import Quantizer, integer_bias, integer_weight
from harembed.nn.quant_layers import QuantWeight


def qparams(quantizer: Quantizer) -> QParams:
    """A quantiser's scale and zero point.

    Raises
    ------
    GraphError    it was never calibrated
    """
    if not bool(torch.isfinite(quantizer.scale)):
        raise GraphError(f"Tensor {quantizer.name!r} has no range yet.",
                         "Call harembed.train.qat.calibrate(net, x) with training windows before lowering.")
    return QParams((float(quantizer.scale),), int(quantizer.zero_point))


class Lowering:
    """An integer graph under construction."""

    def __init__(self, name: str) -> None:
        self.graph = GraphBuilder(name)

    def shape(self, tensor: str) -> tuple[int, ...]:
        return self.graph.tensors[tensor].shape

    def scale(self, tensor: str) -> Tensor:
        """The scale as torch's float32, with which weights were fake-quantised."""
        return torch.tensor(self.graph.tensors[tensor].scale, dtype=torch.float32)

    def input(self, quantizer: Quantizer, shape: Sequence[int]) -> str:
        return self.graph.tensor(quantizer.name, shape, kind=Kind.INPUT, qparams=qparams(quantizer))

    def node(self, op: str, inputs: Sequence[str], out: Quantizer, shape: Sequence[int], attrs: Any = None) -> str:
        """Emit an operation into a new tensor that is quantised as `out` says; the node takes its name."""
        self.graph.tensor(out.name, shape, qparams=qparams(out))
        self.graph.node(op, inputs, [out.name], attrs, out.name)
        return out.name

    def move(self, op: str, sources: Sequence[str], name: str, shape: Sequence[int], attrs: Any) -> str:
        """Emit an operation that only moves values: the output is quantised as its inputs."""
        self.graph.tensor(name, shape, qparams=self.graph.tensors[sources[0]].qparams)
        self.graph.node(op, sources, [name], attrs, name)
        return name

    def weight(self, kernel: QuantWeight, input_scale: Tensor, prefix: str,
               arranged: Tensor | None = None) -> tuple[str, str]:
        """Constants (weight, bias; "" without bias) of a layer.

        Parameters
        ----------
        input_scale : of what the layer reads
        arranged : kernel.weight in the layout of the integer graph, its first axis unchanged
        """
        scales = kernel.scales(input_scale)
        integers = integer_weight(kernel.weight if arranged is None else arranged, scales)
        weight = self.constant(f"{prefix}.weight", integers, scales)
        if kernel.bias is None:
            return weight, ""
        bias = integer_bias(kernel.bias, scales, input_scale)
        return weight, self.constant(f"{prefix}.bias", bias, scales * input_scale)

    def constant(self, name: str, integers: Tensor, scales: Tensor) -> str:
        """A constant with one scale, or one for each entry of its first axis."""
        axis = 0 if len(scales) > 1 else None
        return self.graph.constant(name, integers.numpy(), QParams(tuple(float(s) for s in scales), 0, axis))

    def state(self, name: str, shape: Sequence[int], quantisation: QParams, dtype: DType) -> str:
        """A tensor that the node which reads it also updates."""
        return self.graph.tensor(name, shape, dtype, Kind.STATE, quantisation)

    def gates(self, weight: Tensor, scales: Tensor, names: str) -> list[str]:
        """Constants of an LSTM's four gates from one matrix [4U, I]; `names` has a place for the gate's."""
        parts = integer_weight(weight, scales).chunk(len(GATES))
        return [self.constant(names.format(gate), part, scale) for gate, part, scale in
                zip(GATES, parts, scales.split(1), strict=True)]

    def gate_biases(self, kernel: QuantWeight, source: str, names: str) -> list[str]:
        assert kernel.bias is not None
        scales, input_scale = kernel.scales(self.scale(source)), self.scale(source)
        parts = integer_bias(kernel.bias, scales, input_scale).chunk(len(GATES))
        return [self.constant(names.format(gate), part, scale * input_scale) for gate, part, scale in
                zip(GATES, parts, scales.split(1), strict=True)]

    def scalar(self, name: str, value: float) -> str:
        """A real number as int8 constant [1], exact up to float32: its sign times its magnitude."""
        integer = np.array([-1 if value < 0 else 1 if value > 0 else 0], np.int8)
        return self.graph.constant(name, integer, QParams((abs(value) or 1.0,)))
