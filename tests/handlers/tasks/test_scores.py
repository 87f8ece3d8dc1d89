import numpy as np
import pytest
import torch

from handlers.tasks.definitions import Activation
from handlers.tasks.scores import scores, top

# float32 has 24 bits; torch sums in another order than numpy
TOLERANCE = 1e-6
VALUES = np.random.default_rng(0).normal(scale=8, size=(4, 7, 11)).astype(np.float32)


@pytest.mark.parametrize(
    ("activation", "reference"),
    [("none", lambda values: values), ("softmax", lambda values: values.softmax(-1)), ("sigmoid", torch.sigmoid)],
)
def test_scores_are_those_of_torch(activation: Activation, reference: "type[torch.Tensor]") -> None:
    expected = reference(torch.from_numpy(VALUES)).numpy()

    found = scores(VALUES, activation)

    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=TOLERANCE * 10, atol=TOLERANCE)


@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_no_output_overflows(activation: Activation, dtype: np.dtype) -> None:
    most = min(float(np.finfo(dtype).max), 1e30)  # warnings are errors here

    found = scores(np.array([[-most, 0, most]], dtype), activation)

    assert found.dtype == np.float32
    np.testing.assert_array_equal(found[0], [0, 0 if activation == "softmax" else 0.5, 1])


def test_a_small_probability_is_not_rounded_to_zero() -> None:
    np.testing.assert_allclose(scores(np.array([-50.0]), "sigmoid"), [1.928750e-22], rtol=1e-4)


def test_the_best_labels_come_first() -> None:
    row = np.array([0.125, 0.5, 0.25, 0.125], np.float32)

    assert top(row, ["a", "b", "c", "d"], 3) == [
        {"label": "b", "score": 0.5},
        {"label": "c", "score": 0.25},
        {"label": "a", "score": 0.125},  # before d, which is as good
    ]
    assert [found["label"] for found in top(row, ["a", "b", "c", "d"], 9)] == ["b", "c", "a", "d"]


def test_what_is_no_number_comes_last() -> None:
    row = np.array([np.nan, 0.25, 0.75], np.float32)

    assert [found["label"] for found in top(row, ["a", "b", "c"], 3)] == ["c", "b", "a"]
