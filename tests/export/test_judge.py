"""Metrics and the gate, against numbers worked out by hand."""

import math
from dataclasses import replace

import numpy as np
import pytest

from export.errors import DataError
from export.judge import HeldOut, Judge
from export.metrics import METRICS, Metric, agreement
from handlers.tasks.arrays import Arrays

NAN, INF = float("nan"), float("inf")


CLASSES = frozenset({"y"})


def array(*rows: object) -> np.ndarray:
    return np.array(rows, np.float32)


def judge_of(right: np.ndarray, target: np.ndarray | None, metric: Metric | None, max_loss: float = 0.1) -> Judge:
    """Return a judge over one batch that PyTorch answers with `right`."""
    targets = None if target is None else [target]
    return Judge(HeldOut([{"x": right}], [{"y": right}], targets, held_out=True), metric, max_loss)


def score(metric: str, outputs: np.ndarray, target: np.ndarray) -> float:
    return METRICS[metric].score({"y": outputs}, target)


def test_accuracy_is_the_share_of_right_classes() -> None:
    outputs = array([1, 5, 2], [7, 0, 1], [0, 1, 2], [3, 2, 1])  # classes 1, 0, 2, 0
    assert score("accuracy", outputs, np.array([1, 0, 0, 0])) == 0.75
    assert score("accuracy", outputs, np.array([[1], [1], [1], [0]])) == 0.5


@pytest.mark.parametrize("shape", [(4, 1), (4,)])
def test_accuracy_takes_one_output_for_a_probability(shape: tuple[int, ...]) -> None:
    outputs = np.array([0.9, 0.2, 0.6, 0.4], np.float32).reshape(shape)
    assert score("accuracy", outputs, np.array([1, 0, 0, 0])) == 0.75
    assert score("accuracy", outputs, np.array([True, False, True, True])) == 0.75


def test_accuracy_counts_every_element_of_a_sequence() -> None:
    outputs = array([[1, 0], [0, 1], [0, 1]], [[1, 0], [1, 0], [0, 1]])  # classes 0 1 1, 0 0 1
    assert score("accuracy", outputs, np.array([[0, 1, 0], [0, 0, 1]])) == pytest.approx(5 / 6)


def test_mse_is_the_mean_squared_error() -> None:
    assert score("mse", array([1], [2], [4]), np.array([1, 4, 1])) == pytest.approx((0 + 4 + 9) / 3)


def test_mse_refuses_targets_of_another_size() -> None:
    with pytest.raises(DataError, match=r"targets of shape \[3\], expected \[2, 2\] as the output"):
        score("mse", np.zeros((2, 2)), np.zeros(3))


def test_agreement_is_the_mean_cosine_where_classes_agree() -> None:
    right, found = array([1, 0], [0, 1]), array([4, 3], [0, 2])  # cosines 0.8 and 1, same argmax
    assert agreement({"y": found}, {"y": right}, CLASSES) == pytest.approx(0.9)


def test_agreement_is_the_share_of_same_classes_where_that_is_less() -> None:
    right = array([10, 9], [10, 9], [10, 9], [10, 9])
    found = array([10, 9], [10, 9], [10, 9], [9, 10])  # cosines all above 0.99
    assert agreement({"y": found}, {"y": right}, CLASSES) == 0.75


def test_largest_element_of_what_is_no_class_says_nothing() -> None:
    right, found = array([10, 9]), array([9, 10])
    assert agreement({"y": found}, {"y": right}, frozenset()) == pytest.approx(180 / 181)
    assert agreement({"y": found}, {"y": right}, CLASSES) == 0


def test_integers_are_equal_or_not() -> None:
    right, found = np.array([[900, 1, 2, 3, 4]]), np.array([[900, 5, 6, 7, 8]])  # cosine 0.99996
    assert agreement({"y": found}, {"y": right}, frozenset()) == pytest.approx(0.2)


def test_class_of_a_probability_is_whether_it_is_over_one_half() -> None:
    right, found = array([0.4], [0.9]), array([0.6], [0.9])
    assert agreement({"y": found}, {"y": right}, CLASSES) == 0.5


