"""The data of a source is sorted into what calibrates and what judges, and refused where it is not the model's."""

import re
from collections.abc import Callable, Iterator
from dataclasses import replace

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


def test_single_batch_is_cut_in_halves() -> None:
    [batch] = batches(1)
    samples = sort(calibration=[batch])
    assert rows(samples.calibration) == {batch["x"][0].tobytes()}
    assert rows(samples.held_out.inputs) == {batch["x"][1].tobytes()}
    assert samples.held_out.held_out
    assert not samples.warnings


def test_without_data_the_example_calibrates_and_the_example_with_noise_judges_and_that_is_said() -> None:
    samples = sort()
    assert rows(samples.calibration) == {bytes(16)}
    assert (samples.calibrating, samples.calibration_source) == (1, "example")
    assert len(rows(samples.held_out.inputs)) == 8
    assert not rows(samples.held_out.inputs) & rows(samples.calibration)
    assert not samples.held_out.held_out
    evaluation, calibration = samples.warnings
    assert evaluation.startswith("evaluation: no held-out data; the example inputs with noise judge")
    assert calibration.startswith("calibration: no data; the example inputs calibrate")


def test_without_data_an_example_that_cannot_be_varied_judges_and_calibrates_nothing() -> None:
    source = source_of(torch.nn.Embedding(5, 3), torch.zeros(1, 4, dtype=torch.int64))
    samples = sort_samples(source, Reference(source))
    assert samples.calibration == []
    assert [batch["x"].tolist() for batch in samples.held_out.inputs] == [[[0, 0, 0, 0]]]
    assert "nothing calibrates: the example inputs judge" in samples.warnings[1]


@pytest.mark.parametrize(("count", "calibrating"), [(2, 1), (4, 2), (9, 5)])
def test_without_calibration_data_a_quarter_of_the_evaluation_calibrates_and_does_not_judge(
    count: int, calibrating: int
) -> None:
    pairs = [(batch, np.array([i, i])) for i, batch in enumerate(batches(count))]
    samples = sort(evaluation=Evaluation(pairs, lambda _outputs, _targets: 1.0))
    assert samples.calibrating == calibrating  # every fourth sample, of batches of two
    assert samples.calibration_source == "evaluation"
    assert not rows(samples.calibration) & rows(samples.held_out.inputs)
    assert rows(samples.calibration) | rows(samples.held_out.inputs) == rows(batches(count))
    assert samples.held_out.targets is not None
    known = {row.tobytes(): i for i, batch in enumerate(batches(count)) for row in batch["x"]}
    for inputs, target in zip(samples.held_out.inputs, samples.held_out.targets, strict=True):
        assert [known[row.tobytes()] for row in inputs["x"]] == target.tolist()
    assert samples.warnings[0].startswith(
        "calibration: no data that does not judge; every fourth sample of the evaluation calibrates"
    )


def test_single_batch_of_evaluation_is_cut_with_its_targets() -> None:
    data, targets = normal(8, 4), np.arange(8) % 3
    samples = sort(evaluation=Evaluation([({"x": data}, targets)]))
    np.testing.assert_array_equal(samples.calibration[0]["x"], data[::4])
    others = np.arange(8) % 4 != 0
    np.testing.assert_array_equal(samples.held_out.inputs[0]["x"], data[others])
    assert samples.held_out.targets is not None
    np.testing.assert_array_equal(samples.held_out.targets[0], targets[others])


def test_sample_that_is_in_an_evaluation_twice_does_not_calibrate() -> None:
    data = normal(8, 4)
    data[5] = data[4]  # the one would be taken, and the other judge
    samples = sort(evaluation=Evaluation([({"x": data}, np.arange(8) % 3)]))
    assert rows(samples.calibration) == {data[0].tobytes()}
    assert "calibration: 1 samples also judge; they do not calibrate" in samples.warnings


def test_example_that_judges_does_not_calibrate() -> None:
    pairs = [({"x": np.zeros((1, 4), np.float32)}, np.array([0]))]
    samples = sort(evaluation=Evaluation(pairs))
    assert samples.calibration == samples.steering == []
    assert rows(samples.held_out.inputs) == {bytes(16)}


def test_values_in_another_order_steer_where_only_the_example_judges() -> None:
    source = source_of(torch.nn.Embedding(9, 3), torch.arange(4).reshape(1, 4))
    samples = sort_samples(source, Reference(source))
    assert samples.calibration == []
    [steering] = samples.steering
    assert sorted(steering["x"].ravel().tolist()) == [0, 1, 2, 3]
    assert steering["x"].tolist() != [[0, 1, 2, 3]]


