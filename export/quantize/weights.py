"""Weights in int8 or fp16 that are turned back into fp32 when a session opens: any operator, no integer kernel needed.

int8 is symmetric, with a scale of its own for each channel: q = round(w / s), s = max|w| / 127. In the graph stands
`w = Cast(q) * s` (fp16: `Cast(h)`), of constants alone, which onnxruntime folds as it opens the file: runs take as long
as in fp32, and files are a quarter (a half) of the size. `DequantizeLinear`, made for this, is not folded and would be
computed in every run. Rows of a table are looked up first and turned back then, which keeps the table small in memory.
"""

from collections.abc import Collection

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from export.quantize.graph import large_weights

__all__ = ["fits_half", "pack_weights"]

_CHANNEL_AXIS = {
    ("MatMul", 0): -2,
    ("MatMul", 1): -1,
    ("Conv", 1): 0,
    ("ConvTranspose", 1): 1,
    ("Gather", 0): 0,
}
"""The axis that keeps a scale for each of its entries, by operator and input."""

_RECURRENT = {"LSTM", "GRU", "RNN"}
_WORTH = 0.5  # of the size in fp32: scales that take up as much as the weights gain nothing
_HALF_ERROR = 1e-3  # relative: fp16 has 11 binary digits, unless weights are too large or too small for it


def pack_weights(model: ModelProto, half: Collection[str] = (), only: Collection[str] | None = None) -> None:
    """Replace the large fp32 weights of a model by int8 or fp16 and what turns them back.

    Args:
        model: Changed in place.
        half: Names of the weights that fp16 must hold. Those that not even fp16 can hold stay fp32.
        only: Names of the weights to pack; None: all large ones.
    """
    packed: dict[str, TensorProto] = {}
    added: list[NodeProto] = []
    for name, (tensor, users) in large_weights(model).items():
        if only is not None and name not in only:
            continue
        values = numpy_helper.to_array(tensor)
        if not np.isfinite(values).all() or (name in half and not fits_half(values)):
            continue
        if name in half:
            packed[name] = numpy_helper.from_array(values.astype(np.float16), f"{name}_fp16")
            added.append(helper.make_node("Cast", [f"{name}_fp16"], [name], f"{name}_unpack", to=TensorProto.FLOAT))
            continue
        looked_up = [user for user in users if user.op_type == "Gather" and user.input[0] == name and _axis(user) == 0]
        integers, scale = _quantised(values, name, [*looked_up, *users][0])
        if integers.nbytes + scale.nbytes > _WORTH * values.nbytes:
            continue
        packed[name] = numpy_helper.from_array(integers, f"{name}_int8")
        model.graph.initializer.append(numpy_helper.from_array(scale, f"{name}_unit"))
        for user in looked_up:
            _look_up_first(model, user, name)
        if len(looked_up) < len(users):
            added += _unpack(f"{name}_int8", f"{name}_unit", name)
    kept = [tensor for tensor in model.graph.initializer if tensor.name not in packed]
    del model.graph.initializer[:]
    model.graph.initializer.extend([*kept, *packed.values()])
    nodes = [*added, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def fits_half(values: np.ndarray) -> bool:
    """Tell whether fp16 holds weights with ten digits, neither too large (65,504) nor too small for it."""
    with np.errstate(over="ignore"):
        half = values.astype(np.float16).astype(np.float32)
    return bool(np.linalg.norm(half - values) <= _HALF_ERROR * np.linalg.norm(values))


def _quantised(values: np.ndarray, name: str, user: NodeProto) -> tuple[np.ndarray, np.ndarray]:
    """Return int8 [values' shape] and fp32 scales that broadcast to it."""
    kept = _channels(values, user, list(user.input).index(name))
    axes = tuple(axis for axis in range(values.ndim) if axis not in kept)
    largest = np.abs(values).max(axis=axes, keepdims=True)
    scale = np.where(largest > 0, largest / 127, 1).astype(np.float32)
    return np.clip(np.rint(values / scale), -127, 127).astype(np.int8), scale


def _channels(values: np.ndarray, user: NodeProto, place: int) -> set[int]:
    """Return the axes that keep a scale for each of their entries."""
    if user.op_type in _RECURRENT:
        return {0, 1}  # direction and row of a gate
    if user.op_type == "Gemm":
        transposed = _attribute(user, "transB" if place else "transA", 0)
        return {0 if bool(place) == bool(transposed) else 1}
    axis = _CHANNEL_AXIS.get((user.op_type, place))
    if axis is None:  # a table that is added, say: its longest axis but the last
        axis = int(np.argmax(values.shape[:-1]))
    return {axis % values.ndim}


def _unpack(integers: str, scale: str, target: str) -> list[NodeProto]:
    cast = f"{target}_cast"
    return [
        helper.make_node("Cast", [integers], [cast], f"{target}_unpack", to=TensorProto.FLOAT),
        helper.make_node("Mul", [cast, scale], [target], f"{target}_scaled"),
    ]


def _look_up_first(model: ModelProto, user: NodeProto, name: str) -> None:
    """Let a `Gather` of rows take int8 rows and their scales, and turn only them back."""
    target, ids = user.output[0], user.input[1]
    rows, scales = f"{target}_rows", f"{target}_scales"
    nodes = [
        helper.make_node("Gather", [f"{name}_int8", ids], [rows], f"{user.name}_rows", axis=0),
        helper.make_node("Gather", [f"{name}_unit", ids], [scales], f"{user.name}_scales", axis=0),
        *_unpack(rows, scales, target),
    ]
    place = next(i for i, node in enumerate(model.graph.node) if node is user or node.name == user.name)
    del model.graph.node[place]
    for offset, node in enumerate(nodes):
        model.graph.node.insert(place + offset, node)


def _axis(node: NodeProto) -> int:
    return _attribute(node, "axis", 0)


def _attribute(node: NodeProto, name: str, default: int) -> int:
    return next((int(attribute.i) for attribute in node.attribute if attribute.name == name), default)