def test_confusion_counts_classes_of_any_number_of_samples() -> None:
    right = np.linspace(0, 1, 2000)
    data = HeldOut([{}], [{"y": right}], [(right > 0.5).astype(float)], held_out=True)
    found = Judge(data, METRICS["accuracy"], 0.1).confusion({"y": np.ones(2000)})
    assert found is not None
    assert found.pytorch == [[1000, 0], [0, 1000]]
    assert found.chosen == [[0, 1000], [0, 1000]]


def test_metric_without_targets_says_whether_classes_count() -> None:
    data = HeldOut([{}], [{"y": array([1, 0])}], None, held_out=True)
    assert Judge(data, None, 0.1).metric_name == "cosine"
    assert Judge(replace(data, classes=CLASSES), None, 0.1).metric_name == "agreement"


def test_agreement_is_that_of_the_worst_output() -> None:
    right = {"a": array([1, 0]), "b": array([1, 0])}
    assert agreement({"a": array([1, 0]), "b": array([4, 3])}, right, frozenset()) == pytest.approx(0.8)
    assert agreement({"a": array([4, 3]), "b": array([1, 0])}, right, frozenset()) == pytest.approx(0.8)


@pytest.mark.parametrize("output", ["a", "b"])
@pytest.mark.parametrize("wrong", [NAN, INF])
def test_agreement_passes_over_no_output_that_is_not_finite(output: str, wrong: float) -> None:
    right = {"a": array([1, 2]), "b": array([1, 2])}
    assert math.isnan(agreement(right | {output: array([1, wrong])}, right, frozenset({"a", "b"})))


def test_agreement_of_numbers_without_a_second_axis_is_over_all_of_them() -> None:
    assert agreement({"y": array(4, 3)}, {"y": array(1, 0)}, CLASSES) == pytest.approx(0.8)


def test_agreement_of_zeros_is_perfect_with_zeros_and_nothing_with_else() -> None:
    zeros, ones = np.zeros((1, 2)), np.ones((1, 2))
    assert agreement({"y": zeros}, {"y": zeros}, frozenset()) == 1
    assert agreement({"y": zeros}, {"y": ones}, frozenset()) == 0


def test_loss_is_relative_to_pytorchs_own_score() -> None:
    right, target = array([0, 1], [0, 1], [0, 1], [1, 0]), np.array([1, 1, 0, 0])  # accuracy 0.75
    judge = judge_of(right, target, METRICS["accuracy"], max_loss=1 / 3)
    assert judge.reference_score == 0.75
    gate = judge.judge(lambda _: {"y": array([0, 1], [1, 0], [0, 1], [1, 0])})  # 0.5
    assert (gate.metric, gate.reference, gate.score, gate.samples, gate.held_out) == ("accuracy", 0.75, 0.5, 4, True)
    assert gate.loss == pytest.approx(1 / 3)
    assert gate.passed
    assert not judge_of(right, target, METRICS["accuracy"], 0.33).judge(lambda _: {"y": right[::-1]}).passed


def test_lower_mse_is_better() -> None:
    judge = judge_of(array([1], [2]), np.array([2, 3]), METRICS["mse"])  # PyTorch's error is 1
    worse = judge.judge(lambda _: {"y": array([0.5], [1.5])})  # 2.25
    better = judge.judge(lambda _: {"y": array([2], [2])})  # 0.5
    assert (worse.loss, worse.passed) == (1.25, False)
    assert (better.loss, better.passed) == (-0.5, True)


@pytest.mark.parametrize("metric", ["mse", "agreement"])
@pytest.mark.parametrize("wrong", [NAN, INF, -INF])
def test_answers_that_are_not_finite_lose_everything(metric: str, wrong: float) -> None:
    target = np.array([2, 3]) if metric == "mse" else None
    gate = judge_of(array([1], [2]), target, METRICS.get(metric), 1.0).judge(lambda _: {"y": array([1], [wrong])})
    assert gate.loss == INF
    assert not gate.passed


