"""Reads an int8 .tflite into an integer graph: the door for models that were trained elsewhere.

What the file says is taken as it is: integers, scales, layout. Shapes and permutations that TFLite keeps in
tensors become attributes. What harembed does not compute is refused by name; nothing is approximated.
The graph's inputs and outputs are int8: what stands before and behind is left out (tflite_borders.py).
"""

import itertools
import math
from collections.abc import Iterator
from dataclasses import fields
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from harembed.errors import GraphError
from harembed.export.tflite import TENSOR_TYPES
from harembed.export.tflite_borders import FileStep, core_of
from harembed.export.tflite_file import Budget, FileNode, FileQuantization, FileTensor, TfliteFile, parse_tflite
from harembed.export.tflite_ops import FileOperator, Step, batched
from harembed.export.tflite_ops.foreign import HINTS, READABLE, SEVERAL_OUTPUTS, steps_of
from harembed.ir.graph import DType, GraphBuilder, IntGraph, Kind, QParams, TensorSpec
from harembed.ir.ops import OPS

_DTYPES = {number: dtype for dtype, number in TENSOR_TYPES.items()}
_TYPE_NAMES = {number: name for name, number in vars(schema.TensorType).items() if isinstance(number, int)}
_BUILTIN_NAMES = {n: name for name, n in vars(schema.BuiltinOperator).items() if isinstance(n, int)}

