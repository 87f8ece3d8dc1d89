"""Recipes of tables are served with the names of their columns, and answer as PyTorch does."""

import csv
from pathlib import Path

import numpy as np
import pytest
import torch

from export.convert import convert
from export.errors import DataError
from export.recipes.files import find_file, read_text
from export.recipes.recipe import find_recipe
from export.recipes.tables import load_table
from export.recipes.trained import trained_source
from export.reference import Reference
from handlers.tasks.opening import open_task

TABLES = {
    "mlp-classifier": ("digits.csv", 65),
    "mlp-regressor": ("diabetes.csv", 11),
    "binary-classifier": ("breast-cancer.csv", 31),
}
HELD_OUT = slice(3, None, 4)  # every fourth


@pytest.mark.parametrize("word", TABLES)
def test_rows_by_name_are_answered_as_pytorch_does(word: str, tmp_path: Path) -> None:
    file, columns = TABLES[word]
    recipe = find_recipe(word)
    dataset = recipe.load(None)
    torch.manual_seed(0)
    torch.save(recipe.network(dataset).state_dict(), tmp_path / "weights.pt")
    source = trained_source(word, tmp_path)
    session = convert(source, Reference(source), tmp_path / "fp32.onnx", [], threads=1)
    assert source.task is not None
    task = open_task(source.task, session.inputs, session.outputs, None)
    lines = list(csv.reader(read_text(find_file(None, [file], file)).splitlines()))
    names = lines[0]
    assert len(names) == columns
    rows = [dict(zip(names[:-1], map(float, line[:-1]), strict=True)) for line in lines[1:]][HELD_OUT]
    with torch.inference_mode():
        expected = source.module(torch.from_numpy(dataset.test.inputs["x"])).numpy()

    prepared = task.prepare([dict(reversed(row.items())) for row in rows])
    inputs = task.collate(prepared)
    answers = task.answer(prepared, session.run(inputs), task.check_options({}))

    np.testing.assert_array_equal(inputs["x"], dataset.test.inputs["x"])
    if word == "mlp-regressor":
        np.testing.assert_allclose(np.array(answers), expected[:, 0], rtol=1e-5)
        return
    labels = [str(digit) for digit in range(10)] if word == "mlp-classifier" else ["malignant", "benign"]
    scores = expected if word == "mlp-classifier" else np.concatenate([1 - expected, expected], axis=1)
    found = [{each["label"]: each["score"] for each in answer} for answer in answers]  # type: ignore[attr-defined]
    np.testing.assert_allclose([[row[label] for label in labels] for row in found], scores, rtol=0, atol=1e-5)


@pytest.mark.parametrize("header", ["age,,y", "age,age,y"])
def test_a_header_that_names_no_columns_is_refused(header: str, tmp_path: Path) -> None:
    (tmp_path / "diabetes.csv").write_text("\n".join([header, *["1,2,3"] * 8]), encoding="ascii")
    with pytest.raises(DataError, match="expected a name for each column, each once"):
        load_table(tmp_path, "diabetes.csv")
