"""Small Keras models, converted by TensorFlow's own converter into the files of tests/files/keras.

    pip install -e '.[tensorflow]' && python tests/keras_models.py FOLDER [NAME ...]

Weights are random, and calibration is noise: only the integers matter here.
"""

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

# The LSTM of Keras 2 is one that the converter knows as a whole.
os.environ.update(TF_USE_LEGACY_KERAS="1", TF_CPP_MIN_LOG_LEVEL="3", TF_ENABLE_ONEDNN_OPTS="0")

import numpy as np
import tensorflow as tf

K, L = tf.keras, tf.keras.layers


def conv1d() -> Any:
    return K.Sequential([
        L.Input((64, 6)), L.Conv1D(8, 5, activation="relu"), L.MaxPool1D(2), L.Conv1D(13, 3, padding="same"),
        L.BatchNormalization(), L.ReLU(), L.GlobalAveragePooling1D(), L.Dense(6, activation="softmax")])


def depthwise_separable() -> Any:
    return K.Sequential([
        L.Input((32, 9, 1)), L.Conv2D(5, (5, 1), padding="same", activation="relu6"),
        L.DepthwiseConv2D((3, 3), depth_multiplier=2, padding="same"), L.BatchNormalization(), L.ReLU(6.0),
        L.SeparableConv2D(12, (3, 3), strides=2, padding="same", activation="relu"), L.GlobalAveragePooling2D(),
        L.Dense(4, activation="softmax")])


def dilated() -> Any:
    return K.Sequential([
        L.Input((48, 6)), L.Conv1D(8, 3, padding="causal", activation="relu"),
        L.Conv1D(8, 3, padding="causal", dilation_rate=4, activation="relu"), L.Flatten(), L.Dense(3)])


def residual() -> Any:
    inputs = L.Input((40, 8))
    y = L.Conv1D(8, 3, padding="same")(L.Conv1D(8, 3, padding="same", activation="relu")(inputs))
    x = L.ReLU()(L.Add()([inputs, y]))
    z = L.Concatenate()([x, y, L.Conv1D(3, 1)(x)])
    z = L.Subtract()([z, L.Conv1D(19, 1)(z)])
    return K.Model(inputs, L.Dense(5)(L.GlobalAveragePooling1D()(z)))


def squeeze_excite() -> Any:
    inputs = L.Input((16, 12, 3))
    x = L.Conv2D(8, 3, padding="same", activation="relu")(inputs)
    s = L.Conv2D(3, 1, activation="relu")(L.GlobalAveragePooling2D(keepdims=True)(x))
    x = L.Multiply()([x, L.Conv2D(8, 1, activation="sigmoid")(s)])
    return K.Model(inputs, L.Dense(4)(L.GlobalMaxPooling2D()(x)))


def hard_swish() -> Any:
    def bend(t: Any) -> Any:
        return t * tf.nn.relu6(t + 3.0) * (1.0 / 6.0)

    inputs = L.Input((32, 6))
    x = L.Lambda(bend)(L.Conv1D(8, 3)(L.Lambda(bend)(L.Conv1D(8, 3)(inputs))))
    return K.Model(inputs, L.Dense(4)(L.Flatten()(x)))


def activations() -> Any:
    return K.Sequential([
        L.Input((32, 6)), L.Conv1D(8, 3), L.LeakyReLU(0.1), L.Conv1D(8, 3), L.PReLU(shared_axes=[1]),
        L.Conv1D(8, 3, activation="tanh"), L.Conv1D(8, 3, activation="sigmoid"), L.ReLU(6.0), L.Flatten(),
        L.Dense(4, activation="softmax")])


def lstm() -> Any:
    return K.Sequential([
        L.Input((24, 6)), L.Conv1D(8, 3, activation="relu"), L.LSTM(11, return_sequences=True), L.LSTM(7),
        L.Dense(5, activation="softmax")])


def bidirectional() -> Any:
    return K.Sequential([L.Input((20, 5)), L.Bidirectional(L.LSTM(6)), L.Dense(5)])


def gru_unrolled() -> Any:
    return K.Sequential([L.Input((4, 6)), L.GRU(7, unroll=True), L.Dense(5)])


def attention() -> Any:
    inputs = L.Input((12, 8))
    x = L.Add()([L.MultiHeadAttention(2, 4)(inputs, inputs), inputs])
    return K.Model(inputs, L.Dense(4)(L.GlobalAveragePooling1D()(x)))


def several_inputs_and_outputs() -> Any:
    inputs = [L.Input((20, 3), name="acceleration"), L.Input((20, 3), name="rotation")]
    x = L.Flatten()(L.Concatenate()([L.Conv1D(4, 3)(i) for i in inputs]))
    return K.Model(inputs, [L.Dense(4, name="activity")(x), L.Dense(1, name="speed")(x)])


def rearranged() -> Any:
    inputs = L.Input((16, 6))
    x = L.Permute((3, 1, 2))(L.Reshape((4, 4, 6))(inputs))
    x = L.Cropping2D(((0, 1), (1, 1)))(L.ZeroPadding2D(((1, 2), (0, 2)))(x))
    x = L.Concatenate(axis=1)(L.Lambda(lambda t: tf.split(t, 2, axis=2))(x))
    return K.Model(inputs, L.Dense(4)(L.Flatten()(x)))


FLOAT_BORDERS = (conv1d, several_inputs_and_outputs)  # the others have int8 inputs and outputs
MODELS: tuple[Callable[[], Any], ...] = (
    conv1d, depthwise_separable, dilated, residual, squeeze_excite, hard_swish, activations, lstm, bidirectional,
    gru_unrolled, attention, several_inputs_and_outputs, rearranged,
)


def convert(build: Callable[[], Any]) -> bytes:
    """Quantise a model fully to int8, with a fixed batch of 1."""
    K.utils.set_random_seed(3)
    rng = np.random.default_rng(3)
    model = build()
    for weight in model.weights:  # no bias and no mean stays 0
        if any(word in weight.name for word in ("bias", "beta", "moving_mean", "alpha")):
            weight.assign(rng.normal(size=weight.shape) * 0.2)
    shapes = [tuple(t.shape[1:]) for t in model.inputs]

    def calibration() -> Iterator[list[np.ndarray]]:
        for _ in range(40):
            yield [rng.normal(size=(1, *s)).astype(np.float32) for s in shapes]

    specs = [tf.TensorSpec((1, *s), tf.float32, name=t.name.split(":")[0])
             for s, t in zip(shapes, model.inputs, strict=True)]
    function = tf.function(lambda *x: model(list(x) if len(x) > 1 else x[0], training=False))
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function.get_concrete_function(*specs)], model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = calibration
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    if build not in FLOAT_BORDERS:
        converter.inference_input_type = converter.inference_output_type = tf.int8
    return converter.convert()


if __name__ == "__main__":
    for wanted in MODELS:
        if len(sys.argv) == 2 or wanted.__name__ in sys.argv[2:]:
            Path(sys.argv[1], f"{wanted.__name__}.tflite").write_bytes(convert(wanted))
