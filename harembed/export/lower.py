"""From a quantised network to the integer graph: one function per layer, in a literal registry.

The graph keeps sensors in H, time in W and filters in C, so an individual convolution reads k * C neighbouring
bytes; its tensors carry the names of the quantisers that chose their ranges.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from harembed.errors import GraphError
from harembed.export.lowering import Lowering, qparams
from harembed.feature_graph import GraphConv, GraphPool, follow
from harembed.ir.graph import DType, IntGraph
from harembed.ir.input_spec import make_input_spec
from harembed.ir.ops.concatenation import ConcatenationAttrs
from harembed.ir.ops.conv import Conv2DAttrs, output_length
from harembed.ir.ops.dense import FullyConnectedAttrs
from harembed.ir.ops.elementwise import ElementwiseAttrs
from harembed.ir.ops.gru_chain import INTERMEDIATES, GruAttrs
from harembed.ir.ops.lstm import LstmAttrs
from harembed.ir.ops.matmul import BatchMatMulAttrs
from harembed.ir.ops.mean import MeanAttrs
from harembed.ir.ops.pool import Pool2DAttrs
from harembed.ir.ops.rearrange import PadAttrs, ReshapeAttrs, TransposeAttrs
from harembed.ir.ops.slice import last_step
from harembed.ir.ops.softmax import SoftmaxAttrs
from harembed.ir.ops.xnor import pack
from harembed.nn.quant import Quantizer, integer_bias, integer_weight
from harembed.nn.quant_attention import (
    QuantSensorAttention,
    QuantSensorFusion,
    QuantTemporalAggregation,
    QuantTemporalAttention,
)
from harembed.nn.quant_branches import QuantBranches
from harembed.nn.quant_gru import QuantGru
from harembed.nn.quant_layers import (
    QuantCentres,
    QuantConv,
    QuantDense,
    QuantDropout,
    QuantMean,
    QuantMoved,
    QuantNet,
    QuantWeight,
)
from harembed.nn.quant_lego import QuantLego
from harembed.nn.quant_lstm import QuantLstm
from harembed.nn.quant_residual import QuantResidual
from harembed.nn.quant_xnor import QuantXnor
from harembed.nn.steps import Flatten, JoinSensors, LastStep, SensorsAsFilters, TimeFirst
from harembed.space import Network


def lower(model: QuantNet, arch: Network, mean: np.ndarray, std: np.ndarray, labels: tuple[str, ...],
          name: str) -> IntGraph:
    """Make the integer graph of a quantised network, starting at raw sensor counts.

    Parameters
    ----------
    model : calibrated    see harembed.train.qat
    mean, std : [raw channels] float    counts, as given to harembed.train.loop.normalise
    labels : names of the classes
    name : of the graph; becomes the name of the generated C

    Raises
    ------
    GraphError    a layer has no lowering; or labels, or statistics, do not fit the architecture
    """
    if len(labels) != arch.classes or len(mean) != len(std) or max(arch.channels) >= len(mean):
        raise GraphError(f"{len(labels)} labels and statistics of {len(mean)} channels do not fit an architecture of "
                         f"{arch.classes} classes over channels {arch.channels}.")
    sensors, window = len(arch.channels), arch.window
    low = Lowering(name)
    mixed = model.input.layout == "sensors_last"
    current = low.input(model.input, (1, 1, window, sensors) if mixed else (1, sensors, window, 1))
    for layer_name, layer in model.layers.named_children():
        if type(layer) not in LOWERINGS:
            raise GraphError(f"Layer {layer_name!r} ({type(layer).__name__}) has no lowering into the integer graph.",
                             f"Known: {', '.join(t.__name__ for t in LOWERINGS)}. Another network comes in as an "
                             "int8 .tflite file from TensorFlow Lite's converter or ai-edge-torch: "
                             "harembed.export.tflite_import.read_tflite.")
        current = LOWERINGS[type(layer)](low, layer, current)
    first = low.graph.tensors["input"]
    spec = make_input_spec(mean, std, first.scale, first.zero_point, window, list(arch.channels),
                           stride_time=sensors if mixed else 1, stride_channel=1 if mixed else window)
    return low.graph.build(["input"], [current], spec, labels)


def convolve(low: Lowering, kernel: QuantWeight, filters: Tensor, source: str, out: Quantizer,
             attrs: Conv2DAttrs) -> str:
    """Emit a conv_2d; `filters` is kernel.weight in the integer graph's layout [O, KH, KW, C]."""
    weight, bias = low.weight(kernel, low.scale(source), out.name, filters)
    shape = convolved(low, source, filters.shape, attrs)
    return low.node("conv_2d", [source, weight, bias], out, shape, attrs)