def test_padding_does_not_make_another_sample() -> None:
    source = source_of(torch.nn.Embedding(9, 3), torch.zeros(1, 4, dtype=torch.int64), dynamic={"x": {0: "b", 1: "s"}})
    source = replace(
        source,
        calibration=[{"x": np.array([[5, 6, 7, 0], [8, 1, 0, 0]])}],
        evaluation=Evaluation([({"x": np.array([[5, 6, 7]])}, None)]),
    )
    samples = sort_samples(source, Reference(source))
    assert [batch["x"].tolist() for batch in samples.calibration] == [[[8, 1, 0, 0]]]


class First(torch.nn.Module):
    """A sequence comes first, and its parts know of each other; the batch is the second axis."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.GRU(4, 3, bidirectional=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.layer(x)[0]
        return result


def test_sequences_are_not_cut_where_they_come_first() -> None:
    data = normal(6, 2, 4)
    source = source_of(
        First(), torch.zeros(3, 1, 4), dynamic={"x": {0: "sequence", 1: "batch"}}, calibration=[{"x": data}]
    )
    samples = sort_samples(source, Reference(source))
    assert not samples.divisible
    assert [batch["x"].shape for batch in samples.calibration] == [(6, 2, 4)]
    assert all(single["x"].shape[0] == 3 for single in samples.singles)


def test_inputs_of_different_lengths_are_not_cut_alike() -> None:
    class Both(torch.nn.Module):
        def forward(self, q: torch.Tensor, m: torch.Tensor) -> torch.Tensor:
            return q @ m.T @ m

    inputs = {"q": torch.randn(2, 4), "m": torch.randn(2, 4)}
    source = source_of(Both(), inputs=inputs, dynamic={"q": {0: "batch"}, "m": {0: "slots"}})
    assert not sort_samples(source, Reference(source)).divisible


def test_samples_that_judge_do_not_calibrate_even_where_they_were_given_for_both() -> None:
    both, own = normal(2, 4, seed=1), normal(3, 4, seed=2)
    samples = sort(
        calibration=[{"x": np.concatenate([own, both])}, {"x": both}],
        evaluation=Evaluation([({"x": both}, np.array([0, 1]))]),
    )
    assert rows(samples.calibration) == {row.tobytes() for row in own}
    assert rows(samples.held_out.inputs) == {row.tobytes() for row in both}
    assert samples.warnings == ["calibration: 4 samples also judge; they do not calibrate"]


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
    assert Judge(samples.held_out, samples.metric, 0.01).metric_name == "cosine"
    assert samples.declared is None


@pytest.mark.parametrize("metric", ["agreement", "cosine"])
def test_source_without_targets_may_say_how_its_outputs_are_compared(metric: str) -> None:
    assert sort(evaluation=Evaluation([(batch, None) for batch in batches(2)], metric)).declared == metric


@pytest.mark.parametrize("metric", ["agreement", "cosine"])
def test_comparison_with_pytorch_is_no_metric_for_targets(metric: str) -> None:
    with pytest.raises(DataError, match=f"metric '{metric}', expected one of accuracy, mse, or a function"):
        sort(evaluation=Evaluation([(batch, np.array([0, 1])) for batch in batches(2)], metric))


def test_target_of_a_single_sample_may_be_a_plain_number() -> None:
    pairs = [({"x": normal(1, 4, seed=i)}, np.array(1 - i)) for i in range(2)]
    samples = sort(calibration=batches(1), evaluation=Evaluation(pairs))
    assert samples.held_out.targets is not None
    assert np.concatenate(samples.held_out.targets).tolist() == [1, 0]


@pytest.mark.parametrize("name", ["accuracy", "mse", "agreement", "cosine"])
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
        (lambda n: np.array(["cat"] * n), "targets of type <U3 that are no whole numbers, expected classes"),
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


def test_cache_that_is_empty_at_first_is_no_empty_batch() -> None:
    class Cached(torch.nn.Module):
        def forward(self, x: torch.Tensor, past: torch.Tensor) -> torch.Tensor:
            return torch.cat([past, x], 1).sum(1)

    inputs = {"x": torch.zeros(1, 1, 4), "past": torch.zeros(1, 3, 4)}
    dynamic = {"x": {0: "batch"}, "past": {0: "batch", 1: "length"}}
    given = {"x": normal(2, 1, 4), "past": np.zeros((2, 0, 4), np.float32)}
    source = source_of(Cached(), inputs=inputs, dynamic=dynamic, evaluation=Evaluation([(given, None)]))
    assert sort_samples(source, Reference(source)).held_out.held_out


def test_targets_that_are_no_whole_numbers_are_no_classes() -> None:
    evaluation = Evaluation([({"x": normal(8, 4)}, np.full(8, 0.5))])
    samples = sort(evaluation=evaluation)
    with pytest.raises(DataError, match="targets of type float64 that are no whole numbers, expected classes"):
        Judge(samples.held_out, samples.metric, 0.01)
