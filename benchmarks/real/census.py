"""UCI Adult, the census of 1994, as the networks of dice-ml take it: 29 features a person, and who earns over 50,000 $.

B. Becker, R. Kohavi, "Adult", UCI Machine Learning Repository, 1996, doi:10.24432/C5XW20, CC BY 4.0. The categories are
merged as in dice-ml's `load_adult_income_dataset`.
"""

import csv
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from export import CategoricalColumn, NumericColumn, TabularTask
from export.errors import DataError

__all__ = ["FEATURES", "TASK", "read_people", "read_rows"]

_COLUMNS = (
    *("age", "workclass", "weight", "education", "years", "marital", "occupation", "relationship", "race", "gender"),
    *("gain", "loss", "hours", "country", "income"),
)
_CATEGORIES = {
    "workclass": ("Government", "Other/Unknown", "Private", "Self-Employed"),
    "education": (*("Assoc", "Bachelors", "Doctorate", "HS-grad", "Masters", "Prof-school", "School", "Some-college"),),
    "marital": ("Divorced", "Married", "Separated", "Single", "Widowed"),
    "occupation": ("Blue-Collar", "Other/Unknown", "Professional", "Sales", "Service", "White-Collar"),
    "race": ("Other", "White"),
    "gender": ("Female", "Male"),
}
"""What each column is one of, in the order of the features."""

_MERGED: dict[str, dict[str, tuple[str, ...]]] = {
    "workclass": {
        "Government": ("Federal-gov", "State-gov", "Local-gov"),
        "Self-Employed": ("Self-emp-not-inc", "Self-emp-inc"),
        "Other/Unknown": ("Without-pay", "Never-worked", "?"),
    },
    "education": {
        "Assoc": ("Assoc-voc", "Assoc-acdm"),
        "School": ("Preschool", "1st-4th", "5th-6th", "7th-8th", "9th", "10th", "11th", "12th"),
    },
    "marital": {
        "Married": ("Married-civ-spouse", "Married-AF-spouse", "Married-spouse-absent"),
        "Single": ("Never-married",),
    },
    "occupation": {
        "White-Collar": ("Adm-clerical", "Exec-managerial"),
        "Blue-Collar": (
            "Craft-repair",
            "Farming-fishing",
            "Handlers-cleaners",
            "Machine-op-inspct",
            "Transport-moving",
        ),
        "Service": ("Other-service", "Priv-house-serv", "Protective-serv", "Tech-support"),
        "Professional": ("Prof-specialty",),
        "Other/Unknown": ("Armed-Forces", "?"),
    },
    "race": {"Other": ("Black", "Asian-Pac-Islander", "Amer-Indian-Eskimo")},
}
"""What the file has in place of some categories."""

_CATEGORY_OF = {
    column: {category: category for category in categories}
    | {value: into for into, values in _MERGED.get(column, {}).items() for value in values}
    for column, categories in _CATEGORIES.items()
}
"""The category for each value that a column has."""

FEATURES = 2 + sum(len(categories) for categories in _CATEGORIES.values())

_YOUNGEST, _AGES = 17, 73  # from the least value to the greatest
_LEAST_HOURS, _HOURS = 1, 98

TASK = TabularTask(
    columns=(
        NumericColumn(name="age", input="features", offset=_YOUNGEST, scale=_AGES, minimum=0),
        NumericColumn(name="hours", input="features", offset=_LEAST_HOURS, scale=_HOURS, minimum=0, maximum=168),
        *(
            CategoricalColumn(
                name=name,
                input="features",
                categories=categories,
                aliases={word: into for into, words in _MERGED.get(name, {}).items() for word in words if word != "?"},
                missing="Other/Unknown" if "Other/Unknown" in categories else None,
            )
            for name, categories in _CATEGORIES.items()
        ),
    ),
    output="probability",
    labels=("<=50K", ">50K"),
    ignored=("weight", "years", "relationship", "gain", "loss", "country", "income"),
    missing_words=("", "?"),
)
"""Rows as in the file, to the features of `read_people`."""


def read_people(path: Path) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """Return the people of `adult.data` or `adult.test`.

    Returns:
        Features float32 [people, 29]: age and weekly hours from 0 to 1, then 0 or 1 for every category, sorted by
        name within its column. Labels int64 [people]: 1 for an income of over 50,000 $ a year.

    Raises:
        DataError: A row has another number of columns, or a value that no category takes.
    """
    people = read_rows(path)
    features = np.array([_features(person, path) for person in people], np.float32)
    labels = np.array([person["income"].startswith(">50K") for person in people], np.int64)
    return features, labels


def read_rows(path: Path) -> list[dict[str, str]]:
    """Return the people of `adult.data` or `adult.test` as they are there: 15 columns, "?" where nothing is known.

    Raises:
        DataError: A row has another number of columns.
    """
    with path.open(encoding="ascii", newline="") as file:
        return list(_rows(file, path))


def _rows(file: Iterable[str], path: Path) -> Iterator[dict[str, str]]:
    for row in csv.reader(file, skipinitialspace=True):
        if len(row) == len(_COLUMNS):
            yield dict(zip(_COLUMNS, row, strict=True))
        elif row and not row[0].startswith("|"):  # adult.test opens with a remark
            msg = f"{path}: a row of {len(row)} columns, expected {len(_COLUMNS)}"
            raise DataError(msg)


def _features(person: dict[str, str], path: Path) -> list[float]:
    features = [(int(person["age"]) - _YOUNGEST) / _AGES, (int(person["hours"]) - _LEAST_HOURS) / _HOURS]
    for column, categories in _CATEGORIES.items():
        category = _CATEGORY_OF[column].get(person[column])
        if category is None:
            msg = f"{path}: {column} {person[column]!r}, expected one of {', '.join(_CATEGORY_OF[column])}"
            raise DataError(msg)
        features += [float(category == other) for other in categories]
    return features