def convolved(low: Lowering, source: str, filters: Sequence[int], attrs: Conv2DAttrs) -> tuple[int, int, int, int]:
    """The shape behind a convolution by filters [O, KH, KW, ...]."""
    _, h, w, _ = low.shape(source)
    height, _ = output_length(h, filters[1], attrs.stride[0], attrs.dilation[0], attrs.padding)
    width, _ = output_length(w, filters[2], attrs.stride[1], attrs.dilation[1], attrs.padding)
    return 1, height, width, filters[0]


def conv_attrs(layer: QuantConv | QuantLego | QuantXnor) -> Conv2DAttrs:
    return Conv2DAttrs((1, layer.stride), padding=layer.padding, activation="relu" if layer.relu else "none")


def lower_conv(low: Lowering, layer: QuantConv, source: str) -> str:
    """An individual convolution has height 1, so "same" pads time alone; one over all sensors is valid."""
    attrs = conv_attrs(layer)
    return convolve(low, layer.kernel, layer.kernel.weight.permute(0, 2, 3, 1), source, layer.out, attrs)


def lower_lego(low: Lowering, layer: QuantLego, source: str) -> str:
    """Indices and the scales of the filters that they make in one tensor."""
    attrs = conv_attrs(layer)
    name, input_scale = layer.out.name, low.scale(source)
    scales = layer.scales(input_scale)
    integers = integer_weight(layer.bricks, layer.brick_scale()).permute(0, 2, 3, 1).contiguous()
    bricks = low.graph.constant(f"{name}.bricks", integers.numpy())
    indices = low.constant(f"{name}.indices", layer.indices().to(torch.int16), scales)
    bias = low.constant(f"{name}.bias", integer_bias(layer.bias, scales, input_scale), scales * input_scale)
    return low.node("lego_conv", [source, bricks, indices, bias], layer.out,
                    convolved(low, source, (len(scales), *integers.shape[1:3]), attrs), attrs)


def lower_xnor(low: Lowering, layer: QuantXnor, source: str) -> str:
    """What batch norm in front of the signs does is in the thresholds and in the weights' signs."""
    attrs = conv_attrs(layer)
    name, scales = layer.out.name, layer.scales()
    zero_point = low.graph.tensors[source].zero_point
    thresholds = low.graph.constant(f"{name}.thresholds", layer.thresholds(low.scale(source), zero_point).numpy())
    signs = layer.signs().permute(0, 2, 3, 1)
    weight = low.constant(f"{name}.weight", torch.from_numpy(pack(signs.numpy()).view(np.int32)), scales)
    bias = low.constant(f"{name}.bias", integer_bias(layer.bias, scales, torch.ones(())), scales)
    return low.node("xnor_conv", [source, thresholds, weight, bias], layer.out,
                    convolved(low, source, signs.shape, attrs), attrs)


def lower_residual(low: Lowering, layer: QuantResidual, source: str) -> str:
    y = source
    for conv in (layer.first, layer.second):
        y = LOWERINGS[type(conv)](low, conv, y)
    return low.node("add", [source, y], layer.out, low.shape(y), ElementwiseAttrs("relu"))


def lower_mean(low: Lowering, layer: QuantMean, source: str) -> str:
    return low.node("mean", [source], layer.out, (1, low.shape(source)[3]), MeanAttrs((1, 2)))


def lower_dense(low: Lowering, layer: QuantDense, source: str) -> str:
    """Over the last axis, whatever is in front of it."""
    weight, bias = low.weight(layer.kernel, low.scale(source), layer.out.name)
    shape = low.shape(source)
    attrs = FullyConnectedAttrs(keep_num_dims=len(shape) > 2)
    return low.node("fully_connected", [source, weight, bias], layer.out, (*shape[:-1], len(layer.kernel.weight)),
                    attrs)


def lower_nothing(low: Lowering, layer: QuantDropout | QuantCentres, source: str) -> str:
    return source


