"""Collects the nodes of an ONNX graph in QDQ form: integers between the layers, floats inside them."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from onnx import NodeProto, TensorProto, helper, numpy_helper

from harembed.ir.graph import IntGraph, Node, TensorSpec
from harembed.ir.ops import OPS


class OnnxWriter:
    """Names values, adds nodes and initializers. One per model.

    An integer tensor keeps its name from the graph; floats and constants made on the way are numbered.
    Activations are [N, ...]: the batch is free, though the graph's is 1.
    """

    def __init__(self, graph: IntGraph) -> None:
        self.graph = graph
        self.nodes: list[NodeProto] = []
        self.initializers: list[TensorProto] = []
        self._real: dict[str, str] = {}
        self._count = 0

    def fresh(self, hint: str) -> str:
        self._count += 1
        return f"{hint}/{self._count}"

    def constant(self, array: np.ndarray | np.generic, hint: str = "constant") -> str:
        """Add an initializer and return its name."""
        name = self.fresh(hint)
        self.initializers.append(numpy_helper.from_array(np.array(array, order="C"), name))
        return name

    def op(self, op_type: str, *inputs: str, output: str | None = None, **attributes: Any) -> str:
        """Add a node with one output and return that output's name."""
        name = output or self.fresh(op_type.lower())
        self.nodes.append(helper.make_node(op_type, list(inputs), [name], name=f"{op_type}:{name}", **attributes))
        return name

    def real(self, tensor: str) -> str:
        """A tensor of the graph as floats."""
        if tensor not in self._real:
            spec = self.graph[tensor]
            if spec.data is not None:
                self._real[tensor] = self.dequantised(spec.data, spec)
            else:
                self._real[tensor] = self.op("DequantizeLinear", tensor, self.scale(spec), self.zero_point(spec))
        return self._real[tensor]

    def dequantised(self, data: np.ndarray, spec: TensorSpec, axis: int | None = None) -> str:
        """Constant integers as floats by the quantisation of `spec`; axis where the data was transposed."""
        assert spec.qparams is not None
        per_channel = len(spec.qparams.scale) > 1
        attributes: dict[str, Any] = {"axis": spec.qparams.axis if axis is None else axis} if per_channel else {}
        inputs = [self.constant(data, spec.name), self.scale(spec)]
        if not per_channel:
            inputs.append(self.zero_point(spec))
        return self.op("DequantizeLinear", *inputs, **attributes)

    def bias(self, data: np.ndarray, input_scale: float, weight_scales: tuple[float, ...]) -> str:
        """int32 biases [O] as floats; their scale is the accumulator's, whatever the tensor itself says."""
        scales = np.float32(input_scale) * np.array(weight_scales, np.float32)
        if len(scales) == 1:
            return self.op("DequantizeLinear", self.constant(data, "bias"), self.constant(scales[0], "scale"))
        return self.op("DequantizeLinear", self.constant(data, "bias"), self.constant(scales, "scale"), axis=0)

    def quantise(self, value: str, tensor: str, like: TensorSpec | None = None) -> None:
        """Round a float value into a tensor of the graph, in that tensor's shape.

        `like` says by which quantisation, where a kernel does not heed its output's.
        """
        spec = self.graph[tensor]
        shape = self.constant(np.array([-1, *spec.shape[1:]], np.int64), "shape")
        self.rounded(self.op("Reshape", value, shape), like or spec, output=tensor)

    def rounded(self, value: str, spec: TensorSpec, output: str | None = None) -> str:
        """Round a float value into the integers of `spec`."""
        return self.op("QuantizeLinear", value, self.scale(spec), self.zero_point(spec), output=output)

    def rounded_twice(self, value: str, node: Node, channel_axes_behind: int = 0) -> str:
        """Move floats so that one rounding gives what the integer kernel's two give.

        That kernel rounds acc * multiplier / 2^31 first and divides by 2^n then, n bits to the right, rounding
        half away from zero. So a value steps up from .5 - 2^-(n+1) on, not from .5: in a layer of small n one
        integer in a hundred. Here the value is moved away from zero by that 2^-(n+1).

        Parameters
        ----------
        value : floats before the activation and the quantisation of the node's output
        channel_axes_behind : axes behind that of the channels, 0 where they are last, 2 in NCHW
        """
        params = OPS[node.op].prepare(self.graph, node).params
        right = -np.atleast_1d(params.shift).astype(np.int64)
        offset = np.where(right > 0, 0.5 ** (right + 1), 0.0) * self.graph[node.outputs[0]].scale
        step = self.constant(offset.astype(np.float32).reshape(-1, *(1,) * channel_axes_behind), "half_bit")
        if getattr(node.attrs, "activation", "none") in ("none", "relu_n1_to_1"):
            step = self.op("Mul", self.op("Sign", value), step)
        return self.op("Add", value, step)  # a relu makes 0 of what is negative

    def activation(self, value: str, kind: str) -> str:
        """Apply a fused activation to floats."""
        if kind == "relu":
            return self.op("Relu", value)
        if kind == "relu6":
            return self.op("Clip", value, self.constant(np.float32(0)), self.constant(np.float32(6)))
        if kind == "relu_n1_to_1":
            return self.op("Clip", value, self.constant(np.float32(-1)), self.constant(np.float32(1)))
        return value

    @contextmanager
    def body(self) -> Iterator[list[NodeProto]]:
        """Collect the nodes added inside as a loop's body; constants stay outside, where a body may read them."""
        outer, self.nodes = self.nodes, []
        try:
            yield self.nodes
        finally:
            self.nodes = outer

    def input(self, node: Node, index: int) -> TensorSpec:
        return self.graph[node.inputs[index]]

    def scale(self, spec: TensorSpec) -> str:
        assert spec.qparams is not None
        scales = np.array(spec.qparams.scale, np.float32)
        return self.constant(scales[0] if len(scales) == 1 else scales, "scale")

    def zero_point(self, spec: TensorSpec) -> str:
        return self.constant(np.array(spec.zero_point, spec.dtype.numpy), "zero_point")
