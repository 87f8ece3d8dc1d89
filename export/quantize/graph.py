"""Graphs of ONNX as the quantisers see them: prepared once, and then only copied."""

import contextlib
import io
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper
from onnxruntime.quantization.onnx_model import ONNXModel
from onnxruntime.quantization.quant_utils import QuantType, add_infer_metadata, update_opset_version
from onnxruntime.quantization.registry import QDQRegistry, QLinearOpsRegistry
from onnxruntime.quantization.shape_inference import quant_pre_process

from export.quantize.fusions import write_fused

__all__ = [
    "DYNAMIC_OPERATORS",
    "STATIC_OPERATORS",
    "Prepared",
    "copied",
    "large_weights",
    "merge_equal",
    "prepare",
    "tie_transposed",
    "untied",
    "with_products",
]

LEAST_VALUES = 1024
"""Weights with fewer values stay as they are: a few kilobytes are all that there is to gain."""

DYNAMIC_OPERATORS = ("MatMul", "LSTM")
"""What onnxruntime has integer kernels for that measure the range of their input as they run, and that pay on CPUs.
The one for convolutions is slower than float (measured: five times, on EfficientNet-Lite0)."""

_WITH_WEIGHTS = {"Conv", "ConvTranspose", "Gemm", "MatMul", "LSTM"}

_NO_GAIN = {
    *("LayerNormalization", "InstanceNormalization", "BatchNormalization", "ConvTranspose"),
    *("EmbedLayerNormalization", "TopK", "CumSum", "ArgMax"),
    *("Gather", "GatherElements"),  # `export.quantize.weights` keeps a scale for each row
}
STATIC_OPERATORS = tuple(sorted({*QLinearOpsRegistry, *QDQRegistry} - _NO_GAIN))
"""What onnxruntime's quantiser surrounds with QDQ pairs, less what has no integer kernel on CPUs or gains nothing."""


@dataclass(frozen=True)
class Prepared:
    """An fp32 model that is ready to be quantised.

    Attributes:
        model: Constants folded, shapes inferred, every node named. Not to be changed: copy it.
        fused: How many operators of each kind were fused.
    """

    model: ModelProto
    fused: dict[str, int]

    @property
    def described(self) -> str:
        """What was fused, in words; empty where nothing was."""
        return ", ".join(f"{count} {kind}" for kind, count in self.fused.items())


def prepare(fp32: Path, *, fuse: bool) -> Prepared:
    """Return the model in `fp32`, prepared; `fuse` asks for fused operators too, where there are any.

    Raises:
        Exception: Whatever onnxruntime and onnxscript raise on graphs that they cannot take.
    """
    with tempfile.TemporaryDirectory(dir=fp32.parent) as folder:
        fused = write_fused(fp32, Path(folder) / "fused.onnx") if fuse else {}
        source = Path(folder) / "fused.onnx" if fused else fp32
        prepared = Path(folder) / "prepared.onnx"
        # symbolic inference gives up on transformers, and then litters the working directory; the exporter has written
        # the shapes of most values, and the quantiser needs no others
        with contextlib.redirect_stderr(io.StringIO()):  # it prints the stack of an error that it raises, too
            quant_pre_process(source, prepared, skip_symbolic_shape=True)
        model = onnx.load(prepared)
    add_infer_metadata(model)
    taken = {node.name for node in model.graph.node}
    for i, node in enumerate(model.graph.node):
        if not node.name:
            node.name = next(name for name in _names(f"{node.op_type}_{i}") if name not in taken)
            taken.add(node.name)
    return Prepared(model, fused)


def _names(stem: str) -> Iterator[str]:
    yield stem
    yield from (f"{stem}_{i}" for i in range(1, 1 << 30))


def untied(prepared: Prepared) -> tuple[ModelProto, dict[str, str]]:
    """Return a copy in which nodes with weights share none, so that one can be quantised and another left alone.

    Also returns the names of the weights that were copied for it, with the names that they had before. `merge_equal`
    undoes it.
    """
    model = copied(prepared.model)
    tensors = {tensor.name: tensor for tensor in model.graph.initializer if tensor.data_type == TensorProto.FLOAT}
    taken: set[str] = set()
    sources: dict[str, str] = {}
    for node in model.graph.node:
        for place, name in enumerate(node.input):
            if node.op_type not in _WITH_WEIGHTS or name not in tensors or name not in taken:
                taken.add(name)
                continue
            copy = TensorProto()
            copy.CopyFrom(tensors[name])
            copy.name = f"{name}_of_{node.name}"
            sources[copy.name] = name
            node.input[place] = copy.name
            model.graph.initializer.append(copy)
    return model, sources


