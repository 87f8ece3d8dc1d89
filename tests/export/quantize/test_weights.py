"""Weights are packed to a quarter or a half, and sessions turn them back into what they were, but for rounding."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import ModelProto, TensorProto, numpy_helper
from torch import nn

from export.quantize.graph import copied, large_weights, prepare
from export.quantize.weights import fits_half, pack_weights
from handlers.runtime.session import Session
from handlers.tasks.arrays import Arrays
from tests.export.sources import converted, mlp, normal, source_of


class Table(nn.Module):
    """Looks rows up, and multiplies by the same table again, as masked language models do."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(100, 32)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.table(ids) @ self.table.weight.T
        return result


class Last(nn.Module):
    """The last output of a recurrent layer."""

    def __init__(self, kind: type[nn.LSTM | nn.GRU]) -> None:
        super().__init__()
        self.layer = kind(32, 48, num_layers=2, batch_first=True, bidirectional=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.layer(x)[0]
        return result


CASES = {
    "dense": (mlp(64, 128, 32), normal(5, 64)),
    "convolution": (nn.Conv2d(16, 32, 3, groups=4), normal(2, 16, 9, 9)),
    "transposed convolution": (nn.ConvTranspose2d(16, 32, 3), normal(2, 16, 9, 9)),
    "LSTM": (Last(nn.LSTM), normal(2, 7, 32)),
    "GRU": (Last(nn.GRU), normal(2, 7, 32)),
    "table": (nn.Embedding(100, 32), np.array([[0, 99, 3]])),
    "table that is used twice": (Table(), np.array([[0, 99, 3]])),
}


def prepared(case: str, folder: Path) -> tuple[ModelProto, Arrays]:
    torch.manual_seed(0)
    module, data = CASES[case]
    source = source_of(module, torch.from_numpy(data))
    converted(source, folder / "fp32.onnx")
    return prepare(folder / "fp32.onnx", fuse=False).model, {"x": data}


def opened(model: ModelProto, path: Path) -> Session:
    onnx.save(model, path)
    return Session(path, threads=1)


def weight_bytes(model: ModelProto) -> int:
    return sum(numpy_helper.to_array(tensor).nbytes for tensor in model.graph.initializer)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize(("storage", "most", "tolerance"), [("int8", 0.35, 0.02), ("fp16", 0.6, 1e-3)])
def test_packed_weights_are_smaller_and_answer_alike(
    case: str, storage: str, most: float, tolerance: float, tmp_path: Path
) -> None:
    model, inputs = prepared(case, tmp_path)
    packed = copied(model)
    pack_weights(packed, half=large_weights(model) if storage == "fp16" else ())
    assert weight_bytes(packed) < most * weight_bytes(model)
    right = opened(model, tmp_path / "model.onnx").run(inputs)["y"]
    found = opened(packed, tmp_path / "packed.onnx").run(inputs)["y"]
    # int8: half a step of 1/127 of the largest weight of a channel; fp16: half a unit in the last of 11 digits
    assert np.linalg.norm(found - right) <= tolerance * np.linalg.norm(right)
    assert not np.array_equal(found, right)


@pytest.mark.parametrize("case", ["dense", "convolution", "LSTM", "GRU"])
def test_sessions_turn_weights_back_once_and_not_in_every_run(case: str, tmp_path: Path) -> None:
    """Else each run would do it again, and take longer than in fp32."""
    model, _ = prepared(case, tmp_path)
    pack_weights(model)
    onnx.save(model, tmp_path / "packed.onnx")
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimised.onnx")
    onnxruntime.InferenceSession(tmp_path / "packed.onnx", options, providers=["CPUExecutionProvider"])
    optimised = onnx.load(tmp_path / "optimised.onnx")
    assert "Cast" not in {node.op_type for node in optimised.graph.node}
    assert TensorProto.INT8 not in {tensor.data_type for tensor in optimised.graph.initializer}


def test_rows_of_a_table_are_looked_up_in_int8(tmp_path: Path) -> None:
    model, _ = prepared("table", tmp_path)
    pack_weights(model)
    table = next(t for t in model.graph.initializer if tuple(t.dims) == (100, 32))
    assert table.data_type == TensorProto.INT8
    assert table.name in {node.input[0] for node in model.graph.node if node.op_type == "Gather"}


class Places(nn.Module):
    """A table that is added, as positions are."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.from_numpy(normal(1, 64, 32)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.table


class Left(nn.Module):
    """Weights on the left of a product."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.from_numpy(normal(64, 64)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.weight @ x


CHANNELS: dict[str, tuple[Callable[[], nn.Module], int, tuple[int, ...], int]] = {
    "dense": (lambda: nn.Linear(64, 64, bias=False), 0, (3, 64), 1),
    "convolution": (lambda: nn.Conv2d(16, 32, 3, bias=False), 0, (1, 16, 5, 5), 1),
    "transposed convolution": (lambda: nn.ConvTranspose2d(16, 32, 3, bias=False), 1, (1, 16, 5, 5), 1),
    "places": (Places, 1, (2, 64, 32), 1),
    "left": (Left, 0, (2, 64, 8), 1),
}


@pytest.mark.parametrize("case", CHANNELS)
def test_each_channel_has_a_scale_of_its_own(case: str, tmp_path: Path) -> None:
    """A channel with small weights keeps its digits beside one with large ones."""
    make, weight_axis, shape, axis = CHANNELS[case]
    torch.manual_seed(0)
    module, data = make(), normal(*shape, seed=1)
    with torch.no_grad():
        next(module.parameters()).select(weight_axis, 0).mul_(1e4)
    converted(source_of(module, torch.from_numpy(data)), tmp_path / "fp32.onnx")
    model = prepare(tmp_path / "fp32.onnx", fuse=False).model
    right = opened(model, tmp_path / "model.onnx").run({"x": data})["y"]
    pack_weights(model)
    assert TensorProto.INT8 in {tensor.data_type for tensor in model.graph.initializer}
    found = opened(model, tmp_path / "packed.onnx").run({"x": data})["y"]
    others = np.arange(1, right.shape[axis])
    difference, expected = (found - right).take(others, axis), right.take(others, axis)
    assert np.linalg.norm(difference) <= 0.02 * np.linalg.norm(expected)


@pytest.mark.parametrize(
    ("module", "example"),
    [
        (nn.LSTM(8, 128, batch_first=True), normal(1, 3, 8)),
        (nn.Conv2d(2048, 2048, 1, groups=2048), normal(1, 2048, 1, 1)),
    ],
)
def test_weights_whose_scales_would_be_as_large_stay_as_they_are(
    module: nn.Module, example: np.ndarray, tmp_path: Path
) -> None:
    outputs = ["y", "h", "c"] if isinstance(module, nn.LSTM) else ["y"]
    converted(source_of(module, torch.from_numpy(example), outputs=outputs), tmp_path / "fp32.onnx")
    model = prepare(tmp_path / "fp32.onnx", fuse=False).model
    before = weight_bytes(model)
    pack_weights(model)
    assert weight_bytes(model) <= before
    for tensor in model.graph.initializer:
        if tensor.data_type == TensorProto.INT8:
            assert max(tensor.dims[:-1]) < np.prod(tensor.dims) / 4


@pytest.mark.parametrize(("value", "fits"), [(1.0, True), (7e4, False), (1e-7, False), (0.0, True)])
def test_fp16_holds_weights_that_are_neither_too_large_nor_too_small(value: float, fits: bool) -> None:  # noqa: FBT001
    assert fits_half(np.full((2, 2), value, np.float32)) == fits


@pytest.mark.parametrize("large", [7e4, np.inf])
def test_weights_beyond_fp16_stay_fp32(large: float, tmp_path: Path) -> None:
    layer = nn.Linear(64, 64, bias=False)
    with torch.no_grad():
        layer.weight[3, 5] = large
    converted(source_of(mlp(64, 64), torch.zeros(1, 64)), tmp_path / "fp32.onnx")
    model = prepare(tmp_path / "fp32.onnx", fuse=False).model
    [(name, (tensor, _))] = large_weights(model).items()
    tensor.CopyFrom(numpy_helper.from_array(layer.weight.detach().numpy(), name))
    before = model.SerializeToString()
    pack_weights(model, half=[name])
    assert model.SerializeToString() == before


def test_only_what_is_named_is_packed(tmp_path: Path) -> None:
    model, _ = prepared("dense", tmp_path)
    first, second = large_weights(model)
    pack_weights(model, only=[first])
    types = {tensor.name: tensor.data_type for tensor in model.graph.initializer}
    assert types[f"{first}_int8"] == TensorProto.INT8
    assert types[second] == TensorProto.FLOAT
    assert first not in types


def test_small_weights_stay_as_they_are(tmp_path: Path) -> None:
    converted(source_of(mlp(4, 16, 3)), tmp_path / "fp32.onnx")
    model = prepare(tmp_path / "fp32.onnx", fuse=False).model
    assert large_weights(model) == {}
