"""Reads an int8 .tflite into an integer graph: the door for models that were trained elsewhere.

What the file says is taken as it is: integers, scales, layout. Shapes and permutations that TFLite keeps in
tensors become attributes. What harembed does not compute is refused by name; nothing is approximated.
"""

import math
from dataclasses import fields
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from harembed.errors import GraphError
from harembed.export.tflite import TENSOR_TYPES
from harembed.export.tflite_file import Budget, FileNode, FileQuantization, FileTensor, TfliteFile, parse_tflite
from harembed.export.tflite_ops import TFLITE_OPS, FileOperator
from harembed.ir.graph import DType, GraphBuilder, IntGraph, Kind, QParams, TensorSpec
from harembed.ir.ops import OPS

_DTYPES = {number: dtype for dtype, number in TENSOR_TYPES.items()}
_TYPE_NAMES = {number: name for name, number in vars(schema.TensorType).items() if isinstance(number, int)}
_BUILTIN_NAMES = {n: name for name, n in vars(schema.BuiltinOperator).items() if isinstance(n, int)}
_OUR_NAMES = {codec.builtin: name for name, codec in TFLITE_OPS.items()}

MAX_BYTES = 1 << 26  # of a tensor, and of all constants: more than any microcontroller holds
MAX_NAME = 100  # characters of a tensor's name; the rest says nothing to anybody
# What operators raise where a file says what no converter writes; their own checks name the common cases.
_UNFORESEEN = (ArithmeticError, AssertionError, AttributeError, LookupError, TypeError, ValueError)


def read_tflite(data: bytes) -> IntGraph:
    """Parse a model.

    Parameters
    ----------
    data : bytes    a .tflite with one subgraph, int8 activations, batch 1

    Returns
    -------
    IntGraph    checked, its operators prepared once; tensors keep their names, made printable and unique

    Raises
    ------
    GraphError    not a .tflite, damaged, or it uses something unsupported: the message names the operator
    """
    return _Reader(parse_tflite(data, Budget(len(data)))).graph()


