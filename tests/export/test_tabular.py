"""A task made of a table: the same features as numpy, or scikit-learn, makes of it."""

import re
from pathlib import Path

import numpy as np
import pytest

from export.errors import DataError
from export.tabular import tabular_task
from handlers.registry.manifest import TensorSpec
from handlers.tasks.definitions import TabularTask
from handlers.tasks.opening import open_task

TABLE: dict[str, list[object]] = {
    "age": [20, 30, 70],
    "fare": [1.5, None, float("nan")],
    "port": ["S", "C", "S"],
    "alone": [*np.array([True, False]), True],
    "ticket": [1, 2, 3],
}


def test_features_are_standardised_and_one_hot() -> None:
    task = tabular_task(TABLE, "x", output="y", labels=["no", "yes"], activation="sigmoid", ignored=["ticket"])
    inputs = [TensorSpec(name="x", datatype="FP32", shape=(-1, 6))]
    opened = open_task(task, inputs, [TensorSpec(name="y", datatype="FP32", shape=(-1, 1))], None)
    rows = [
        {"age": 20, "fare": 1.5, "port": "S", "alone": True, "ticket": 1},
        {"age": 30, "fare": None, "port": "C", "alone": False},
        {"age": 70, "port": "S", "alone": "true"},
    ]

    found = opened.collate(opened.prepare(rows))["x"]

    age = np.array([20.0, 30, 70])
    expected = [(age - age.mean()) / age.std(), [0, 0, 0], [0, 1, 0], [1, 0, 1], [0, 1, 0], [1, 0, 1]]
    np.testing.assert_allclose(found, np.transpose(expected), rtol=0, atol=1e-7)
    assert task.columns[1].missing == 1.5


def test_what_cannot_be_told_is_refused() -> None:
    with pytest.raises(DataError, match="column 'port': no value in row 1, expected words; fill it"):
        tabular_task({"port": ["S", None]}, "x", output="y")
    with pytest.raises(DataError, match="column 'port': no values, expected some"):
        tabular_task({"port": [None]}, "x", output="y")


def test_the_documented_definition_fits_its_model() -> None:
    document = (Path(__file__).parents[2] / "docs" / "tasks.md").read_text(encoding="utf-8")
    [code] = re.findall(r"```python\n(.*?)```", document.partition("## tabular")[2].partition("\n## ")[0], re.DOTALL)
    names: dict[str, TabularTask] = {}
    exec(code, names)  # noqa: S102 - what the document shows
    inputs = [TensorSpec(name="x", datatype="FP32", shape=(-1, 3))]

    opened = open_task(names["task"], inputs, [TensorSpec(name="logit", datatype="FP32", shape=(-1, 1))], None)

    assert opened.collate(opened.prepare([{"age": 38.6, "sex": "male"}]))["x"].tolist() == [[0, 0, 1]]
