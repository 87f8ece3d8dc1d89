"""Models that compute in int8, by onnxruntime's quantiser: weights with 7 bits, so that no CPU saturates.

Without VNNI, x86 kernels multiply u8 by s8 and add pairs of products in 16 bits, where 2 * 255 * 127 does not fit; with
`reduce_range` weights stay within +-64 and it does (onnxruntime documentation, "Quantize ONNX models", "When and why do
I need to try reduce_range"). One file is then right on every kind of CPU.
"""

from collections.abc import Collection

from onnx import ModelProto
from onnxruntime.quantization.calibrate import TensorsData
from onnxruntime.quantization.onnx_quantizer import ONNXQuantizer
from onnxruntime.quantization.qdq_quantizer import QDQQuantizer
from onnxruntime.quantization.quant_utils import QuantizationMode, QuantType

from export.quantize.graph import DYNAMIC_OPERATORS, STATIC_OPERATORS, copied

__all__ = ["dynamic_nodes", "quantize_dynamically", "quantize_statically", "static_nodes"]

_FOLLOWERS = {
    *("Relu", "Clip", "MaxPool", "AveragePool", "Reshape", "Transpose", "Squeeze", "Unsqueeze", "Flatten"),
    *("Slice", "Pad", "Split", "Resize"),
}
"""Quantised only where what they take is: nothing to decide on."""


def dynamic_nodes(model: ModelProto) -> list[str]:
    """Return the nodes, in the graph's order, that can be computed in int8 with ranges taken as they run."""
    constants = {tensor.name for tensor in model.graph.initializer}
    return [node.name for node in model.graph.node if node.op_type in DYNAMIC_OPERATORS and node.input[1] in constants]


def static_nodes(model: ModelProto) -> list[str]:
    """Return the nodes, in the graph's order, that can be computed in int8 with ranges taken beforehand."""
    operators = set(STATIC_OPERATORS) - _FOLLOWERS
    return [node.name for node in model.graph.node if node.op_type in operators]


def quantize_dynamically(model: ModelProto, nodes: Collection[str]) -> ModelProto:
    """Return a copy of `model` in which `nodes` are computed in int8, activations quantised while it runs."""
    if not nodes:
        return copied(model)
    quantizer = ONNXQuantizer(
        copied(model),
        True,  # noqa: FBT003 - per channel; the quantiser's own signature, by position
        True,  # noqa: FBT003 - reduce_range
        QuantizationMode.IntegerOps,
        False,  # noqa: FBT003 - not static
        QuantType.QInt8,
        QuantType.QUInt8,
        None,
        list(nodes),
        [],
        list(DYNAMIC_OPERATORS),
        {"MatMulConstBOnly": True},
    )
    quantizer.quantize_model()
    return _sorted(quantizer)


def quantize_statically(model: ModelProto, nodes: Collection[str], ranges: TensorsData) -> ModelProto:
    """Return a copy of `model` in which `nodes` are computed in int8, activations (uint8) quantised by `ranges`."""
    if not nodes:
        return copied(model)
    quantizer = QDQQuantizer(
        copied(model),
        True,  # noqa: FBT003 - per channel; the quantiser's own signature, by position
        True,  # noqa: FBT003 - reduce_range
        QuantType.QInt8,
        QuantType.QUInt8,
        ranges,
        [],
        sorted(set(static_nodes(model)) - set(nodes)),
        list(STATIC_OPERATORS),
        {},
    )
    quantizer.quantize_model()
    return _sorted(quantizer)


def _sorted(quantizer: QDQQuantizer | ONNXQuantizer) -> ModelProto:
    quantizer.model.topological_sort()
    result: ModelProto = quantizer.model.model
    return result
