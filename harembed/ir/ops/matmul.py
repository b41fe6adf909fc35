"""batch_matmul: TFLite's BATCH_MATMUL on int8.

inputs: lhs [..., M, K] (or [..., K, M] with adj_x), rhs [..., K, N] (or [..., N, K] with adj_y), int8, rank 2 to 5;
    leading axes broadcast; either may be a constant
output: [..., M, N] int8

An operand that is not a constant has the rank of the output and keeps the batch as axis 0: rank 3 at least, or
rank 2 for a plain lhs of one row beside a constant rhs.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from harembed.errors import GraphError
from harembed.ir.fixedpoint import quantize_multiplier, requantize
from harembed.ir.graph import DType, GraphBuilder, IntGraph, Kind, Node, QParams, TensorSpec
from harembed.ir.ops.base import Case, DspForm, Goal, Op, Prepared
from harembed.ir.ops.matmul_dsp import matmul_dsp, matmul_scratch_bytes

BATCH_RANK = 3  # leading axes in C; shorter shapes get ones in front


@dataclass(frozen=True)
class BatchMatMulAttrs:
    adj_x: bool = False  # lhs is stored transposed
    adj_y: bool = False  # rhs is stored transposed


@dataclass(frozen=True, eq=False)
class BatchMatMulParams:
    batch: tuple[int, ...]  # [3] leading axes of the output
    lhs_stride: tuple[int, ...]  # [3] elements between neighbours along each leading axis; 0 repeats
    rhs_stride: tuple[int, ...]
    rows: int  # M
    columns: int  # N
    depth: int  # K
    lhs_row_stride: int  # elements between lhs rows, and between their terms
    lhs_depth_stride: int
    rhs_column_stride: int
    rhs_depth_stride: int
    lhs_zero_point: int
    rhs_zero_point: int
    output_zero_point: int
    multiplier: int  # Q0.31
    shift: int


def _matrix(t: TensorSpec, transposed: bool) -> tuple[int, int]:
    return (t.shape[-1], t.shape[-2]) if transposed else (t.shape[-2], t.shape[-1])


def _batch_strides(shape: tuple[int, ...]) -> tuple[int, ...]:
    leading = (1,) * (BATCH_RANK - len(shape[:-2])) + shape[:-2]
    sizes = [int(np.prod((*leading[i + 1 :], *shape[-2:]), dtype=np.int64)) for i in range(BATCH_RANK)]
    return tuple(0 if n == 1 else s for n, s in zip(leading, sizes, strict=True))


class BatchMatMul(Op):
    name = "batch_matmul"
    Attrs = BatchMatMulAttrs

    def output_shapes(self, graph: IntGraph, node: Node) -> list[tuple[int, ...]]:
        lhs, rhs = (graph[name] for name in node.inputs)
        where = f"Node {node.name!r}: batch_matmul"
        for t in (lhs, rhs, graph[node.outputs[0]]):
            if t.dtype is not DType.INT8 or not 2 <= len(t.shape) <= BATCH_RANK + 2:
                raise GraphError(f"{where} needs int8 of rank 2 to {BATCH_RANK + 2}, {t.name!r} is {t.dtype.value} "
                                 f"{t.shape}.")
        (m, k), (k2, n) = _matrix(lhs, node.attrs.adj_x), _matrix(rhs, node.attrs.adj_y)
        try:
            batch = np.broadcast_shapes(lhs.shape[:-2], rhs.shape[:-2])
        except ValueError:
            batch = None
        if k != k2 or batch is None:
            raise GraphError(f"{where} cannot multiply {lhs.shape} by {rhs.shape} with adj_x={node.attrs.adj_x}, "
                             f"adj_y={node.attrs.adj_y}.")
        one_row = len(lhs.shape) == 2 and m == 1 and not node.attrs.adj_x and rhs.kind is Kind.CONSTANT
        for t in (lhs, rhs):
            if t.kind is Kind.CONSTANT or (t is lhs and one_row):
                continue
            if len(t.shape) < 3 or len(t.shape) != len(batch) + 2 or t.shape[0] != 1:
                raise GraphError(f"{where}: {t.name!r} {t.shape} must have the rank of the output and batch 1 as "
                                 "axis 0.", "Reshape it before.")
        return [(*batch, m, n)]

    def prepare(self, graph: IntGraph, node: Node) -> Prepared:
        lhs, rhs = (graph[name] for name in node.inputs)
        y = graph[node.outputs[0]]
        a = node.attrs
        rows, depth = _matrix(lhs, a.adj_x)
        columns = _matrix(rhs, a.adj_y)[1]
        multiplier, shift = quantize_multiplier(lhs.scale * rhs.scale / y.scale)
        params = BatchMatMulParams(
            batch=(1,) * (BATCH_RANK + 2 - len(y.shape)) + y.shape[:-2], lhs_stride=_batch_strides(lhs.shape),
            rhs_stride=_batch_strides(rhs.shape), rows=rows, columns=columns, depth=depth,
            lhs_row_stride=1 if a.adj_x else depth, lhs_depth_stride=rows if a.adj_x else 1,
            rhs_column_stride=depth if a.adj_y else 1, rhs_depth_stride=1 if a.adj_y else columns,
            lhs_zero_point=lhs.zero_point, rhs_zero_point=rhs.zero_point, output_zero_point=y.zero_point,
            multiplier=multiplier, shift=shift,
        )
        return Prepared("he_batch_matmul_s8", params)

    def dsp_scratch_bytes(self, graph: IntGraph, node: Node) -> int:
        p = self.prepare(graph, node).params
        return 0 if matmul_dsp(p, "size") is None else matmul_scratch_bytes(p.rows, p.columns, p.depth)

    def dsp(self, graph: IntGraph, node: Node, goal: Goal) -> DspForm | None:
        return matmul_dsp(self.prepare(graph, node).params, goal)

    def reference(self, params: BatchMatMulParams, inputs: Sequence[np.ndarray | None]) -> list[np.ndarray]:
        lhs, rhs = inputs
        assert lhs is not None and rhs is not None
        p = params
        # Sums of products of 9-bit integers are exact in float64.
        a = lhs.astype(np.float64) - p.lhs_zero_point
        b = rhs.astype(np.float64) - p.rhs_zero_point
        a = a if p.lhs_depth_stride == 1 and a.shape[-1] == p.depth else a.swapaxes(-1, -2)
        b = b if p.rhs_depth_stride == p.columns and b.shape[-1] == p.columns else b.swapaxes(-1, -2)
        return [requantize((a @ b).astype(np.int64), p.multiplier, p.shift, p.output_zero_point, -128, 127)]

    def macs(self, graph: IntGraph, node: Node) -> int:
        return graph[node.outputs[0]].elements * _matrix(graph[node.inputs[0]], node.attrs.adj_x)[1]

    def weights(self, node: Node) -> tuple[str, ...]:
        return node.inputs

    @staticmethod
    def case(name: str, lhs: tuple[int, ...], rhs: tuple[int, ...], adj_x: bool = False, adj_y: bool = False,
             scales: tuple[float, float, float] = (0.05, 0.03, 0.2), zero_points: tuple[int, int, int] = (-3, 5, 7),
             constant: bool = False) -> Case:
        """A one-node graph; scales and zero_points are those of lhs, rhs and output."""

        def build(rng: np.random.Generator) -> IntGraph:
            g = GraphBuilder(f"batch_matmul_{name}")
            qparams = [QParams((s,), z) for s, z in zip(scales, zero_points, strict=True)]
            inputs = [g.tensor("lhs", lhs, kind=Kind.INPUT, qparams=qparams[0])]
            if constant:
                g.constant("rhs", rng.integers(-128, 128, rhs).astype(np.int8), qparams[1])
            else:
                inputs.append(g.tensor("rhs", rhs, kind=Kind.INPUT, qparams=qparams[1]))
            rows = lhs[-1] if adj_x else lhs[-2]
            columns = rhs[-2] if adj_y else rhs[-1]
            g.tensor("output", (*np.broadcast_shapes(lhs[:-2], rhs[:-2]), rows, columns), qparams=qparams[2])
            g.node("batch_matmul", ["lhs", "rhs"], ["output"], BatchMatMulAttrs(adj_x, adj_y))
            return g.build(inputs, ["output"])

        return Case(name, build)


BatchMatMul.CASES = (
    BatchMatMul.case("attention_scores", (1, 9, 8), (1, 9, 8), adj_y=True),
    BatchMatMul.case("attention_values", (1, 9, 9), (1, 9, 8)),
    BatchMatMul.case("transposed_lhs", (1, 5, 3), (1, 5, 7), adj_x=True),
    BatchMatMul.case("transposed_both", (1, 5, 3), (1, 7, 5), adj_x=True, adj_y=True),
    BatchMatMul.case("batched_rank_4", (1, 4, 3, 5), (1, 4, 5, 6)),
    BatchMatMul.case("broadcast_rhs", (1, 4, 3, 5), (1, 1, 5, 6)),
    BatchMatMul.case("broadcast_lhs", (1, 1, 3, 5), (1, 4, 5, 6)),
    BatchMatMul.case("broadcast_rhs_transposed", (1, 4, 3, 5), (1, 1, 6, 5), adj_y=True),
    BatchMatMul.case("broadcast_lhs_transposed", (1, 1, 5, 3), (1, 4, 5, 6), adj_x=True),
    BatchMatMul.case("rank_5", (1, 2, 3, 4, 5), (1, 2, 3, 5, 2)),
    BatchMatMul.case("constant_weights", (1, 6, 5), (5, 7), constant=True),
    BatchMatMul.case("constant_one_row", (1, 5), (5, 7), constant=True),
    BatchMatMul.case("length_one", (1, 1, 1), (1, 1, 1)),
    BatchMatMul.case("one_row_one_column", (1, 6, 1), (1, 1, 6), adj_x=True, adj_y=True),
    BatchMatMul.case("saturating", (1, 5, 20), (1, 20, 5), scales=(0.5, 0.5, 1.0)),
    BatchMatMul.case("zero_points_extreme", (1, 5, 20), (1, 20, 5), scales=(0.05, 0.03, 6.0),
                     zero_points=(-128, -128, -128)),
    BatchMatMul.case("zero_points_extreme_2", (1, 5, 20), (1, 20, 5), scales=(0.05, 0.03, 6.0),
                     zero_points=(127, -128, 127)),
)
