"""A second output behind the scores: calibrated probabilities, by TFLite's own SOFTMAX."""

from harembed.errors import GraphError
from harembed.ir.graph import GraphBuilder, IntGraph, QParams
from harembed.ir.ops.softmax import SoftmaxAttrs

CONFIDENCE = "confidence"


def with_confidence(graph: IntGraph, temperature: float) -> IntGraph:
    """Append softmax(scores / temperature), int8 in 256ths (probability = (q + 128) / 256); the scores stay the first
    output.

    Parameters
    ----------
    temperature : of harembed.train.calibration.fit_temperature

    Raises
    ------
    GraphError    the graph has other outputs than the scores of classes
    """
    if len(graph.outputs) != 1 or graph[graph.outputs[0]].elements != len(graph.labels):
        raise GraphError(f"Graph {graph.name!r} has outputs {', '.join(graph.outputs)} and {len(graph.labels)} "
                         "labels; a confidence needs one output with a score for each label.")
    builder = GraphBuilder(graph.name)
    builder.tensors.update(graph.tensors)
    builder.nodes.extend(graph.nodes)
    builder.tensor(CONFIDENCE, graph[graph.outputs[0]].shape, qparams=QParams((1 / 256,), -128))
    builder.node("softmax", graph.outputs, [CONFIDENCE], SoftmaxAttrs(1 / temperature), CONFIDENCE)
    return builder.build(graph.inputs, [*graph.outputs, CONFIDENCE], graph.input_spec, graph.labels)