class _Reader:
    """Walks one subgraph in the file's order of operators, which is an order of execution."""

    def __init__(self, file: TfliteFile) -> None:
        self.file = file
        self.names = _unique_names(file.tensors)
        self.builder = GraphBuilder(_printable(file.name) or "model")
        self._specs: dict[int, TensorSpec] = {}
        self._constant_bytes = 0

    def graph(self) -> IntGraph:
        inputs = [self._input(i) for i in self.file.inputs]
        for position, node in enumerate(self.file.nodes):
            self._node(position, node)
        outputs = [self._name(i, "the model's outputs") for i in self.file.outputs]
        computed = {name for node in self.builder.nodes for name in node.outputs}
        for name in outputs:
            if name not in computed:
                raise GraphError(f"The model's output {name!r} is computed by no operator.")
        for what, names in (("inputs", inputs), ("outputs", outputs)):
            if not names or len(set(names)) < len(names):
                raise GraphError(f"The model's {what} are {names}: there must be one at least, each once.")
        return self.builder.build(inputs, outputs)

    def _input(self, index: int) -> str:
        spec = self._tensor(index, "the model's inputs")
        if spec.data is not None or spec.kind is Kind.STATE:
            raise GraphError(f"The model's input {spec.name!r} is a {spec.kind.value}: damaged file.")
        if spec.shape[0] != 1:
            raise GraphError(f"The model's input {spec.name!r} has shape {spec.shape}; axis 0, the batch, must be 1.",
                             "Convert the model with batch size 1.")
        self._add(spec, Kind.INPUT)
        return spec.name

    def _node(self, position: int, node: FileNode) -> None:
        builtin = self._builtin(position, node)
        where = f"operator {position} ({builtin})"
        if builtin not in _OUR_NAMES:
            raise GraphError(f"{where} is not supported.", f"Supported: {', '.join(sorted(_OUR_NAMES))}.")
        op = _OUR_NAMES[builtin]
        found = FileOperator(
            where=where, builtin=builtin, options=node.options,
            inputs=tuple(None if i < 0 else self._tensor(i, where) for i in node.inputs),
            outputs=tuple(self._tensor(i, where) for i in node.outputs),
            intermediates=tuple(self._tensor(i, where, intermediate=True) for i in node.intermediates),
        )
        try:
            self._compile(op, found)
        except _UNFORESEEN as error:
            raise GraphError(f"{where} is damaged, or a variant that is not supported: {error!r}.",
                             "Copy or convert the model again.") from error

    def _compile(self, op: str, found: FileOperator) -> None:
        """Turn an operator of the file into a node, and prepare it once to see that it can be computed."""
        node_inputs, attrs = TFLITE_OPS[op].read(found)
        used = {spec.name: spec for spec in found.inputs if spec is not None}
        for wanted in node_inputs:
            if wanted:
                self._add(used[wanted])
        for spec in found.outputs:
            self._add(spec)
        node = self.builder.node(op, node_inputs, [spec.name for spec in found.outputs], attrs)
        so_far = IntGraph(self.builder.name, self.builder.tensors, (), (), ())
        shapes = OPS[op].output_shapes(so_far, node)
        if len(shapes) != len(found.outputs):
            raise GraphError(f"{found.where} has {len(found.outputs)} outputs, it computes {len(shapes)}.")
        _check_shifts(found.where, OPS[op].prepare(so_far, node).params)

    def _builtin(self, position: int, node: FileNode) -> str:
        codes = self.file.builtins
        if not 0 <= node.code < len(codes):
            raise GraphError(f"operator {position} uses code {node.code} of {len(codes)}: damaged file.")
        number, custom = codes[node.code]
        return f"custom {_printable(custom)}" if custom else _BUILTIN_NAMES.get(number, f"builtin {number}")

    def _name(self, index: int, where: str) -> str:
        if not 0 <= index < len(self.names):
            raise GraphError(f"{where}: tensor {index} of {len(self.names)} does not exist: damaged file.")
        return self.names[index]

    def _tensor(self, index: int, where: str, intermediate: bool = False) -> TensorSpec:
        """The tensor of an index; an intermediate only carries a scale and is never part of the graph."""
        name = self._name(index, where)
        if intermediate:
            # One without quantisation keeps the type's default, FLOAT32.
            tensor = self.file.tensors[index]
            return TensorSpec(name, tensor.shape, _DTYPES.get(tensor.type, DType.INT8), Kind.ACTIVATION,
                              _qparams(tensor.quantization, tensor.shape, DType.INT32, f"{where}: tensor {name!r}"))
        if index not in self._specs:
            self._specs[index] = self._spec(self.file.tensors[index], name, f"{where}: tensor {name!r}")
        return self._specs[index]

    def _spec(self, tensor: FileTensor, name: str, what: str) -> TensorSpec:
        if tensor.type not in _DTYPES:
            raise GraphError(f"{what} is {_TYPE_NAMES.get(tensor.type, tensor.type)}, "
                             "only INT8, INT16 and INT32 are supported.",
                             "Convert the model with full int8 quantisation, inputs and outputs included.")
        dtype = _DTYPES[tensor.type]
        if tensor.sparse:
            raise GraphError(f"{what} is stored as a sparse tensor.", "Convert the model without sparsity.")
        if any(d < 1 for d in tensor.shape):
            raise GraphError(f"{what} has shape {tensor.shape}.", "Convert with fixed shapes.")
        content = self._content(tensor, what, dtype)
        qparams = _qparams(tensor.quantization, tensor.shape, dtype, what)
        if content is not None and tensor.is_variable:
            raise GraphError(f"{what} is a variable that holds a constant: damaged file.")
        if content is None:
            _check_activation(what, dtype, tensor.shape, qparams)
        kind = Kind.CONSTANT if content is not None else Kind.STATE if tensor.is_variable else Kind.ACTIVATION
        return TensorSpec(name, tensor.shape, dtype, kind, qparams, content)

    def _content(self, tensor: FileTensor, what: str, dtype: DType) -> np.ndarray | None:
        """The constant that a tensor holds: a view into the file where that is possible."""
        nbytes = _bytes(what, tensor.shape, dtype)
        if not 0 <= tensor.buffer < len(self.file.buffers):
            raise GraphError(f"{what} uses buffer {tensor.buffer} of {len(self.file.buffers)}: damaged file.")
        raw = self.file.buffers[tensor.buffer]
        if len(raw) == 0:
            return None
        if len(raw) != nbytes:
            raise GraphError(f"{what}: the constant holds {len(raw)} bytes, its shape {tensor.shape} of "
                             f"{dtype.value} needs {nbytes}.")
        self._constant_bytes += nbytes
        if self._constant_bytes > MAX_BYTES:
            raise GraphError(f"The model has more than {MAX_BYTES:,} bytes of constants.")
        array = raw.view(dtype.numpy.newbyteorder("<")).astype(dtype.numpy, copy=False).reshape(tensor.shape)
        return np.require(array, requirements="A")

    def _add(self, spec: TensorSpec, kind: Kind | None = None) -> None:
        if spec.name in self.builder.tensors:
            return
        if spec.data is not None:
            self.builder.constant(spec.name, spec.data, spec.qparams)
        else:
            self.builder.tensor(spec.name, spec.shape, spec.dtype, kind or spec.kind, spec.qparams)