def merge_equal(model: ModelProto) -> None:
    """Let nodes share weights that are equal, in place."""
    first: dict[tuple[object, ...], str] = {}
    merged: dict[str, str] = {}
    kept = []
    for tensor in model.graph.initializer:
        key = (tensor.data_type, tuple(tensor.dims), tensor.raw_data)
        if len(tensor.raw_data) < LEAST_VALUES or key not in first:
            first.setdefault(key, tensor.name)
            kept.append(tensor)
        else:
            merged[tensor.name] = first[key]
    nested = {name for node in model.graph.node for name in _nested_inputs(node)}
    if not merged or nested & merged.keys():
        return
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)
    for node in model.graph.node:
        for place, name in enumerate(node.input):
            node.input[place] = merged.get(name, name)


def tie_transposed(model: ModelProto) -> None:
    """Let matrices that are the transpose of another be made of it, in place.

    Such are the two ends of a masked language model, which share a table: folding constants has made two of it.
    """
    by_dims: dict[tuple[int, ...], list[TensorProto]] = {}
    looked_up = {node.input[0] for node in model.graph.node if node.op_type == "Gather"}
    large = [tensor for tensor, _ in large_weights(model).values()]
    tied: dict[str, str] = {}
    for tensor in sorted(large, key=lambda tensor: tensor.name not in looked_up):  # tables are kept as they are
        dims = tuple(tensor.dims)
        for other in by_dims.get(dims[::-1], []) if len(dims) == 2 else []:  # noqa: PLR2004 - matrices
            if np.array_equal(numpy_helper.to_array(other).T, numpy_helper.to_array(tensor)):
                tied[tensor.name] = other.name
                break
        else:
            by_dims.setdefault(dims, []).append(tensor)
    kept = [tensor for tensor in model.graph.initializer if tensor.name not in tied]
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)
    for i, (name, source) in enumerate(tied.items()):
        model.graph.node.insert(i, helper.make_node("Transpose", [source], [name], f"{name}_tied", perm=[1, 0]))


def with_products(model: ModelProto) -> tuple[ModelProto, dict[str, str]]:
    """Return the model, changed in place, with products and sums for dense layers (Gemm): they have dynamic kernels.

    Also returns the names of weights that had to be transposed, with the names that they had before.
    """
    changed = ONNXModel(model)
    sources: dict[str, str] = changed.replace_gemm_with_matmul()
    for i, node in enumerate(changed.model.graph.node):
        node.name = node.name or f"{node.op_type}_product_{i}"
    return update_opset_version(changed.model, QuantType.QInt8), sources


def copied(model: ModelProto) -> ModelProto:
    """Return a copy that may be changed."""
    copy = ModelProto()
    copy.CopyFrom(model)
    return copy


def large_weights(model: ModelProto) -> dict[str, tuple[TensorProto, list[NodeProto]]]:
    """Return, by name, the float32 matrices of the graph that are worth packing, and the nodes that take them.

    Those that a nested graph takes too are left out.
    """
    nested = {name for node in model.graph.node for name in _nested_inputs(node)}
    outputs = {value.name for value in model.graph.output}
    users: dict[str, list[NodeProto]] = {}
    for node in model.graph.node:
        for name in node.input:
            users.setdefault(name, []).append(node)
    return {
        tensor.name: (tensor, users[tensor.name])
        for tensor in model.graph.initializer
        if tensor.data_type == TensorProto.FLOAT
        and len(tensor.dims) > 1
        and np.prod(tensor.dims) >= LEAST_VALUES
        and tensor.name in users
        and tensor.name not in nested | outputs
    }


def _nested_inputs(node: NodeProto) -> Iterator[str]:
    for attribute in node.attribute:
        for graph in (attribute.g, *attribute.graphs):
            for inner in graph.node:
                yield from inner.input
                yield from _nested_inputs(inner)
