"""Which outputs of a model are scores of classes: there the largest one is an answer, and must not change."""

from pathlib import Path

import onnx
from onnx import GraphProto, NodeProto

__all__ = ["class_outputs"]

_KEEPS_ORDER = {
    *("Identity", "Reshape", "Squeeze", "Unsqueeze", "Flatten", "Cast", "Sigmoid", "Add", "Sub", "Mul", "Div", "Clip"),
}
"""What may stand between the last dense layer and the output. Arithmetic counts only with a constant."""


def class_outputs(fp32: Path) -> frozenset[str]:
    """Return the outputs of the model in `fp32` whose last axis holds scores of classes.

    These are the ones that a softmax or a dense layer (`Gemm`, `MatMul` with constant weights) makes. What is
    normalised, pooled or a state is a direction in space: its largest element says nothing. A dense layer that makes
    an embedding cannot be told from one that makes scores, nor can a convolution that makes scores from one that makes
    an image: a source can say `metric="cosine"`, or "agreement".
    """
    graph = onnx.load(fp32, load_external_data=False).graph
    makers = {name: node for node in graph.node for name in node.output}
    constants = _constants(graph)
    ranks = {output.name: len(output.type.tensor_type.shape.dim) for output in graph.output}
    return frozenset(name for name, rank in ranks.items() if _is_scores(name, rank, makers, constants))


def _constants(graph: GraphProto) -> set[str]:
    constants = {tensor.name for tensor in graph.initializer}
    for node in graph.node:  # in topological order: weights may be transposed or cast first
        if node.op_type == "Constant" or (node.input and set(node.input) <= constants):
            constants.update(node.output)
    return constants


def _is_scores(name: str, rank: int, makers: dict[str, NodeProto], constants: set[str]) -> bool:
    while (node := makers.get(name)) is not None:
        if node.op_type in {"Softmax", "LogSoftmax"}:
            axis = next((attribute.i for attribute in node.attribute if attribute.name == "axis"), -1)
            return axis in {-1, rank - 1}
        variable = [given for given in node.input if given and given not in constants]
        if node.op_type in {"Gemm", "MatMul"}:
            return len(variable) == 1
        if node.op_type not in _KEEPS_ORDER or len(variable) != 1:
            return False
        name = variable[0]
    return False