def _bytes(what: str, shape: tuple[int, ...], dtype: DType) -> int:
    nbytes = math.prod(shape) * dtype.numpy.itemsize
    if nbytes > MAX_BYTES:
        raise GraphError(f"{what} of shape {shape} takes {nbytes:,} bytes; at most {MAX_BYTES:,} are supported.")
    return nbytes


def _check_activation(what: str, dtype: DType, shape: tuple[int, ...], qparams: QParams | None) -> None:
    """What is computed at run time has a batch, and one scale for the whole tensor."""
    if not shape:
        raise GraphError(f"{what} has no axes; axis 0 must be the batch.", "Keep the dimensions in the model.")
    if dtype is not DType.INT32 and (qparams is None or len(qparams.scale) != 1):
        raise GraphError(f"{what} is {dtype.value} and has {len(qparams.scale) if qparams else 'no'} scales; an "
                         "activation needs one.", "Convert the model with full int8 quantisation.")


def _qparams(table: FileQuantization | None, shape: tuple[int, ...], dtype: DType, what: str) -> QParams | None:
    if table is None:
        return None
    if table.blockwise:
        raise GraphError(f"{what} is quantised by blocks.", "Quantise per tensor or per channel.")
    scales = tuple(table.scale.tolist())
    zero_points = table.zero_point.tolist() or ([0] if dtype is DType.INT32 else [])
    if len(zero_points) not in (1, len(scales)):
        raise GraphError(f"{what} has {len(scales)} scales and {len(zero_points)} zero points: damaged file.")
    if len(scales) == 1:
        limits = np.iinfo(dtype.numpy)
        if not limits.min <= zero_points[0] <= limits.max:
            raise GraphError(f"{what} is {dtype.value} and has zero point {zero_points[0]}: damaged file.")
        return QParams(scales, int(zero_points[0]))
    if any(zero_points):
        raise GraphError(f"{what} has per-channel zero points other than 0.")
    # Older converters give a bias the axis of its depthwise filter.
    axis = 0 if dtype is DType.INT32 and len(shape) == 1 else table.dimension
    if not 0 <= axis < len(shape) or shape[axis] != len(scales):
        raise GraphError(f"{what} of shape {shape} has {len(scales)} scales along axis {axis}.")
    return QParams(scales, 0, axis)


def _check_shifts(where: str, params: Any) -> None:
    """Fixed-point factors must stay within 31 bits to either side: beyond, C's shifts are undefined."""
    for f in fields(params) if params is not None else ():
        if f.name.endswith("shift"):
            shifts = np.asarray(getattr(params, f.name), np.int64)
            if shifts.size and not (-31 <= shifts.min() and shifts.max() <= 31):
                raise GraphError(f"{where} rescales by a factor beyond 2^31 ({f.name} from {shifts.min()} to "
                                 f"{shifts.max()}): its scales cannot be meant.", "Quantise the model again.")


def _unique_names(tensors: tuple[FileTensor, ...]) -> list[str]:
    names: list[str] = []
    taken: set[str] = set()
    for i, tensor in enumerate(tensors):
        # The suffix is taken: the memory plan names the working memory of nodes so.
        name = _printable(tensor.name).removesuffix("#scratch") or f"tensor_{i}"
        # The index makes it unique, unless somebody named another tensor just so.
        while name in taken:
            name = f"{name}#{i}"
        taken.add(name)
        names.append(name)
    return names


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else "_" for c in text[:MAX_NAME])
