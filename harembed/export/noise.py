"""Signal-to-quantisation-noise by layer: where the integers leave the network that they stand for."""

from dataclasses import dataclass

import numpy as np

from harembed.ir.graph import IntGraph
from harembed.ir.interpreter import Interpreter
from harembed.nn.quant import Mode, Quantizer, set_mode
from harembed.nn.quant_layers import QuantNet
from harembed.space import Network
from harembed.train.loop import normalise

COLLAPSED_DB = 10.0  # below, noise holds a tenth of the signal's power
HIGHEST_DB = 100.0  # reported where integers and floats agree exactly


@dataclass(frozen=True)
class LayerNoise:
    tensor: str
    sqnr_db: float
    hint: str = ""  # what to try, where the layer has collapsed

    @property
    def collapsed(self) -> bool:
        return self.sqnr_db < COLLAPSED_DB


def quantisation_noise(model: QuantNet, graph: IntGraph, raw: np.ndarray, mean: np.ndarray, std: np.ndarray,
                       arch: Network) -> list[LayerNoise]:
    """Compare every activation of the integer graph with the same network's, quantisers off.

    The ratio is 10 log10(sum(f^2) / sum((f - d)^2)) in dB, with f the float activation of `model` in Mode.FLOAT
    (the very weights that were lowered, before rounding) and d the integer activation times its scale. Noise adds
    up from layer to layer, so a figure holds for all that lies before it, too.

    Parameters
    ----------
    model, graph : the network that was lowered, and what it became
    raw : [N, T, C] int16    counts; some hundred windows are enough
    mean, std : [C] float    counts

    Returns
    -------
    list of LayerNoise in the order of computation, the input first
    """
    assert graph.input_spec is not None
    set_mode(model, Mode.FLOAT)
    reference = model.taps(normalise(raw, mean, std, arch.channels))
    set_mode(model, Mode.INT8)
    found: dict[str, float] = {}
    integers = graph.input_spec.quantise(raw)
    names = {q.name for q in model.modules() if isinstance(q, Quantizer)}
    for tensor, values in [(graph.inputs[0], integers), *Interpreter(graph).trace(integers)]:
        if tensor in names and tensor in reference:
            spec = graph[tensor]
            dequantised = (values.astype(np.float64) - spec.zero_point) * spec.scale
            found[tensor] = sqnr_db(reference[tensor].numpy().reshape(dequantised.shape), dequantised)
    return [LayerNoise(tensor, db, _hint(tensor, db, graph)) for tensor, db in found.items()]


def sqnr_db(signal: np.ndarray, approximation: np.ndarray) -> float:
    """10 log10(power of signal / power of the difference), at most HIGHEST_DB and at least -HIGHEST_DB."""
    power = float(np.square(signal, dtype=np.float64).sum())
    noise = float(np.square(signal - approximation, dtype=np.float64).sum())
    ratio = 10 * np.log10(max(power, 1e-300) / max(noise, 1e-300))
    return float(np.clip(ratio, -HIGHEST_DB, HIGHEST_DB))


def _hint(tensor: str, db: float, graph: IntGraph) -> str:
    if db >= COLLAPSED_DB:
        return ""
    ops = {name: node.op for node in graph.nodes for name in node.outputs}
    advice = {
        None: "an outlier in the recordings stretches the range of the input: look for spikes, or drop the channel",
        "softmax": "its 256 steps are fixed: fewer time steps or channels, or the convolutional tail",
        "lstm": "its weights share one scale per gate: fine-tune longer, or make it smaller",
        "gru": "it rounds to int8 at every step: fine-tune longer, make it smaller, or take another tail",
        "conv_2d": "fine-tune longer with quantisation, raise weight decay, or give the layer more filters",
    }
    return f"{tensor}: {db:.1f} dB. Try: " + advice.get(
        ops.get(tensor), "fine-tune longer with quantisation, or give the layers before it more filters") + "."