MAX_BYTES = 1 << 26  # of a tensor, and of all constants: more than any microcontroller holds
MAX_RANK = 8  # of a tensor; kernels take less
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
        self.taken = set(self.names)
        self.builtins = [self._builtin(position, node) for position, node in enumerate(file.nodes)]
        self.builder = GraphBuilder(_printable(file.name) or "model")
        self._specs: dict[int, TensorSpec] = {}
        self._counts: dict[str, Iterator[int]] = {}  # of fresh names, by what they are like
        self._fresh_names: set[str] = set()
        self._constant_bytes = 0

    def graph(self) -> IntGraph:
        steps = [FileStep(builtin, node.inputs, node.outputs)
                 for builtin, node in zip(self.builtins, self.file.nodes, strict=True)]
        core = core_of(steps, self.file.inputs, self.file.outputs, self._type, self._is_shape)
        inputs = [self._input(i) for i in core.inputs]
        for position, node in enumerate(self.file.nodes):
            if position not in core.left_out:
                self._node(f"operator {position} ({self.builtins[position]})", self.builtins[position], node)
        outputs = [self._name(i, "the model's outputs") for i in core.outputs]
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
        self._add(batched(spec), Kind.INPUT)
        return spec.name

    def _node(self, where: str, builtin: str, node: FileNode) -> None:
        if builtin not in READABLE:
            raise GraphError(f"{where} is not supported.", HINTS.get(builtin) or f"Supported: {', '.join(READABLE)}.")
        found = FileOperator(
            where=where, builtin=builtin, options=node.options,
            inputs=tuple(None if i < 0 else self._tensor(i, where) for i in node.inputs),
            outputs=tuple(self._tensor(i, where) for i in node.outputs),
            intermediates=tuple(self._tensor(i, where, intermediate=True) for i in node.intermediates),
            fresh=self._fresh,
        )
        if not found.outputs or (len(found.outputs) > 1 and builtin not in SEVERAL_OUTPUTS):
            raise GraphError(f"{where} has {len(found.outputs)} outputs, expected 1: damaged file.")
        try:
            for step in steps_of(builtin, found):
                self._compile(where, step)
        except _UNFORESEEN as error:
            raise GraphError(f"{where} is damaged, or a variant that is not supported: {error!r}.",
                             "Copy or convert the model again.") from error

    def _compile(self, where: str, step: Step) -> None:
        """Add a node, and prepare it once to see that it can be computed."""
        if all(spec is None or spec.data is not None for spec in step.inputs):
            raise GraphError(f"{where}: all its inputs are constants.", "Convert the model again: it folds them.")
        for spec in step.inputs:
            if spec is not None:
                self._add(spec)
        self._add(step.output)
        node = self.builder.node(step.op, [spec.name if spec else "" for spec in step.inputs], [step.output.name],
                                 step.attrs)
        so_far = IntGraph(self.builder.name, self.builder.tensors, (), (), ())
        shapes = OPS[step.op].output_shapes(so_far, node)
        if len(shapes) != 1:
            raise GraphError(f"{where} has one output, it computes {len(shapes)}.")
        _check_shifts(where, OPS[step.op].prepare(so_far, node).params)

    def _fresh(self, like: str) -> str:
        """A name that no tensor has yet."""
        numbers = self._counts.setdefault(like, itertools.count(1))
        name = next(n for k in numbers if (n := f"{like}#{k}") not in self.taken)
        self.taken.add(name)
        self._fresh_names.add(name)
        return name

    def _type(self, index: int) -> int:
        """A tensor's type in the schema's numbers, -1 where there is no such tensor."""
        return self.file.tensors[index].type if 0 <= index < len(self.names) else -1

    def _is_shape(self, index: int) -> bool:
        """Whether a tensor is int32 without a scale."""
        return self._type(index) == schema.TensorType.INT32 and self.file.tensors[index].quantization is None

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
        dtype = _DTYPES.get(tensor.type)
        if tensor.type == schema.TensorType.INT64 and tensor.quantization is None and self._has_data(tensor):
            dtype = DType.INT32  # axes and sizes; no number of them is that large
        if dtype is None:
            raise GraphError(f"{what} is {_TYPE_NAMES.get(tensor.type, tensor.type)}, "
                             "only INT8, INT16 and INT32 are supported.",
                             "Convert the model with full int8 quantisation, inputs and outputs included.")
        if tensor.sparse:
            raise GraphError(f"{what} is stored as a sparse tensor.", "Convert the model without sparsity.")
        if len(tensor.shape) > MAX_RANK:
            raise GraphError(f"{what} has {len(tensor.shape)} axes; at most {MAX_RANK} are supported.")
        if any(d < 1 for d in tensor.shape):
            raise GraphError(f"{what} has shape {tensor.shape}.", "Convert with fixed shapes.")
        content = self._content(tensor, what, dtype)
        qparams = _qparams(tensor.quantization, tensor.shape, dtype, what)
        if content is not None and tensor.is_variable:
            raise GraphError(f"{what} is a variable that holds a constant: damaged file.")
        if content is None:
            _check_activation(what, dtype, qparams)
        kind = Kind.CONSTANT if content is not None else Kind.STATE if tensor.is_variable else Kind.ACTIVATION
        return TensorSpec(name, tensor.shape, dtype, kind, qparams, content)

    def _has_data(self, tensor: FileTensor) -> bool:
        return 0 <= tensor.buffer < len(self.file.buffers) and len(self.file.buffers[tensor.buffer]) > 0

    def _content(self, tensor: FileTensor, what: str, dtype: DType) -> np.ndarray | None:
        """The constant that a tensor holds: a view into the file where that is possible."""
        held = np.dtype("<i8") if tensor.type == schema.TensorType.INT64 else dtype.numpy.newbyteorder("<")
        nbytes = _bytes(what, tensor.shape, held)
        if not 0 <= tensor.buffer < len(self.file.buffers):
            raise GraphError(f"{what} uses buffer {tensor.buffer} of {len(self.file.buffers)}: damaged file.")
        raw = self.file.buffers[tensor.buffer]
        if len(raw) == 0:
            return None
        if len(raw) != nbytes:
            raise GraphError(f"{what}: the constant holds {len(raw)} bytes, its shape {tensor.shape} of "
                             f"{held.name} needs {nbytes}.")
        self._count(nbytes)
        stored = raw.view(held)
        if held.itemsize == 8 and np.any(stored != stored.astype(np.int32)):
            raise GraphError(f"{what}: the constant holds numbers beyond 32 bits.")
        array = stored.astype(dtype.numpy, copy=False).reshape(tensor.shape)
        return np.require(array, requirements="A")

    def _count(self, nbytes: int) -> None:
        self._constant_bytes += nbytes
        if self._constant_bytes > MAX_BYTES:
            raise GraphError(f"The model has more than {MAX_BYTES:,} bytes of constants.")

    def _add(self, spec: TensorSpec, kind: Kind | None = None) -> None:
        if spec.name in self.builder.tensors:
            return
        if spec.data is not None:
            if spec.name in self._fresh_names:
                self._count(spec.nbytes)  # another view of the same bytes is written out as another constant
            self.builder.constant(spec.name, spec.data, spec.qparams)
        else:
            self.builder.tensor(spec.name, spec.shape, spec.dtype, kind or spec.kind, spec.qparams)


def _bytes(what: str, shape: tuple[int, ...], held: np.dtype) -> int:
    nbytes = math.prod(shape) * held.itemsize
    if nbytes > MAX_BYTES:
        raise GraphError(f"{what} of shape {shape} takes {nbytes:,} bytes; at most {MAX_BYTES:,} are supported.")
    return nbytes


def _check_activation(what: str, dtype: DType, qparams: QParams | None) -> None:
    """What is computed at run time has one scale for the whole tensor."""
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
