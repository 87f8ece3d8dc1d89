"""Nodes that share weights are quantised one by one all the same, and share them again in the file."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from export.quantize.families import Dynamic, Family, Static, Weights
from export.quantize.graph import Prepared, prepare
from export.quantize.ranges import find_ranges
from handlers.runtime.session import Session
from tests.export.sources import converted, normal, source_of


class Twice(nn.Module):
    """One layer, used twice."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(64, 64)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.layer(torch.relu(self.layer(x)))
        return result


class Ends(nn.Module):
    """A table of which the rows are looked up at one end, and multiplied at the other: a masked language model."""

    def __init__(self) -> None:
        super().__init__()
        self.table, self.between = nn.Embedding(500, 32), nn.Linear(32, 32)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return nn.functional.linear(torch.tanh(self.between(self.table(ids))), self.table.weight)


DATA = normal(16, 64)


@pytest.fixture(scope="module")
def twice(tmp_path_factory: pytest.TempPathFactory) -> tuple[Prepared, Path]:
    folder = tmp_path_factory.mktemp("twice")
    torch.manual_seed(0)
    converted(source_of(Twice(), torch.zeros(1, 64)), folder / "fp32.onnx")
    return prepare(folder / "fp32.onnx", fuse=False), folder


def families(twice: tuple[Prepared, Path]) -> list[Family]:
    prepared, folder = twice
    return [
        Dynamic(prepared),
        Static(prepared, find_ranges(prepared.model, "min-max", [{"x": DATA}], folder), "min-max"),
    ]


def error(path: Path, folder: Path) -> float:
    right = Session(folder / "fp32.onnx", threads=1).run({"x": DATA})["y"]
    found = Session(path, threads=1).run({"x": DATA})["y"]
    return float(np.linalg.norm(found - right) / np.linalg.norm(right))


@pytest.mark.parametrize("which", [0, 1])
def test_either_use_can_be_quantised_alone(which: int, twice: tuple[Prepared, Path], tmp_path: Path) -> None:
    for family in families(twice):
        units = [unit for unit in family.units if family.operator(unit) in {"MatMul", "Gemm"}]
        assert len(units) == 2
        family.write([units[which]], tmp_path / "one.onnx")
        family.write(family.units, tmp_path / "all.onnx")
        assert 0 < error(tmp_path / "one.onnx", twice[1]) < 0.05
        assert error(tmp_path / "one.onnx", twice[1]) < 1.5 * error(tmp_path / "all.onnx", twice[1])


def test_weights_are_in_the_file_once(twice: tuple[Prepared, Path], tmp_path: Path) -> None:
    for family in families(twice):
        family.write(family.units, tmp_path / "all.onnx")
        matrices = [
            tensor for tensor in onnx.load(tmp_path / "all.onnx").graph.initializer if tuple(tensor.dims) == (64, 64)
        ]
        assert len(matrices) == 1, family.name


def test_table_that_is_used_at_both_ends_is_in_the_file_once(tmp_path: Path) -> None:
    torch.manual_seed(0)
    ids = torch.tensor([[1, 499, 7]])
    converted(source_of(Ends(), ids, dynamic={"x": {0: "batch", 1: "sequence"}}), tmp_path / "fp32.onnx")
    family = Weights(prepare(tmp_path / "fp32.onnx", fuse=False))
    assert len(family.units) == 2
    family.write(family.units, tmp_path / "int8.onnx")
    assert (tmp_path / "int8.onnx").stat().st_size < 0.35 * (tmp_path / "fp32.onnx").stat().st_size
    right = Session(tmp_path / "fp32.onnx", threads=1).run({"x": ids.numpy()})["y"]
    found = Session(tmp_path / "int8.onnx", threads=1).run({"x": ids.numpy()})["y"]
    assert np.linalg.norm(found - right) < 0.02 * np.linalg.norm(right)
