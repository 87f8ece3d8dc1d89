"""Puts a variant's weights into a file of their own, which onnxruntime maps instead of parsing it.

Opening MiniLM in int8 (23 MB) takes 17 ms so, and 45 ms where protobuf has to copy the weights
(docs/decisions/0006). The form is ONNX's own, external data:
https://github.com/onnx/onnx/blob/main/docs/ExternalData.md
"""

from pathlib import Path

import onnx

__all__ = ["split_weights", "weights_path"]

_LEAST_BYTES = 1 << 20  # of all weights together: below, one more object to fetch costs more than it gains
_LEAST_TENSOR_BYTES = 1024  # as of onnx and onnxruntime: what is smaller is read with the graph
_ALIGNMENT = 64  # a cache line, and the widest vector that kernels load


def weights_path(path: Path) -> Path:
    """Return where the weights of the model in `path` are if they are not in it."""
    return path.with_name(f"{path.name}.data")


def split_weights(path: Path) -> None:
    """Move the weights of the model in `path` to `weights_path(path)`, unless they are there or are too few to gain.

    Weights inside of subgraphs stay where they are.
    """
    target = weights_path(path)
    if target.exists():
        return
    model = onnx.load(path)
    large = [tensor for tensor in model.graph.initializer if len(tensor.raw_data) >= _LEAST_TENSOR_BYTES]
    if sum(len(tensor.raw_data) for tensor in large) < _LEAST_BYTES:
        return
    with target.open("wb") as file:
        for tensor in large:
            file.write(bytes(-file.tell() % _ALIGNMENT))
            place = {"location": target.name, "offset": str(file.tell()), "length": str(len(tensor.raw_data))}
            file.write(tensor.raw_data)
            tensor.ClearField("raw_data")
            tensor.data_location = onnx.TensorProto.EXTERNAL
            for key, value in place.items():
                entry = tensor.external_data.add()
                entry.key, entry.value = key, value
    path.write_bytes(model.SerializeToString())
