"""The task `tabular` of a table that is there: scales and categories come from its values."""

from collections.abc import Iterable, Sequence
from typing import Protocol

import numpy as np

from export.errors import DataError
from handlers.tasks.definitions import Activation, CategoricalColumn, Column, NumericColumn, TabularTask

__all__ = ["Table", "tabular_task"]


class Table(Protocol):
    """Columns by name: a dict, or a data frame of pandas."""

    def items(self) -> Iterable[tuple[str, Iterable[object]]]:
        """Return names and values, in the order of the model's features."""


def tabular_task(  # noqa: PLR0913 - all but the first two by name only
    table: Table,
    input_name: str,
    *,
    output: str,
    labels: Sequence[str] = (),
    activation: Activation = "none",
    ignored: Sequence[str] = (),
) -> TabularTask:
    """Return the task that takes rows like those of a table of training data.

    A column of numbers is shifted and scaled to mean 0 and deviation 1, as scikit-learn's StandardScaler does; where
    some are missing (None, NaN), their mean stands in before that, as SimpleImputer has it. Any other is one-hot over
    its words, sorted, as `pandas.get_dummies` and OneHotEncoder have it, booleans as "false" and "true". For another
    pipeline write the columns out, or change these by `msgspec.structs.replace`.

    Args:
        table: The training data, without the target.
        input_name: The model's input, [batch, features].
        output: Its output.
        labels: As `TabularTask` has them, and so `activation`.
        activation: What makes scores of the output.
        ignored: Columns of the table that the model does not read.

    Raises:
        DataError: A column is empty, or lacks a word somewhere.
    """
    columns = tuple(
        _column(name, np.array([*values], dtype=object), input_name)
        for name, values in table.items()
        if name not in ignored
    )
    return TabularTask(
        columns=columns, output=output, labels=tuple(labels), activation=activation, ignored=tuple(ignored)
    )


def _column(name: str, values: np.ndarray, input_name: str) -> Column:
    missing = np.array([value is None or value != value for value in values], bool)  # noqa: PLR0124 - NaN is not itself
    there = values[~missing]
    if not len(there):
        msg = f"column {name!r}: no values, expected some"
        raise DataError(msg)
    if all(isinstance(value, int | float | np.number) and not isinstance(value, bool) for value in there):
        numbers = there.astype(np.float64)
        mean = float(numbers.mean())
        instead = mean if missing.any() else None
        filled = np.full(len(values), mean)  # scaling comes after filling, and sees what stands in
        filled[~missing] = numbers
        deviation = float(filled.std()) or 1.0
        return NumericColumn(name=name, input=input_name, offset=mean, scale=deviation, missing=instead)
    if missing.any():
        msg = f"column {name!r}: no value in row {missing.argmax()}, expected words; fill it with the word for nothing"
        raise DataError(msg)
    words = [str(value).lower() if isinstance(value, bool | np.bool_) else str(value) for value in there]
    return CategoricalColumn(name=name, input=input_name, categories=tuple(sorted({*words})))
