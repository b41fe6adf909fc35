"""Two interpreters written by others, which run what we export: TFLM (the truth) and LiteRT's reference kernels.

Neither is needed to export or to run a model; tests and `validate` call them.
"""

import struct
from collections.abc import Sequence
from typing import Any

import numpy as np

from harembed.errors import GraphError

_FIRST_ARENA_BYTES = 1 << 20
_LAST_ARENA_BYTES = 1 << 28
LITERT_REFUSES = "LiteRT refuses the model"


def run_tflm(tflite: bytes, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Run windows one by one in TFLM's host interpreter, states reset before each.

    Parameters
    ----------
    tflite : bytes
    inputs : one array [N, ...] per model input, of its dtype

    Returns
    -------
    list of arrays [N, ...], one per model output

    Raises
    ------
    GraphError    if TFLM cannot prepare or run the model
    """
    interpreter = _tflm_interpreter(tflite)
    windows: list[list[np.ndarray]] = []
    for n in range(len(inputs[0])):
        interpreter.reset()
        for i, array in enumerate(inputs):
            shape = interpreter.get_input_details(i)["shape"]
            interpreter.set_input(np.ascontiguousarray(array[n]).reshape(shape), i)
        try:
            interpreter.invoke()
        except RuntimeError as error:
            raise GraphError(f"TFLM cannot run the model: {error}",
                             "TFLM's own message stands above on the standard error output.") from error
        windows.append([interpreter.get_output(i).copy() for i in range(_outputs(tflite))])
    return [np.concatenate([np.atleast_1d(a) for a in arrays]) for arrays in zip(*windows, strict=True)]


def _tflm_interpreter(tflite: bytes) -> Any:
    """An interpreter in an arena that holds the model. (TFLM complains on the terminal about each that does not.)"""
    from tflite_micro.python.tflite_micro import runtime

    arena_bytes = _FIRST_ARENA_BYTES
    while True:
        try:
            return runtime.Interpreter.from_bytes(tflite, arena_size=arena_bytes)
        except RuntimeError as error:
            arena_bytes *= 4
            if arena_bytes > _LAST_ARENA_BYTES:
                raise GraphError(f"TFLM refuses the model, even with {_LAST_ARENA_BYTES} bytes: {error}",
                                 "TFLM's own message stands above on the standard error output.") from error
        except (struct.error, IndexError, TypeError, ValueError) as error:
            # Its Python part reads tables of the file that have nothing to do with the network.
            raise GraphError(f"TFLM cannot read the model: {error}", "Copy or convert it again.") from error


def _outputs(tflite: bytes) -> int:
    from ai_edge_litert import schema_py_generated as schema

    return int(schema.Model.GetRootAsModel(tflite, 0).Subgraphs(0).OutputsLength())


def run_litert(tflite: bytes, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Run windows one by one in LiteRT with its reference kernels; arguments and result as in run_tflm.

    The default kernels (XNNPACK) round otherwise and are no oracle.

    Raises
    ------
    GraphError    if LiteRT refuses the model; it is stricter than TFLM in places that matter to neither
    """
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    try:
        interpreter = Interpreter(model_content=tflite, num_threads=1,
                                  experimental_op_resolver_type=OpResolverType.BUILTIN_REF)
        interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        raise GraphError(f"{LITERT_REFUSES}: {error}") from error
    input_details, output_details = interpreter.get_input_details(), interpreter.get_output_details()
    windows: list[list[np.ndarray]] = []
    for n in range(len(inputs[0])):
        interpreter.reset_all_variables()
        for detail, array in zip(input_details, inputs, strict=True):
            interpreter.set_tensor(detail["index"], np.ascontiguousarray(array[n]).reshape(detail["shape"]))
        interpreter.invoke()
        windows.append([interpreter.get_tensor(d["index"]) for d in output_details])
    return [np.concatenate([np.atleast_1d(a) for a in arrays]) for arrays in zip(*windows, strict=True)]