def lower_sensor_attention(low: Lowering, layer: QuantSensorAttention, source: str) -> str:
    """[1, S, T, F] to [1, T, S, F]; one little matrix product per time step, without transposing scores."""
    _, s, t, f = low.shape(source)
    x = time_first(low, source, f"{layer.out.name}.input")
    q, k, v = (convolve(low, kernel, kernel.weight[:, None, None, :], x, out, Conv2DAttrs())
               for kernel, out in ((layer.query, layer.q), (layer.key, layer.k), (layer.value, layer.v)))
    scores = low.node("batch_matmul", [k, q], layer.scores, (1, t, s, s), BatchMatMulAttrs(adj_y=True))
    weights = low.node("softmax", [scores], layer.softmax, (1, t, s, s), SoftmaxAttrs())
    mixed = low.node("batch_matmul", [weights, v], layer.mixed, (1, t, s, f), BatchMatMulAttrs())
    return low.node("add", [x, mixed], layer.out, (1, t, s, f), ElementwiseAttrs())


def lower_sensor_fusion(low: Lowering, layer: QuantSensorFusion, source: str) -> str:
    """The dense layer over sensors and filters is a (1, S) convolution; then [1, T, hidden]."""
    _, _, s, f = low.shape(source)
    hidden = len(layer.kernel.weight)
    wide = convolve(low, layer.kernel, layer.kernel.weight.view(hidden, 1, s, f), source, layer.out,
                    Conv2DAttrs(activation="relu"))
    return join_sensors(low, wide, f"{layer.out.name}.steps")


