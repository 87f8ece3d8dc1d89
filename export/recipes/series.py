"""Labelled time series in the `.ts` format of the UCR/UEA archive, all of one length.

Source of the format: https://www.sktime.net/en/latest/api_reference/file_specifications/ts.html. Lines that begin with
`#` are comments, `@` a header up to `@data`; then one series a line: values joined by commas, dimensions and the label
by colons.
"""

from pathlib import Path

import numpy as np

from export.errors import DataError
from export.recipes.files import SHIPPED, read_text
from export.recipes.recipe import Dataset, Split

__all__ = ["load_series"]


def load_series(data: Path | None) -> Dataset:
    """Read the one `*_TRAIN.ts` and the one `*_TEST.ts` of a folder (each may be gzipped); None: what is shipped.

    Returns:
        Input `series` float32 [n, time, dimensions]; targets int64 [n], positions in the sorted labels of the training
        series.

    Raises:
        DataError: A file is missing or broken, or both do not fit each other.
    """
    train_path, test_path = (_find(SHIPPED if data is None else data, part) for part in ("TRAIN", "TEST"))
    train, train_labels = _read(train_path)
    test, test_labels = _read(test_path)
    if train.shape[1:] != test.shape[1:]:
        msg = f"{test_path}: series of shape {list(test.shape[1:])}, expected {list(train.shape[1:])} as for training"
        raise DataError(msg)
    classes = {label: index for index, label in enumerate(sorted(set(train_labels)))}
    unknown = sorted(set(test_labels) - set(classes))
    if unknown:
        msg = f"{test_path}: label {unknown[0]!r}, expected one of {', '.join(classes)} as for training"
        raise DataError(msg)
    return Dataset(
        Split({"series": train}, np.array([classes[label] for label in train_labels])),
        Split({"series": test}, np.array([classes[label] for label in test_labels])),
    )


def _find(folder: Path, part: str) -> Path:
    found = [path for ending in ("ts", "ts.gz") for path in sorted(folder.glob(f"*_{part}.{ending}"))]
    if len(found) != 1:
        names = ", ".join(path.name for path in found) or "no such file"
        msg = f"{folder}: {names}, expected one that ends in _{part}.ts (or .ts.gz)"
        raise DataError(msg)
    return found[0]


def _read(path: Path) -> tuple[np.ndarray, list[str]]:
    """Return series float32 [n, time, dimensions] and their labels as they are written."""
    lines = read_text(path).splitlines()
    starts = [number for number, line in enumerate(lines) if line.strip().lower() == "@data"]
    if not starts:
        msg = f"{path}: no line @data, expected the .ts format"
        raise DataError(msg)
    rows = [(n, line.strip()) for n, line in enumerate(lines[starts[0] + 1 :], start=starts[0] + 2) if line.strip()]
    if not rows:
        msg = f"{path}: no series, expected at least one"
        raise DataError(msg)
    series, labels = zip(*(_series(line, f"{path}, line {number}") for number, line in rows), strict=True)
    for (number, _), values in zip(rows, series, strict=True):
        if values.shape != series[0].shape:
            msg = f"{path}, line {number}: {list(values.shape)}, expected {list(series[0].shape)} (time, dimensions)"
            raise DataError(msg)
    return np.stack(series), list(labels)


def _series(line: str, place: str) -> tuple[np.ndarray, str]:
    *dimensions, label = line.split(":")
    try:
        values = np.array([[float(value) for value in dimension.split(",")] for dimension in dimensions], np.float32)
    except ValueError as error:  # no number, or dimensions of different lengths
        msg = f"{place}: {error}, expected numbers, as many in each dimension"
        raise DataError(msg) from error
    if not values.size or not np.isfinite(values).all():
        msg = f"{place}: values missing or not finite, expected numbers and a label, joined by colons"
        raise DataError(msg)
    return np.ascontiguousarray(values.T), label.strip()