def test_function_of_the_users_judges_and_larger_is_better() -> None:
    def negative_error(outputs: Arrays, target: np.ndarray) -> float:
        return -float(np.abs(outputs["y"][:, 0] - target).mean())

    metric = Metric("negative_error", negative_error)
    judge = judge_of(array([1], [2]), np.array([2, 3]), metric)  # PyTorch: -1
    gate = judge.judge(lambda _: {"y": array([1], [1])})  # -1.5
    assert (gate.metric, gate.score, gate.loss, gate.passed) == ("negative_error", -1.5, 0.5, False)
    assert judge.judge(lambda _: {"y": array([2], [3])}).loss == -1


def test_function_of_the_users_that_raises_is_named() -> None:
    def broken(_outputs: Arrays, _target: np.ndarray) -> float:
        msg = "no such class"
        raise KeyError(msg)

    with pytest.raises(DataError, match="metric broken: KeyError: 'no such class'"):
        judge_of(array([1]), np.array([1]), Metric("broken", broken))


@pytest.mark.parametrize(
    ("right", "target", "metric"), [(array([NAN]), None, None), (array([INF]), np.array([1]), METRICS["mse"])]
)
def test_pytorch_answers_that_are_not_finite_are_refused(
    right: np.ndarray, target: np.ndarray | None, metric: Metric | None
) -> None:
    """No variant can be compared with them, and a manifest that holds their score could not be read back."""
    with pytest.raises(DataError, match=r"PyTorch's own (cosine|mse) is (nan|inf), expected a finite number"):
        judge_of(right, target, metric)


def test_no_data_is_refused() -> None:
    with pytest.raises(DataError, match="evaluation: no batches, expected at least one"):
        Judge(HeldOut([], [], None, held_out=True), None, 0.1)


def test_batches_that_cannot_be_compared_with_targets_are_refused_with_their_shapes() -> None:
    outputs = [{"y": np.ones((2, 5, 3))}, {"y": np.ones((2, 7, 3))}]
    targets = [np.ones((2, 5)), np.ones((2, 7))]
    with pytest.raises(DataError, match=r"targets of shapes \[\(2, 5\), \(2, 7\)\], expected shapes that dif"):
        Judge(HeldOut([{}, {}], outputs, targets, held_out=True), METRICS["accuracy"], 0.1)
    with pytest.raises(DataError, match=r"outputs 'y' of shapes \[\(2, 5, 3\), \(2, 7, 3\)\], expected shapes that d"):
        Judge(HeldOut([{}, {}], outputs, [np.ones(2), np.ones(2)], held_out=True), METRICS["accuracy"], 0.1)


def test_sequences_of_several_lengths_are_compared_row_by_row() -> None:
    outputs = [{"y": np.ones((2, 5, 3))}, {"y": np.ones((2, 7, 3))}]
    judge = Judge(HeldOut([{"i": array(0)}, {"i": array(1)}], outputs, None, held_out=True), None, 0.1)
    wrong = {"y": np.ones((2, 7, 3)) * [1, 1, -1]}  # cosine 1/3, in 14 of 24 rows
    gate = judge.judge(lambda inputs: wrong if inputs["i"] else outputs[0])
    assert gate.score == pytest.approx((10 + 14 / 3) / 24)


def test_states_of_batches_of_several_sizes_do_not_stand_in_the_way_of_targets() -> None:
    outputs = [{"y": array([0, 1], [0, 1]), "h": np.ones((1, 2, 4))}, {"y": array([1, 0]), "h": np.ones((1, 1, 4))}]
    data = HeldOut([{}, {}], outputs, [np.array([1, 1]), np.array([0])], held_out=True)
    assert Judge(data, METRICS["accuracy"], 0.1).reference_score == 1


def test_several_batches_are_judged_together() -> None:
    outputs = [{"y": array([0, 1], [0, 1])}, {"y": array([1, 0])}]
    data = HeldOut([{"x": array(0)}, {"x": array(1)}], outputs, [np.array([1, 1]), np.array([0])], held_out=True)
    judge = Judge(data, METRICS["accuracy"], 0.1)
    gate = judge.judge(lambda inputs: outputs[int(inputs["x"][0])])
    assert (judge.reference_score, gate.score, gate.samples) == (1, 1, 3)
    assert judge.judge(lambda _: outputs[0] if _["x"][0] == 0 else {"y": array([0, 1])}).score == pytest.approx(2 / 3)
