"""Outputs with classes are told from those where the largest element says nothing."""

from pathlib import Path

import pytest
import torch
from torch import nn

from export.classes import class_outputs
from tests.export.sources import converted, source_of


class Made(nn.Module):
    """A dense layer, and something behind it."""

    def __init__(self, after: nn.Module) -> None:
        super().__init__()
        self.dense, self.after = nn.Linear(4, 3), after

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.after(self.dense(x))
        return result


class Normalised(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return nn.functional.normalize(x, dim=-1)


class Tempered(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x / 0.07 + 1


class Weighed(nn.Module):
    """A product of two inputs, as in attention: no layer with weights."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x @ x.transpose(0, 1)


class Turned(nn.Module):
    """Classes are no longer on the last axis."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.unsqueeze(2).transpose(1, 2)


class Both(nn.Module):
    """Scores of tokens, and the state that they were made of."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.head = nn.GRU(4, 8, batch_first=True), nn.Linear(8, 3)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        states, last = self.layer(x)
        return self.head(states), last


@pytest.mark.parametrize(
    ("module", "classes"),
    [
        (nn.Linear(4, 3), {"y"}),
        (Made(nn.Softmax(-1)), {"y"}),
        (Made(nn.LogSoftmax(-1)), {"y"}),
        (Made(nn.Sigmoid()), {"y"}),
        (Made(nn.Unflatten(1, (3, 1))), {"y"}),
        (Made(Tempered()), {"y"}),
        (Made(Normalised()), set()),
        (Made(nn.LayerNorm(3)), set()),
        (Made(nn.Tanh()), set()),
        (Made(nn.ReLU()), set()),
        (Made(Turned()), set()),
        (Made(nn.Sequential(nn.Unflatten(1, (3, 1)), nn.Softmax(1))), set()),
        (Weighed(), set()),
    ],
)
def test_scores_are_what_a_dense_layer_or_a_softmax_makes(module: nn.Module, classes: set[str], tmp_path: Path) -> None:
    converted(source_of(module), tmp_path / "m.onnx")
    assert class_outputs(tmp_path / "m.onnx") == classes


def test_each_output_is_looked_at_by_itself(tmp_path: Path) -> None:
    source = source_of(Both(), torch.zeros(1, 5, 4), outputs=["scores", "state"])
    converted(source, tmp_path / "m.onnx")
    assert class_outputs(tmp_path / "m.onnx") == {"scores"}
