"""Tiny ONNX graphs that do one thing each: real models for the runtime, and no training needed."""

from collections.abc import Mapping, Sequence

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

from handlers.registry.manifest import Datatype

__all__ = [
    "ONNX_TYPES",
    "affine",
    "count_up",
    "dense",
    "gather",
    "identity",
    "mean_of_rows",
    "rows",
    "sum_and_difference",
]

# Fixed, so that a newer onnx package does not write what the pinned onnxruntime cannot read.
_OPSET = 20
_IR_VERSION = 10

ONNX_TYPES: dict[Datatype, int] = {
    "BOOL": TensorProto.BOOL,
    "UINT8": TensorProto.UINT8,
    "UINT16": TensorProto.UINT16,
    "UINT32": TensorProto.UINT32,
    "UINT64": TensorProto.UINT64,
    "INT8": TensorProto.INT8,
    "INT16": TensorProto.INT16,
    "INT32": TensorProto.INT32,
    "INT64": TensorProto.INT64,
    "FP16": TensorProto.FLOAT16,
    "BF16": TensorProto.BFLOAT16,
    "FP32": TensorProto.FLOAT,
    "FP64": TensorProto.DOUBLE,
    "BYTES": TensorProto.STRING,
}

Axis = int | str
"""A fixed length, or the name of a variable one."""


def affine(scale: float = 2.0, offset: float = 1.0) -> ModelProto:
    """x: float32 [batch, 3] -> y = x * scale + offset, exact in small numbers."""
    constants = {"scale": np.float32(scale), "offset": np.float32(offset)}
    nodes = [helper.make_node("Mul", ["x", "scale"], ["scaled"]), helper.make_node("Add", ["scaled", "offset"], ["y"])]
    return _model(nodes, [_tensor("x", "FP32", ["batch", 3])], [_tensor("y", "FP32", ["batch", 3])], constants)


def identity(datatype: Datatype, shape: Sequence[Axis]) -> ModelProto:
    """x -> y = x, of any datatype and shape."""
    nodes = [helper.make_node("Identity", ["x"], ["y"])]
    return _model(nodes, [_tensor("x", datatype, shape)], [_tensor("y", datatype, shape)], {})


def sum_and_difference() -> ModelProto:
    """a, b: float32 [rows of each, 2] -> sum, difference; fails where neither has as many rows as the other, or one."""
    nodes = [helper.make_node("Add", ["a", "b"], ["sum"]), helper.make_node("Sub", ["a", "b"], ["difference"])]
    inputs = [_tensor("a", "FP32", ["rows_a", 2]), _tensor("b", "FP32", ["rows_b", 2])]
    outputs = [_tensor("sum", "FP32", ["rows", 2]), _tensor("difference", "FP32", ["rows", 2])]
    return _model(nodes, inputs, outputs, {})


def gather(table: Sequence[float]) -> ModelProto:
    """index: int64 [batch] -> value: float32 [batch], the rows of a table, as an embedding looks them up."""
    nodes = [helper.make_node("Gather", ["table", "index"], ["value"])]
    constants = {"table": np.array(table, np.float32)}
    return _model(nodes, [_tensor("index", "INT64", ["batch"])], [_tensor("value", "FP32", ["batch"])], constants)


def rows(table: np.ndarray) -> ModelProto:
    """ids: int64 [batch, sequence] -> logits: float32 [batch, sequence, columns], a row of the table for each id."""
    nodes = [helper.make_node("Gather", ["table", "ids"], ["logits"])]
    outputs = [_tensor("logits", "FP32", ["batch", "sequence", table.shape[1]])]
    return _model(nodes, [_tensor("ids", "INT64", ["batch", "sequence"])], outputs, {"table": table})


def mean_of_rows(table: np.ndarray) -> ModelProto:
    """ids, mask: int64 [batch, sequence] -> mean: float32 [batch, columns], of the rows where the mask is 1."""
    nodes = [
        helper.make_node("Gather", ["table", "ids"], ["found"]),
        helper.make_node("Cast", ["mask"], ["weights"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["weights", "last"], ["each"]),
        helper.make_node("Mul", ["found", "each"], ["counted"]),
        helper.make_node("ReduceSum", ["counted", "middle"], ["sum"], keepdims=0),
        helper.make_node("ReduceSum", ["each", "middle"], ["count"], keepdims=0),
        helper.make_node("Div", ["sum", "count"], ["mean"]),
    ]
    inputs = [_tensor(name, "INT64", ["batch", "sequence"]) for name in ("ids", "mask")]
    constants = {"table": table, "last": np.array([2]), "middle": np.array([1])}
    return _model(nodes, inputs, [_tensor("mean", "FP32", ["batch", table.shape[1]])], constants)


def count_up() -> ModelProto:
    """n: int64 [1] -> y: float32 [1] = n, counted up one by one: takes as long as one likes, in many small steps."""
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["going"], ["going_on"]),
            helper.make_node("Add", ["before", "one"], ["after"]),
        ],
        "step",
        [_tensor("i", "INT64", []), _tensor("going", "BOOL", []), _tensor("before", "FP32", [1])],
        [_tensor("going_on", "BOOL", []), _tensor("after", "FP32", [1])],
    )
    nodes = [
        helper.make_node("Squeeze", ["n"], ["times"]),
        helper.make_node("Loop", ["times", "", "start"], ["y"], body=body),
    ]
    constants = {"one": np.ones(1, np.float32), "start": np.zeros(1, np.float32)}
    return _model(nodes, [_tensor("n", "INT64", [1])], [_tensor("y", "FP32", [1])], constants)


def dense(width: int, layers: int, batch: Axis = "batch") -> ModelProto:
    """x: float32 [batch, width] -> y, each the mean of a row, through weights of 4 * layers * width**2 bytes."""
    names = ["x", *(f"h{i}" for i in range(layers - 1)), "y"]
    nodes = [helper.make_node("MatMul", [names[i], f"w{i}"], [names[i + 1]]) for i in range(layers)]
    constants = {f"w{i}": np.full((width, width), 1 / width, np.float32) for i in range(layers)}
    return _model(nodes, [_tensor("x", "FP32", [batch, width])], [_tensor("y", "FP32", [batch, width])], constants)


def _tensor(name: str, datatype: Datatype, shape: Sequence[Axis]) -> ValueInfoProto:
    return helper.make_tensor_value_info(name, ONNX_TYPES[datatype], shape)


def _model(
    nodes: Sequence[NodeProto],
    inputs: Sequence[ValueInfoProto],
    outputs: Sequence[ValueInfoProto],
    constants: Mapping[str, "np.float32 | np.ndarray"],
) -> ModelProto:
    weights = [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "graph", inputs, outputs, weights)
    opsets = [helper.make_opsetid("", _OPSET)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=_IR_VERSION)
