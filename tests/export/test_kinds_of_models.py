"""Recurrent modules, state, several inputs and outputs, and every datatype go through `ModelSource` alone."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from export import ModelSource
from export.errors import SourceError
from export.reference import Reference
from export.variations import vary
from tests.export.sources import converted, source_of

TOLERANCE = 1e-4
RANDOM = np.random.default_rng(7)


class Recurrent(nn.Module):
    def __init__(self, kind: type[nn.RNNBase], *, batch_first: bool = True) -> None:
        super().__init__()
        self.layers = kind(4, 8, num_layers=2, batch_first=batch_first, bidirectional=True)  # type: ignore[call-arg, arg-type]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.layers(x)[0]
        return result


class Cell(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.cell = nn.LSTMCell(4, 8)

    def forward(self, x: torch.Tensor, h: torch.Tensor, c: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        h, c = self.cell(x, (h, c))
        return h, c


class Stateful(nn.Module):
    """Returns state as nn.LSTM does: a pair within the pair."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(4, 8, batch_first=True)

    def forward(self, x: torch.Tensor, h: torch.Tensor, c: torch.Tensor) -> object:
        return self.lstm(x, (h, c))


class Masked(nn.Module):
    """Indexes a table and ignores what a mask of booleans leaves out."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(50, 8)
        self.gru = nn.GRU(8, 8, batch_first=True)

    def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        states, _ = self.gru(self.table(ids))
        kept = mask.unsqueeze(-1)
        result: torch.Tensor = (states * kept).sum(1) / kept.sum(1).clamp(min=1)
        return result


class Photo(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(3, 4, 3)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.convolution(image.permute(0, 3, 1, 2).float() / 255).mean((2, 3))
        return result


class AnyNumber(nn.Module):
    def forward(self, *tensors: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return tensors[0] + tensors[1], tensors[0] - tensors[1]


class Cast(nn.Module):
    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 3).to(dtype)
        self.dtype = dtype

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.linear(x.to(self.dtype))
        return result


class Halved(nn.Module):
    """Takes even lengths only."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        torch._check(x.shape[1] % 2 == 0)  # type: ignore[no-untyped-call]  # noqa: SLF001 - the name that torch documents
        halves: torch.Tensor = x.unflatten(1, (x.shape[1] // 2, 2))  # type: ignore[no-untyped-call]
        return halves.sum(2)


SEQUENCE = {0: "batch", 1: "sequence"}
X = torch.randn(1, 5, 4, generator=torch.Generator().manual_seed(0))
CASES: dict[str, tuple[Callable[[], nn.Module], dict[str, torch.Tensor], int, dict[str, dict[int, str]] | None]] = {
    "LSTM": (lambda: Recurrent(nn.LSTM), {"x": X}, 1, {"x": SEQUENCE}),
    "GRU": (lambda: Recurrent(nn.GRU), {"x": X}, 1, {"x": SEQUENCE}),
    "RNN": (lambda: Recurrent(nn.RNN), {"x": X}, 1, {"x": SEQUENCE}),
    "sequence first": (
        lambda: Recurrent(nn.LSTM, batch_first=False), {"x": X.transpose(0, 1)}, 1, {"x": {0: "sequence", 1: "batch"}},
    ),
    "cell": (Cell, {"x": X[:, 0], "h": torch.zeros(1, 8), "c": torch.zeros(1, 8)}, 2, None),
    "state": (
        Stateful, {"x": X, "h": torch.zeros(1, 1, 8), "c": torch.zeros(1, 1, 8)}, 3,
        {"x": SEQUENCE, "h": {1: "batch"}, "c": {1: "batch"}},
    ),
    "state, batch of two in the example": (
        Stateful, {"x": X.repeat(2, 1, 1), "h": torch.zeros(1, 2, 8), "c": torch.zeros(1, 2, 8)}, 3,
        {"x": SEQUENCE, "h": {1: "batch"}, "c": {1: "batch"}},
    ),
    "ids and mask": (
        Masked, {"ids": torch.tensor([[1, 49, 3]]), "mask": torch.tensor([[True, True, False]])}, 1,
        {"ids": SEQUENCE, "mask": SEQUENCE},
    ),
    "image of bytes": (
        Photo, {"image": torch.arange(8 * 8 * 3, dtype=torch.uint8).reshape(1, 8, 8, 3)}, 1,
        {"image": {0: "batch", 1: "height", 2: "width"}},
    ),
    "any number of inputs": (AnyNumber, {"a": X[:, 0], "b": X[:, 1]}, 2, None),
    "axes with names of Python and sympy": (
        AnyNumber, {"a": X, "b": X}, 2, {n: {0: "N", 1: "S", 2: "E"} for n in "ab"},
    ),
    "float16": (lambda: Cast(torch.float16), {"x": X[:, 0].half()}, 1, None),
    "float64": (lambda: Cast(torch.float64), {"x": X[:, 0].double()}, 1, None),
    **{
        str(dtype): (lambda: Cast(torch.float32), {"x": torch.ones(1, 4, dtype=dtype)}, 1, None)
        for dtype in (
            *(torch.bool, torch.int8, torch.int16, torch.int32, torch.int64),
            *(torch.uint8, torch.uint16, torch.uint32, torch.uint64),
        )
    },
}  # fmt: skip


def made(case: str) -> ModelSource:
    module, inputs, outputs, dynamic = CASES[case]
    torch.manual_seed(0)
    names = [f"y{i}" for i in range(outputs)]
    return ModelSource(name="tiny", module=module(), inputs=inputs, outputs=names, dynamic=dynamic)


@pytest.mark.parametrize("case", CASES)
def test_model_answers_alike_for_lengths_that_conversion_did_not_try(case: str, tmp_path: Path) -> None:
    source = made(case)
    session = converted(source, tmp_path / "m.onnx")
    for spec in session.inputs:
        assert {axis for axis, length in enumerate(spec.shape) if length == -1} == set(source.dynamic_axes[spec.name])
    longer = {"batch": 3, "sequence": 13, "height": 11, "width": 6, "N": 3, "S": 4, "E": 7}
    given = {}
    for name, value in source.inputs.items():
        array = value.numpy()
        for axis, word in source.dynamic_axes[name].items():
            array = np.take(array, RANDOM.integers(0, array.shape[axis], longer[word]), axis)
        given[name] = array
    tolerance = 1e-2 if case == "float16" else TOLERANCE
    for name, right in Reference(source).run(given).items():
        np.testing.assert_allclose(session.run(given)[name], right, tolerance, tolerance)


def test_length_that_the_module_refuses_is_no_fault_of_the_onnx(tmp_path: Path) -> None:
    source = source_of(Halved(), torch.zeros(1, 6), dynamic={"x": {0: "batch", 1: "length"}})
    assert converted(source, tmp_path / "m.onnx").inputs[0].shape[0] == -1


def test_axes_of_one_name_change_together() -> None:
    source = made("state, batch of two in the example")
    example = {name: value.numpy() for name, value in source.inputs.items()}
    for varied in vary(example, source.dynamic_axes):
        assert varied["x"].shape[0] == varied["h"].shape[1] == varied["c"].shape[1]


def test_integers_stay_those_of_the_example() -> None:
    for varied in vary({"ids": np.array([[3, 7]])}, {"ids": {0: "batch", 1: "sequence"}}):
        assert set(varied["ids"].ravel()) <= {3, 7}


def test_axes_of_one_name_and_two_lengths_are_refused() -> None:
    inputs = {"x": torch.zeros(1, 4), "h": torch.zeros(3, 1, 4)}
    with pytest.raises(SourceError, match=r"axis 'batch' is 3 long in 'h' and 1 in 'x', expected one length; name the"):
        ModelSource("tiny", nn.Identity(), inputs, ["y"])
