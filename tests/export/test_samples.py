"""The data of a source is sorted into what calibrates and what judges, and refused where it is not the model's."""

import re
from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch
from torch import nn

from export import Evaluation, ModelSource
from export.errors import DataError
from export.judge import Judge
from export.reference import Reference
from export.samples import Samples, sort_samples
from tests.export.sources import mlp, normal, source_of


def sort(**other: object) -> Samples:
    source = source_of(mlp(4, 3), **other)
    return sort_samples(source, Reference(source))


def batches(count: int) -> list[dict[str, np.ndarray]]:
    """Return batches of two samples each; no two samples are the same."""
    return [{"x": normal(2, 4, seed=i)} for i in range(count)]


def rows(data: object) -> set[bytes]:
    assert isinstance(data, (list, tuple))
    return {row.tobytes() for batch in data for row in batch["x"]}


@pytest.mark.parametrize("count", [2, 3, 5])
def test_without_evaluation_some_of_the_calibration_judges_and_nothing_does_both(count: int) -> None:
    samples = sort(calibration=iter(batches(count)))
    calibrating, judging = rows(samples.calibration), rows(samples.held_out.inputs)
    assert calibrating
    assert judging
    assert not calibrating & judging
    assert calibrating | judging == rows(batches(count))
    assert samples.held_out.held_out
    assert samples.metric is None


def test_with_an_evaluation_all_of_the_calibration_calibrates() -> None:
    evaluation = Evaluation([({"x": normal(2, 4, seed=9)}, np.array([0, 1]))])
    samples = sort(calibration=batches(3), evaluation=evaluation)
    assert rows(samples.calibration) == rows(batches(3))
    assert rows(samples.held_out.inputs) == {row.tobytes() for row in normal(2, 4, seed=9)}
    assert samples.metric is not None
    assert samples.metric.name == "accuracy"


@pytest.mark.parametrize("calibration", [None, batches(1)])
def test_example_inputs_judge_where_there_is_nothing_else_and_that_is_said(calibration: object) -> None:
    samples = sort(calibration=calibration)
    assert rows(samples.held_out.inputs) == {bytes(16)}
    assert not samples.held_out.held_out


def test_pytorch_answers_every_batch_that_judges() -> None:
    source = source_of(mlp(4, 3), calibration=batches(4))
    held_out = sort_samples(source, Reference(source)).held_out
    for inputs, outputs in zip(held_out.inputs, held_out.outputs, strict=True):
        with torch.inference_mode():
            np.testing.assert_array_equal(outputs["y"], source.module(torch.from_numpy(inputs["x"])).numpy())
    assert held_out.samples == 4


def test_evaluation_without_targets_judges_by_agreement() -> None:
    samples = sort(evaluation=Evaluation([(batch, None) for batch in batches(2)]))
    assert samples.held_out.targets is None
    assert Judge(samples.held_out, samples.metric, 0.01).metric_name == "agreement"


def test_target_of_a_single_sample_may_be_a_plain_number() -> None:
    samples = sort(evaluation=Evaluation([({"x": normal(1, 4, seed=i)}, np.array(1 - i)) for i in range(2)]))
    assert samples.held_out.targets is not None
    assert np.concatenate(samples.held_out.targets).tolist() == [1, 0]


@pytest.mark.parametrize("name", ["accuracy", "mse", "agreement"])
def test_function_of_the_users_is_never_taken_for_one_of_our_metrics(name: str) -> None:
    """`verify` finds ours by name, and has the user's no more."""

    def metric(_outputs: object, _target: object) -> float:
        return 1.0

    metric.__name__ = name
    samples = sort(evaluation=Evaluation([(batches(1)[0], np.array([0, 1]))], metric))
    assert samples.metric is not None
    assert samples.metric.name == f"custom {name}"


