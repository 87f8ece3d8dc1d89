"""Weights in int8 or fp16 that are turned back into fp32 when a session opens: any operator, no integer kernel needed.

int8 is symmetric, with a scale of its own for each channel: q = round(w / s), s = max|w| / 127. In the graph stands
`w = Cast(q) * s` (fp16: `Cast(h)`), of constants alone, which onnxruntime folds as it opens the file: runs take as long
as in fp32, and files are a quarter (a half) of the size. `DequantizeLinear`, made for this, is not folded and would be
computed in every run. Rows of a table are looked up first and turned back then, which keeps the table small in memory.
"""

from collections.abc import Collection
from typing import Literal

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from export.quantize.graph import large_weights

__all__ = ["Storage", "pack_weights"]

Storage = Literal["int8", "fp16"]

_CHANNEL_AXIS = {"MatMul": -1, "Gather": 0}
"""The axis that keeps a scale for each of its entries; elsewhere it is 0, as of `Conv` and of `Gemm` with transB."""

_RECURRENT = {"LSTM", "GRU", "RNN"}
_LARGEST_HALF = float(np.finfo(np.float16).max)


def pack_weights(model: ModelProto, half: Collection[str] = (), only: Collection[str] | None = None) -> None:
    """Replace the large fp32 weights of a model by int8 or fp16 and what turns them back.

    Args:
        model: Changed in place.
        half: Names of the weights that fp16 must hold. Where even fp16 cannot (it ends at 65,504), they stay fp32.
        only: Names of the weights to pack; None: all large ones.
    """
    packed: dict[str, TensorProto] = {}
    added: list[NodeProto] = []
    for name, (tensor, users) in large_weights(model).items():
        if only is not None and name not in only:
            continue
        values = numpy_helper.to_array(tensor)
        largest = float(np.abs(values).max())
        if not np.isfinite(largest) or (name in half and largest > _LARGEST_HALF):
            continue
        if name in half:
            packed[name] = numpy_helper.from_array(values.astype(np.float16), f"{name}_fp16")
            added.append(helper.make_node("Cast", [f"{name}_fp16"], [name], f"{name}_unpack", to=TensorProto.FLOAT))
            continue
        looked_up = [user for user in users if user.op_type == "Gather" and user.input[0] == name and _axis(user) == 0]
        integers, scale = _quantised(values, [*looked_up, *users][0])
        packed[name] = numpy_helper.from_array(integers, f"{name}_int8")
        model.graph.initializer.append(numpy_helper.from_array(scale, f"{name}_scale"))
        for user in looked_up:
            _look_up_first(model, user, name)
        if len(looked_up) < len(users):
            added += _unpack(f"{name}_int8", f"{name}_scale", name)
    kept = [tensor for tensor in model.graph.initializer if tensor.name not in packed]
    del model.graph.initializer[:]
    model.graph.initializer.extend([*kept, *packed.values()])
    nodes = [*added, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def _quantised(values: np.ndarray, user: NodeProto) -> tuple[np.ndarray, np.ndarray]:
    """Return int8 [values' shape] and fp32 scales that broadcast to it."""
    if user.op_type in _RECURRENT:
        kept = {0, 1}  # direction and gate row
    else:
        kept = {_CHANNEL_AXIS.get(user.op_type, 0) % values.ndim}
        if user.op_type == "Gemm" and not _attribute(user, "transB", 0):
            kept = {values.ndim - 1}
    axes = tuple(axis for axis in range(values.ndim) if axis not in kept)
    largest = np.abs(values).max(axis=axes, keepdims=True)
    scale = np.where(largest > 0, largest / 127, 1).astype(np.float32)
    return np.clip(np.rint(values / scale), -127, 127).astype(np.int8), scale


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
        helper.make_node("Gather", [f"{name}_scale", ids], [scales], f"{user.name}_scales", axis=0),
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