def lower_branches(low: Lowering, layer: QuantBranches, source: str) -> str:
    """Layer by layer in the graph's order; [1, S, T, F] stays [1, S, T, F]."""
    def conv(number: int, of: GraphConv, x: str) -> str:
        return lower_conv(low, layer.conv(number), x)

    def pool(number: int, of: GraphPool, x: str) -> str:
        _, s, t, f = low.shape(x)
        attrs = Pool2DAttrs((1, of.width), (1, of.width))
        return low.move("max_pool_2d", [x], f"{layer.name}.{number}", (1, s, t // of.width, f), attrs)

    def concat(number: int, parts: list[str]) -> str:
        name = layer.name if number > len(layer.graph.layers) else f"{layer.name}.{number}"
        longest = max(low.shape(part)[2] for part in parts)
        padded = [pad_time(low, part, longest, f"{name}.padded{i}") for i, part in enumerate(parts)]
        shape = (1, low.shape(parts[0])[1], longest, sum(low.shape(part)[3] for part in parts))
        return low.move("concatenation", padded, name, shape, ConcatenationAttrs(3))

    return follow(layer.graph, source, conv, pool, concat)


def pad_time(low: Lowering, source: str, length: int, name: str) -> str:
    """[1, S, T, F] to [1, S, length, F] with zeros behind; what is as long already stays."""
    _, s, t, f = low.shape(source)
    if t == length:
        return source
    return low.move("pad", [source], name, (1, s, length, f), PadAttrs((0, 0, 0, 0), (0, 0, length - t, 0)))


def time_first(low: Lowering, source: str, name: str) -> str:
    """[1, S, T, F] to [1, T, S, F]; of one sensor, that moves nothing."""
    _, s, t, f = low.shape(source)
    if s == 1:
        return low.move("reshape", [source], name, (1, t, 1, f), ReshapeAttrs((1, t, 1, f)))
    return low.move("transpose", [source], name, (1, t, s, f), TransposeAttrs((0, 2, 1, 3)))


def join_sensors(low: Lowering, source: str, name: str) -> str:
    """[1, T, S, F] to [1, T, S * F]."""
    _, t, s, f = low.shape(source)
    return low.move("reshape", [source], name, (1, t, s * f), ReshapeAttrs((1, t, s * f)))


def in_a_row(low: Lowering, source: str, name: str) -> str:
    """[1, S, T, F] to [1, S * T * F]."""
    shape = (1, math.prod(low.shape(source)))
    return low.move("reshape", [source], name, shape, ReshapeAttrs(shape))


def take_last_step(low: Lowering, source: str, name: str) -> str:
    """[1, T, H] to [1, H]."""
    shape = low.shape(source)
    return low.move("strided_slice", [source], name, (1, shape[2]), last_step(shape))


def as_it_is(low: Lowering, source: str, name: str) -> str:
    """The graph's input has its sensors in the last axis already."""
    return source


MOVES: dict[type[nn.Module], Callable[[Lowering, str, str], str]] = {
    SensorsAsFilters: as_it_is, TimeFirst: time_first, JoinSensors: join_sensors, Flatten: in_a_row,
    LastStep: take_last_step}


def lower_moved(low: Lowering, layer: QuantMoved, source: str) -> str:
    return MOVES[type(layer.layer)](low, source, layer.name)


def lower_lstm(low: Lowering, layer: QuantLstm, source: str) -> str:
    """[1, T, I] to [1, T, U]. PyTorch and the integer graph keep the gates in the same order."""
    name = layer.out.name
    _, t, _ = low.shape(source)
    units = layer.hidden
    from_input = low.gates(layer.input.weight, layer.input.scales(low.scale(source)), f"{name}.input_to_{{}}_weights")
    state = low.state(f"{name}.output_state", (1, units), qparams(layer.out), DType.INT8)
    from_state = low.gates(layer.recurrent.weight, layer.recurrent.scales(low.scale(state)),
                           f"{name}.recurrent_to_{{}}_weights")
    biases = low.gate_biases(layer.input, source, f"{name}.{{}}_bias")
    cell = low.state(layer.cell.name, (1, units), qparams(layer.cell), DType.INT16)
    return low.node("lstm", [source, *from_input, *from_state, *biases, state, cell], layer.out, (1, t, units),
                    LstmAttrs())


def lower_gru(low: Lowering, layer: QuantGru, source: str) -> str:
    """[1, T, I] to [1, T, U]. PyTorch and the integer graph keep the gates in the same order."""
    name = layer.out.name
    weights, bias = low.weight(layer.input, low.scale(source), f"{name}.input")
    recurrent, recurrent_bias = low.weight(layer.recurrent, layer.out.scale, f"{name}.recurrent")
    between = [qparams(layer.quantizer(part)) for part in INTERMEDIATES]
    attrs = GruAttrs(tuple(q.scale[0] for q in between), tuple(q.zero_point for q in between))
    return low.node("gru", [source, weights, recurrent, bias, recurrent_bias], layer.out,
                    (1, low.shape(source)[1], layer.hidden), attrs)


def weighted_sum(low: Lowering, source: str, scores: str, softmax: Quantizer, out: Quantizer) -> str:
    """[1, T, H] and a score for every step [1, T, 1] to the weighted sum over time [1, 1, H]."""
    _, t, h = low.shape(source)
    row = low.move("reshape", [scores], f"{scores}.row", (1, 1, t), ReshapeAttrs((1, 1, t)))
    weights = low.node("softmax", [row], softmax, (1, 1, t), SoftmaxAttrs())
    return low.node("batch_matmul", [weights, source], out, (1, 1, h), BatchMatMulAttrs())


def flatten(low: Lowering, source: str, name: str) -> str:
    """[1, 1, H] to [1, H]."""
    shape = (1, low.shape(source)[2])
    return low.move("reshape", [source], name, shape, ReshapeAttrs(shape))


def lower_temporal_attention(low: Lowering, layer: QuantTemporalAttention, source: str) -> str:
    """[1, T, H] to [1, H]."""
    context = weighted_sum(low, source, lower_dense(low, layer.fc, source), layer.softmax, layer.out)
    return flatten(low, context, f"{context}.flat")


def lower_temporal_aggregation(low: Lowering, layer: QuantTemporalAggregation, source: str) -> str:
    """[1, T, H] to [1, H]."""
    name = layer.out.name
    _, t, h = low.shape(source)
    squashed = low.node("tanh", [lower_dense(low, layer.fc_1, source)], layer.tanh, (1, t, h))
    context = weighted_sum(low, source, lower_dense(low, layer.fc_2, squashed), layer.softmax, layer.context)
    gamma = low.scalar(f"{name}.gamma", float(layer.gamma.detach()))
    scaled = low.node("mul", [context, gamma], layer.scaled, (1, 1, h), ElementwiseAttrs())
    flat = flatten(low, scaled, f"{name}.flat")
    last = take_last_step(low, source, f"{name}.last")
    return low.node("add", [last, flat], layer.out, (1, h), ElementwiseAttrs())


# A quantised layer to what it becomes. A new layer is one line.
LOWERINGS: dict[type[nn.Module], Callable[[Lowering, Any, str], str]] = {
    QuantConv: lower_conv,
    QuantLego: lower_lego,
    QuantXnor: lower_xnor,
    QuantResidual: lower_residual,
    QuantBranches: lower_branches,
    QuantMean: lower_mean,
    QuantDense: lower_dense,
    QuantDropout: lower_nothing,
    QuantCentres: lower_nothing,
    QuantSensorAttention: lower_sensor_attention,
    QuantSensorFusion: lower_sensor_fusion,
    QuantMoved: lower_moved,
    QuantLstm: lower_lstm,
    QuantGru: lower_gru,
    QuantTemporalAggregation: lower_temporal_aggregation,
    QuantTemporalAttention: lower_temporal_attention,
}
