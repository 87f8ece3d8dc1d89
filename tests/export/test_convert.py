"""The ONNX answers as PyTorch does, for every length of every dynamic axis, or the model is refused."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from export import ModelSource
from export.convert import convert
from export.errors import ConversionError, DataError
from export.reference import Reference
from handlers.tasks.arrays import Arrays
from tests.export.sources import converted, mlp, normal, source_of

TOLERANCE = 1e-4  # what the export step promises: fp32 kernels sum in different orders


class Forward(nn.Module):
    """Turns a function of one tensor into a module."""

    def __init__(self, function: Callable[..., object]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: torch.Tensor) -> object:
        return self.function(x)


class Pair(nn.Module):
    """Two inputs, two outputs."""

    def forward(self, b: torch.Tensor, a: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return b - a, b @ a.transpose(0, 1)


class Scale(nn.Module):
    """The second input has no axes."""

    def forward(self, x: torch.Tensor, factor: torch.Tensor) -> torch.Tensor:
        return x * factor


def assert_parity(source: ModelSource, path: Path, *given: Arrays) -> None:
    session = converted(source, path)
    assert [spec.name for spec in session.inputs] == list(source.inputs)
    assert [spec.name for spec in session.outputs] == source.outputs
    for inputs in given:
        with torch.inference_mode():
            result = source.module(*(torch.from_numpy(inputs[name]) for name in source.inputs))
        right = [result] if isinstance(result, torch.Tensor) else list(result)
        for found, expected in zip(session.run(inputs).values(), right, strict=True):
            np.testing.assert_allclose(found, expected.numpy(), TOLERANCE, TOLERANCE)


def test_mlp_answers_alike_at_any_batch_size(tmp_path: Path) -> None:
    assert_parity(source_of(mlp(4, 8, 3)), tmp_path / "m.onnx", *({"x": normal(n, 4)} for n in (1, 2, 3, 17)))


def test_cnn_answers_alike_at_any_batch_size(tmp_path: Path) -> None:
    net = nn.Sequential(
        *(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout(), nn.Flatten()),
        nn.Linear(36, 10),
    )
    given = ({"x": normal(n, 1, 8, 8)} for n in (1, 2, 3, 17))
    assert_parity(source_of(net, torch.zeros(1, 1, 8, 8)), tmp_path / "m.onnx", *given)


def test_two_inputs_and_two_outputs_keep_their_order(tmp_path: Path) -> None:
    source = source_of(Pair(), inputs={"b": torch.zeros(1, 4), "a": torch.zeros(1, 4)}, outputs=["z", "y"])
    assert_parity(source, tmp_path / "m.onnx", *({"b": normal(n, 4), "a": normal(n, 4, seed=1)} for n in (1, 2, 17)))


def test_no_axis_is_dynamic_where_none_is_asked_for(tmp_path: Path) -> None:
    session = converted(source_of(mlp(4, 3), torch.zeros(2, 4), dynamic={}), tmp_path / "m.onnx")
    assert [spec.shape for spec in (*session.inputs, *session.outputs)] == [(2, 4), (2, 3)]


def test_integers_index_an_embedding(tmp_path: Path) -> None:
    net = nn.Sequential(nn.Embedding(10, 4), nn.Flatten(), nn.Linear(12, 2))
    given = ({"x": np.arange(3 * n).reshape(n, 3) % 10} for n in (1, 2, 3, 17))
    assert_parity(source_of(net, torch.tensor([[1, 2, 9]])), tmp_path / "m.onnx", *given)


def test_sequence_axis_has_any_length(tmp_path: Path) -> None:
    net = nn.Sequential(nn.Embedding(10, 4), nn.Linear(4, 2))
    dynamic = {"x": {0: "batch", 1: "sequence"}}
    given = ({"x": np.arange(n * length).reshape(n, length) % 10} for n in (1, 3) for length in (1, 2, 30))
    assert_parity(source_of(net, torch.tensor([[1, 2, 9]]), dynamic=dynamic), tmp_path / "m.onnx", *given)


def test_input_without_axes_is_taken(tmp_path: Path) -> None:
    source = source_of(Scale(), inputs={"x": torch.zeros(1, 4), "factor": torch.tensor(2.0)})
    given = {"x": normal(3, 4), "factor": np.array(-3, np.float32)}
    assert_parity(source, tmp_path / "m.onnx", given)


def test_module_that_works_in_place_is_compared_on_the_same_inputs(tmp_path: Path) -> None:
    source = source_of(nn.ReLU(inplace=True))
    given = {"x": normal(8, 4)}
    converted(source, tmp_path / "m.onnx")
    Reference(source).run(given)
    assert np.array_equal(given["x"], normal(8, 4))


def branches_on_values(x: torch.Tensor) -> torch.Tensor:
    if x.sum() > 0:
        return x * 2
    return x


def test_branch_on_values_is_refused_with_the_line_and_what_to_do(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    line = branches_on_values.__code__.co_firstlineno + 1
    with pytest.raises(
        ConversionError,
        match=rf"model tiny: cannot be exported: .*data-dependent.* \({re.escape(__file__)}, line {line}\); "
        r"forward\(\) branches on the values of a tensor: replace the branch by torch.where or torch.cond",
    ):
        converted(source_of(Forward(branches_on_values)), tmp_path / "m.onnx")
    assert capfd.readouterr() == ("", "")


class Fixed(nn.Module):
    """Works for a batch of one alone."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.linear(x.reshape(1, -1))
        return result


