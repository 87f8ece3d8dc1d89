"""Tables of numbers in CSV: a header, then one sample a row, its target in the last column."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import nn

from export.errors import DataError
from export.recipes.files import find_file, read_text
from export.recipes.recipe import Dataset, Split
from handlers.tasks.definitions import NumericColumn, TabularTask

__all__ = ["Standardize", "load_table", "table_task"]

HELD_OUT_EVERY = 4  # rows: the fourth, the eighth, ...


class Standardize(nn.Module):
    """Shifts and scales each column to mean 0 and deviation 1: what is served takes the units of the table."""

    def __init__(self, samples: np.ndarray) -> None:
        """Take means and deviations from samples float32 [n, columns]; they are saved with the weights."""
        super().__init__()
        self.mean: torch.Tensor
        self.deviation: torch.Tensor
        deviation = samples.std(0)
        self.register_buffer("mean", torch.from_numpy(samples.mean(0)))
        self.register_buffer("deviation", torch.from_numpy(np.where(deviation > 0, deviation, np.float32(1))))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return float32 [batch, columns] for float32 [batch, columns]."""
        return (x - self.mean) / self.deviation


def load_table(data: Path | None, name: str, classes: int | None = None) -> Dataset:
    """Read `name` from a folder; every fourth row is held out.

    Args:
        data: The folder; None: what is shipped.
        name: File name; the file may be gzipped, with `.gz` behind its name.
        classes: How many classes the last column tells apart, as 0, 1, ...; None: its values are numbers.

    Returns:
        Input `x` float32 [n, columns - 1], with their names; targets int64 [n] for classes, float32 [n, 1] for numbers.

    Raises:
        DataError: The file is missing or broken, or a label is outside the classes.
    """
    path = find_file(data, [name], name)
    names, table = _read(path)
    targets = table[:, -1:].astype(np.float32) if classes is None else _labels(table[:, -1], classes, path)
    inputs = table[:, :-1].astype(np.float32)
    held_out = np.arange(len(table)) % HELD_OUT_EVERY == HELD_OUT_EVERY - 1
    return Dataset(
        Split({"x": inputs[~held_out]}, targets[~held_out]),
        Split({"x": inputs[held_out]}, targets[held_out]),
        columns=tuple(names[:-1]),
    )


def table_task(dataset: Dataset, output: str, labels: Sequence[str] = ()) -> TabularTask:
    """Return the task that takes the columns of a table by name, in its units, as networks with `Standardize` do."""
    columns = tuple(NumericColumn(name=name, input="x") for name in dataset.columns)
    return TabularTask(columns=columns, output=output, labels=tuple(labels))


def _read(path: Path) -> tuple[list[str], np.ndarray]:
    """Return names and float64 [rows, columns], all finite; at least two columns, and rows to hold out."""
    header, *lines = read_text(path).splitlines() or [""]
    names = [name.strip() for name in header.split(",")]
    if len(names) < 2:  # noqa: PLR2004 - an input and a target
        msg = f"{path}: header {header[:60]!r}, expected names of columns, the target's last"
        raise DataError(msg)
    if not all(names) or len({*names}) < len(names):
        msg = f"{path}: header {header[:60]!r}, expected a name for each column, each once"
        raise DataError(msg)
    if len(lines) < HELD_OUT_EVERY:
        msg = f"{path}: {len(lines)} rows, expected at least {HELD_OUT_EVERY}: every fourth is held out"
        raise DataError(msg)
    rows = [_row(line, names, f"{path}, line {number}") for number, line in enumerate(lines, start=2)]
    return names, np.array(rows)


def _row(line: str, names: list[str], place: str) -> list[float]:
    values = line.split(",")
    if len(values) != len(names):
        msg = f"{place}: {len(values)} values, expected {len(names)} as in the header"
        raise DataError(msg)
    numbers = []
    for name, value in zip(names, values, strict=True):
        try:
            numbers.append(float(value))
        except ValueError as error:
            msg = f"{place}: {name} is {value!r}, expected a number"
            raise DataError(msg) from error
        if not np.isfinite(numbers[-1]):
            msg = f"{place}: {name} is {value}, expected a finite number"
            raise DataError(msg)
    return numbers


def _labels(column: np.ndarray, classes: int, path: Path) -> np.ndarray:
    wrong = np.flatnonzero(~np.isin(column, np.arange(classes)))
    if len(wrong):
        msg = f"{path}, line {wrong[0] + 2}: label {column[wrong[0]]:g}, expected classes 0 to {classes - 1}"
        raise DataError(msg)
    return column.astype(np.int64)