def broken() -> Iterator[dict[str, np.ndarray]]:
    yield {"x": normal(2, 4)}
    msg = "no such file"
    raise FileNotFoundError(msg)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"calibration": []}, "calibration: no batches, expected at least one, or None"),
        ({"calibration": 5}, "calibration: TypeError: .*, expected an iterable of batches"),
        (
            {"calibration": broken()},
            rf"calibration: FileNotFoundError: no such file \({re.escape(__file__)}, line \d+\)",
        ),
        ({"calibration": [normal(2, 4)]}, r"calibration: a batch with ndarray, expected a dict of arrays named \['x'"),
        ({"calibration": [{"z": normal(2, 4)}]}, r"calibration: a batch with \['z'\], expected .* named \['x'\]"),
        ({"calibration": [{"x": np.zeros((2, 4))}]}, r"'x' is float64 \[2, 4\], expected float32 \[-1, 4\]"),
        ({"calibration": [{"x": normal(2, 5)}]}, r"'x' is float32 \[2, 5\], expected float32 \[-1, 4\]"),
        ({"calibration": [{"x": normal(4)}]}, r"'x' is float32 \[4\], expected float32 \[-1, 4\]"),
        ({"calibration": [{"x": normal(0, 4)}]}, r"'x' is \[0, 4\], expected no empty batches"),
        ({"calibration": [{"x": normal(2, 4)}], "dynamic": {}}, r"float32 \[2, 4\], expected float32 \[1, 4\]"),
        ({"evaluation": Evaluation([])}, "evaluation: no batches, expected at least one, or no evaluation"),
        ({"evaluation": Evaluation(batches(2))}, r"evaluation: batches that are no pairs"),  # type: ignore[arg-type]
        ({"evaluation": Evaluation([(batches(1)[0], np.zeros(2)), (batches(1)[0], None)])}, "1 of 2 batches have a ta"),
        ({"evaluation": Evaluation([({"x": normal(2, 5)}, np.zeros(2))])}, r"evaluation: 'x' is float32 \[2, 5\]"),
        (
            {"evaluation": Evaluation([(batches(1)[0], np.zeros(2))], "f1")},
            "metric 'f1', expected one of accuracy, mse",
        ),
    ],
)
def test_data_that_is_not_the_models_is_refused(other: dict[str, object], message: str) -> None:
    with pytest.raises(DataError, match=message):
        sort(**other)


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (lambda n: np.full(n, 3), "targets from 3 to 3, expected classes 0 to 2"),
        (lambda n: np.full(n, -1), "targets from -1 to -1, expected classes 0 to 2"),
        (lambda n: np.full(n, np.nan), "targets from nan to nan, expected classes 0 to 2"),
        (lambda n: np.zeros(n + 1, int), r"targets of shape \[3\], expected \[2\], one class each"),
        (lambda n: np.eye(3)[:n], r"targets of shape \[2, 3\], expected \[2\], one class each"),
        (lambda n: np.array(["cat"] * n), "metric accuracy: .*"),
    ],
)
def test_targets_that_are_no_classes_are_refused(target: Callable[[int], np.ndarray], message: str) -> None:
    samples = sort(evaluation=Evaluation([({"x": normal(2, 4)}, target(2))]))
    with pytest.raises(DataError, match=message):
        Judge(samples.held_out, samples.metric, 0.01)


def test_goldens_are_made_of_single_samples_where_axis_0_is_the_batch() -> None:
    assert [single["x"].shape for single in sort(calibration=batches(4)).singles] == [(1, 4), (1, 4)]
    whole = source_of(nn.Identity(), torch.zeros(2, 4), calibration=batches(4), dynamic={})
    assert [single["x"].shape for single in sort_samples(whole, Reference(whole)).singles] == [(2, 4), (2, 4)]


def test_reading_is_done_once() -> None:
    given = iter(batches(4))
    source: ModelSource = source_of(mlp(4, 3), calibration=given)
    samples = sort_samples(source, Reference(source))
    assert len(samples.calibration) + len(samples.held_out.inputs) == 4
    assert next(given, None) is None
