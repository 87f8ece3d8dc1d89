"""The loop itself, on the smallest recipe: what it writes, what it refuses, and what an interruption leaves."""

import csv
import math
import re
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
import torch

from export.errors import DataError, OutputError, SourceError, TrainingInterrupted
from export.recipes.checkpoint import CHECKPOINT_FILE
from export.recipes.learning_curve import Step, to_svg
from export.recipes.training import train
from export.source import load_source
from tests.export.recipes.reduced import equal, weights_of

RECIPE = "binary-classifier"
STEPS = 6  # of an epoch: 180 rows in batches of 32


def trained(out: Path, data: Path, **options: object) -> Path:
    train(RECIPE, out, data, **{"epochs": 2} | options)  # type: ignore[arg-type] # the tests choose any of them
    return out


def stopping(steps: int) -> Callable[[], bool]:
    left = iter(range(steps))
    return lambda: next(left, None) is None


def test_another_seed_gives_other_weights(tables: Path, tmp_path: Path) -> None:
    first, second = (trained(tmp_path / str(seed), tables, seed=seed) for seed in (0, 1))
    assert not equal(weights_of(first), weights_of(second))


def test_learning_curve_has_a_row_for_each_step(tables: Path, tmp_path: Path) -> None:
    result = train(RECIPE, tmp_path, tables, epochs=3)
    with (tmp_path / "learning-curve.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["step"] for row in rows] == [str(n + 1) for n in range(3 * STEPS)]
    assert [int(row["step"]) for row in rows if row["score"]] == [STEPS, 2 * STEPS, 3 * STEPS]
    assert float(rows[-1]["score"]) == result.score
    assert math.isclose(sum(float(row["loss"]) for row in rows[-STEPS:]) / STEPS, result.loss)


def test_picture_of_the_curve_needs_nothing_else(tables: Path, tmp_path: Path) -> None:
    trained(tmp_path, tables)
    picture = (tmp_path / "learning-curve.svg").read_text()
    assert ET.fromstring(picture).tag == "{http://www.w3.org/2000/svg}svg"  # noqa: S314 - written by ourselves
    assert picture.count("<polyline") == 2
    assert not re.search(r"<script|href|url\(|@import|nan|inf\b", picture)


def test_picture_is_drawn_from_a_single_step() -> None:
    picture = to_svg([Step(1, 1, 0.1, 2.0, 0.5)], "a <b>", "accuracy")
    assert "a &lt;b&gt;" in picture
    assert "nan" not in picture


def test_periodic_checkpoint_outlives_a_crash(tables: Path, tmp_path: Path) -> None:
    left = iter(range(STEPS + 3))

    def crash() -> bool:
        if next(left, None) is None:
            raise KeyboardInterrupt
        return False

    with pytest.raises(KeyboardInterrupt):
        trained(tmp_path / "crashed", tables, stop=crash, checkpoint_every_s=0)
    calls: list[int] = []

    def count() -> bool:
        calls.append(1)
        return False

    trained(tmp_path / "crashed", tables, stop=count)
    assert len(calls) == 2 * STEPS - (STEPS + 3)
    assert equal(weights_of(tmp_path / "crashed"), weights_of(trained(tmp_path / "whole", tables)))


def test_interrupted_training_leaves_the_earlier_one_untouched(tables: Path, tmp_path: Path) -> None:
    trained(tmp_path, tables)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(TrainingInterrupted):
        trained(tmp_path, tables, seed=1, stop=stopping(STEPS))
    after = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    del after[CHECKPOINT_FILE]
    assert after == before


def test_training_again_replaces_the_earlier_one(tables: Path, tmp_path: Path) -> None:
    first = weights_of(trained(tmp_path, tables))
    assert not equal(weights_of(trained(tmp_path, tables, seed=1)), first)


@pytest.mark.parametrize(
    ("changed", "found"), [({"seed": 1}, "seed 0, expected seed 1"), ({"epochs": 3}, "epochs 2, expected epochs 3")]
)
def test_checkpoint_of_other_settings_is_refused(
    tables: Path, tmp_path: Path, changed: dict[str, int], found: str
) -> None:
    with pytest.raises(TrainingInterrupted):
        trained(tmp_path, tables, stop=stopping(2))
    with pytest.raises(OutputError, match=rf"checkpoint\.pt: of a training with {found}; .* delete it to train anew"):
        trained(tmp_path, tables, **changed)


def test_checkpoint_of_other_data_is_refused(tables: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingInterrupted):
        trained(tmp_path, tables, stop=stopping(2))
    with pytest.raises(OutputError, match="of a training with data "):
        train(RECIPE, tmp_path, epochs=2)


def test_broken_checkpoint_is_refused_and_never_run(tables: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingInterrupted):
        trained(tmp_path, tables, stop=stopping(2))
    path = tmp_path / CHECKPOINT_FILE
    whole = path.read_bytes()
    torch.save(Path, tmp_path / "class.pt")
    for content in (b"", whole[: len(whole) // 2], (tmp_path / "class.pt").read_bytes()):
        path.write_bytes(content)
        with pytest.raises(DataError, match=r"checkpoint\.pt: something else .*delete it to train anew") as caught:
            trained(tmp_path, tables)
        assert "weights_only" not in str(caught.value)  # no advice to load it unsafely


@pytest.mark.parametrize("name", ["source.py", "weights.pt"])
def test_files_of_somebody_else_are_not_overwritten(tables: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("mine\n")
    with pytest.raises(OutputError, match=f"holds another {re.escape(name)}, expected .*; choose a new folder"):
        trained(tmp_path, tables)
    assert (tmp_path / name).read_text() == "mine\n"


def test_folder_that_cannot_be_made_is_refused(tables: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="expected a folder to write to"):
        trained(tmp_path / "file", tables)


def test_no_epochs_are_refused_before_anything_is_written(tables: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="positive"):
        trained(tmp_path, tables, epochs=0)
    assert list(tmp_path.iterdir()) == []


def test_written_source_follows_its_folder(tables: Path, tmp_path: Path) -> None:
    trained(tmp_path / "here", tables)
    (tmp_path / "here").rename(tmp_path / "there")
    assert load_source(f"{tmp_path / 'there' / 'source.py'}:source").name == RECIPE


OWN = """
from torch import nn
from export.recipes.recipe import Recipe
from export.recipes.tables import load_table

RECIPE = Recipe(
    name="my-own",
    load=lambda data: load_table(data, "digits.csv", 10),
    network=lambda dataset: nn.Linear(64, 10),
    loss=nn.functional.cross_entropy,
    output="logits",
    epochs=1,
    batch=32,
    peak_learning_rate={rate},
)
"""


def test_recipe_of_ones_own_is_a_file(tables: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(OWN.format(rate=0.01))
    result = train(str(tmp_path / "mine.py"), tmp_path / "out", tables)
    assert load_source(f"{result.source}:source").name == "my-own"


def test_loss_that_is_no_number_ends_the_training(tables: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(OWN.format(rate=1e38))
    with pytest.raises(DataError, match=r"training my-own: loss (nan|inf) in step \d+, expected a finite number"):
        train(str(tmp_path / "mine.py"), tmp_path / "out", tables, epochs=3)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("RECIPE = 1", "RECIPE is int, expected"),
        ("", "RECIPE is NoneType, expected"),
        ("1 / 0", r"ZeroDivisionError: division by zero \(.*bad\.py, line 1\), expected a file that can be imported"),
    ],
)
def test_file_without_a_recipe_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "bad.py").write_text(text)
    with pytest.raises(SourceError, match=message):
        train(str(tmp_path / "bad.py"), tmp_path / "out")


def test_recipe_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"no file nowhere\.py"):
        train("nowhere.py", tmp_path)
    with pytest.raises(SourceError, match=r"'mnist', expected one of mlp-regressor, .*mnist-cnn"):
        train("mnist", tmp_path)


def test_recipe_of_the_document_is_trained(tables: Path, tmp_path: Path) -> None:
    document = (Path(__file__).parents[3] / "docs" / "recipes.md").read_text()
    (code,) = re.findall(r"```python\n(# my_recipe\.py\n.*?)```", document, re.DOTALL)
    (tmp_path / "my_recipe.py").write_text(code)
    assert train(str(tmp_path / "my_recipe.py"), tmp_path / "out", tables).score > 0.8