def test_axis_that_forward_fixes_is_refused_where_it_is_said_to_be_dynamic(tmp_path: Path) -> None:
    with pytest.raises(ConversionError, match=r"cannot be exported: .*; check ModelSource.dynamic: an axis named"):
        converted(source_of(Fixed()), tmp_path / "m.onnx")


def test_axis_that_forward_fixes_is_taken_where_none_is_dynamic(tmp_path: Path) -> None:
    assert_parity(source_of(Fixed(), dynamic={}), tmp_path / "m.onnx", {"x": normal(1, 4)})


class Counter(nn.Module):
    """Answers otherwise at every call."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = nn.Buffer(torch.zeros(1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls.add_(1)
        return x + self.calls


@pytest.mark.parametrize(
    "module",
    [
        Forward(lambda x: x * 2 if torch.compiler.is_exporting() else x),
        Forward(lambda x: x * 2 if x.shape[0] > 1 else x),
        Forward(lambda x: x + torch.rand_like(x)),
        Counter(),
    ],
    ids=["other code when exported", "other code for a batch of one", "random", "stateful"],
)
def test_model_whose_onnx_answers_otherwise_is_refused(module: nn.Module, tmp_path: Path) -> None:
    with pytest.raises(ConversionError, match=r"output 'y': differs from PyTorch by .*, expected at most 0.0001; what"):
        converted(source_of(module), tmp_path / "m.onnx")


def test_difference_that_only_the_users_samples_show_is_refused(tmp_path: Path) -> None:
    source = source_of(Forward(lambda x: x if torch.compiler.is_exporting() else x.clamp(max=100)))
    samples = [{"x": np.full((1, 4), 101, np.float32)}]
    with pytest.raises(ConversionError, match="differs from PyTorch by 1, expected"):
        convert(source, Reference(source), tmp_path / "m.onnx", samples, threads=1)


@pytest.mark.parametrize(
    ("module", "outputs", "message"),
    [
        (nn.Identity(), ["y", "z"], r"module: returns \['Tensor'\], expected tensors for the outputs \['y', 'z'\]"),
        (Forward(lambda x: (x, x)), ["y"], r"module: returns \['Tensor', 'Tensor'\], expected .* \['y'\]"),
        (Forward(lambda _: None), ["y"], "module: returns NoneType, expected a tensor, or a tuple, list or dict"),
        (Forward(lambda x: [x, 1]), ["y", "z"], r"module: returns \['Tensor', 'int'\], expected tensors"),
        (Forward(lambda x: x.bfloat16()), ["y"], r"module: returns \['torch.bfloat16'\], expected what numpy has"),
    ],
)
def test_module_that_returns_something_else_is_refused(
    module: nn.Module, outputs: list[str], message: str, tmp_path: Path
) -> None:
    with pytest.raises(ConversionError, match=message):
        converted(source_of(module, outputs=outputs), tmp_path / "m.onnx")


def test_example_that_the_module_refuses_is_named_with_the_shapes(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"module: RuntimeError on inputs of shapes {'x': \[1, 5\]}: .*check names"):
        converted(source_of(mlp(4, 3), torch.zeros(1, 5)), tmp_path / "m.onnx")


class Decomposed(nn.Module):
    """torch has no ONNX for this, and prints what it could not convert."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        values: torch.Tensor = torch.linalg.svdvals(x)
        return values


def test_operator_without_onnx_is_named_and_nothing_goes_to_standard_output(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(
        ConversionError, match=r"_linalg_svd.*torch has no ONNX for this operator: replace it in forward"
    ):
        converted(source_of(Decomposed()), tmp_path / "m.onnx")
    assert capfd.readouterr().out == ""
