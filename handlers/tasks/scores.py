"""From a model's output to labels with scores, for every task that classifies."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from handlers.tasks.definitions import Activation

__all__ = ["scores", "top"]


def scores(array: np.ndarray, activation: "Activation") -> np.ndarray:
    """Return the scores that an output stands for.

    Args:
        array: Numbers [..., labels], of any type.
        activation: What makes scores of them; softmax goes over the last axis.

    Returns:
        float32, of the same shape. Nothing finite overflows; NaN stays NaN.
    """
    values: np.ndarray = array.astype(np.float32)
    match activation:
        case "softmax":
            values = np.exp(values - values.max(axis=-1, keepdims=True))
            values /= values.sum(axis=-1, keepdims=True)
        case "sigmoid":
            values = np.exp(-np.logaddexp(np.float32(0), -values))  # 1 / (1 + exp(-x)) would overflow far below zero
        case "none":
            pass
    return values


def top(row: np.ndarray, labels: Sequence[str], k: int) -> list[dict[str, object]]:
    """Return the `k` best labels, or all where there are fewer, the best first, as `{"label", "score"}`.

    Args:
        row: Scores [labels]. Of equal ones the first comes first; NaN comes last.
        labels: One for each score.
        k: How many, at least 1.
    """
    best = np.argsort(-row, kind="stable")[:k]
    return [{"label": labels[index], "score": float(row[index])} for index in best]
