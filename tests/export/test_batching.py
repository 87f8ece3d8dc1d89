"""Axis 0 counts samples only where PyTorch proves it."""

import numpy as np
import pytest
import torch
from torch import nn

from export.batching import find_batching
from export.measure import memory_use
from export.reference import Reference, to_arrays
from export.source import ModelSource
from handlers.registry.manifest import Batching, TensorSpec
from tests.export.conftest import Built
from tests.export.sources import mlp, read_manifest, source_of


class Centred(nn.Module):
    """Every sample knows of the others."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x - x.mean(0, keepdim=True)


class Placed(nn.Module):
    """Every sample knows where it is."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + torch.arange(len(x)).unsqueeze(1)


class Summed(nn.Module):
    """A second output that is of the whole batch."""

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return 2 * x, x.sum(0)


class Single(nn.Module):
    """Takes one sample alone."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if len(x) != 1:
            msg = "one at a time"
            raise ValueError(msg)
        return x


class Pairs(nn.Module):
    """Two inputs, sample by sample."""

    def forward(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return a * b


def batching_of(source: ModelSource) -> Batching | None:
    inputs = [
        TensorSpec(
            name=name,
            datatype="FP32",
            shape=tuple(-1 if axis in source.dynamic_axes[name] else n for axis, n in enumerate(value.shape)),
        )
        for name, value in source.inputs.items()
    ]
    return find_batching(source, Reference(source), to_arrays(source), inputs)


def pairs(**dynamic: dict[int, str]) -> ModelSource:
    return source_of(Pairs(), inputs={"a": torch.zeros(1, 4), "b": torch.zeros(1, 4)}, dynamic=dynamic)


@pytest.mark.parametrize(("source", "expected"), [
    (source_of(mlp(4, 8, 3)), Batching()),
    (source_of(mlp(4, 8, 3), dynamic={}), Batching(length=1)),
    (source_of(mlp(4, 8, 3), torch.zeros(4, 4), dynamic={}), Batching(length=4)),
    (source_of(Centred()), None),
    (source_of(Centred(), torch.zeros(4, 4), dynamic={}), None),
    (source_of(Placed()), None),
    (source_of(Placed(), torch.zeros(4, 4), dynamic={}), None),
    (source_of(Summed(), outputs=["y", "sum"]), None),
    (source_of(Summed(), dynamic={}, outputs=["y", "sum"]), None),
    (source_of(Single()), None),
    (source_of(nn.Identity(), torch.tensor(1.0), dynamic={}), None),
    (source_of(nn.Embedding(10, 2), torch.tensor([[1, 2, 3]])), Batching()),
    (pairs(a={0: "batch"}, b={0: "batch"}), Batching()),
    (pairs(a={0: "left"}, b={0: "right"}), None),
])  # fmt: skip
def test_batches_are_cut_only_where_that_is_proven(source: ModelSource, expected: Batching | None) -> None:
    assert batching_of(source) == expected


def test_an_artifact_says_how_its_batches_may_be_cut_and_what_a_sample_takes(small: Built) -> None:
    manifest = read_manifest(small.folder)

    assert manifest.batching == Batching()
    assert manifest.example_shapes == {"x": (1, 4)}
    for variant in manifest.variants:
        assert variant.sample_memory_bytes is not None
        assert 28 <= variant.sample_memory_bytes <= variant.peak_memory_bytes  # four floats in, three out


def test_a_sample_takes_what_its_widest_layers_take(tmp_path_factory: pytest.TempPathFactory) -> None:
    from tests.graphs import dense

    path = tmp_path_factory.mktemp("wide") / "wide.onnx"
    path.write_bytes(dense(2048, 4).SerializeToString())
    row_bytes = 4 * 2048

    found = memory_use(path, {"x": np.ones((1, 2048), np.float32)}, 1, Batching()).sample_bytes
    exactly = memory_use(path, {"x": np.ones((256, 2048), np.float32)}, 1, Batching(length=256)).sample_bytes

    for sample in (found, exactly):
        assert sample is not None
        assert 2 * row_bytes <= sample <= 6 * row_bytes  # in and out, and two in between at the most
    assert memory_use(path, {"x": np.ones((1, 2048), np.float32)}, 1, None).sample_bytes is None
