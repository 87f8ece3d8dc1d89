"""Each recipe in a reduced form: learns, repeats, goes on where it was stopped, and becomes an artifact."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

from export.build import BuildOptions, build
from export.errors import TrainingInterrupted
from export.recipes import RECIPES
from export.recipes.recipe import find_recipe
from export.recipes.training import TrainingResult, train
from export.source import load_source
from tests.export.recipes.reduced import REDUCED, Reduced, equal, silent, weights_of

FILES = ["learning-curve.csv", "learning-curve.svg", "source.py", "weights.pt"]


@dataclass(frozen=True)
class Trained:
    """A reduced training and the folder with its data."""

    reduced: Reduced
    data: Path | None
    result: TrainingResult

    @property
    def folder(self) -> Path:
        return self.result.weights.parent


@pytest.fixture(scope="module", params=REDUCED, ids=lambda reduced: reduced.recipe)
def trained(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    reduced: Reduced = request.param
    data = request.getfixturevalue(reduced.data) if reduced.data else None
    out = tmp_path_factory.mktemp(reduced.recipe)
    return Trained(reduced, data, train(reduced.recipe, out, data, epochs=reduced.epochs))


def after(steps: int) -> Callable[[], bool]:
    """Return a function that says stop when it has been asked so often."""
    left = iter(range(steps))
    return lambda: next(left, None) is None


def test_every_recipe_is_tried() -> None:
    assert [reduced.recipe for reduced in REDUCED] == list(RECIPES)


def test_every_recipe_has_the_name_that_it_is_listed_by() -> None:
    assert all(find_recipe(name).name == name for name in RECIPES)


def test_recipe_learns(trained: Trained) -> None:
    assert trained.reduced.sane(trained.result.score), trained.result


def test_training_leaves_four_files(trained: Trained) -> None:
    assert sorted(path.name for path in trained.folder.iterdir()) == FILES


def test_same_seed_gives_identical_weights(trained: Trained, tmp_path: Path) -> None:
    torch.manual_seed(123)  # what the caller did with the global state makes no difference
    state = torch.get_rng_state()
    train(trained.reduced.recipe, tmp_path, trained.data, epochs=trained.reduced.epochs)
    assert equal(weights_of(tmp_path), weights_of(trained.folder))
    assert torch.equal(torch.get_rng_state(), state)


def test_stopped_training_goes_on_to_identical_weights(trained: Trained, tmp_path: Path) -> None:
    def go_on(steps: int) -> None:
        train(trained.reduced.recipe, tmp_path, trained.data, epochs=trained.reduced.epochs, stop=after(steps))

    with pytest.raises(TrainingInterrupted, match=r"stopped after step 1 of \d+"):
        go_on(1)
    with pytest.raises(TrainingInterrupted, match=r"stopped after step 12 of \d+"):
        go_on(11)  # in the middle of an epoch, from the middle of another
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint.pt"]
    go_on(10_000)
    assert {name: (tmp_path / name).read_bytes() for name in FILES[:2]} == {
        name: (trained.folder / name).read_bytes() for name in FILES[:2]
    }
    assert equal(weights_of(tmp_path), weights_of(trained.folder))
    assert sorted(path.name for path in tmp_path.iterdir()) == FILES


def test_written_source_gives_the_trained_network_back(trained: Trained) -> None:
    source = load_source(f"{trained.result.source}:source")
    assert source.name == trained.reduced.recipe
    assert not source.module.training
    assert all(axes[0] == "batch" for axes in source.dynamic_axes.values())
    assert source.evaluation is not None
    count = sum(len(targets) for _, targets in source.evaluation.batches if targets is not None)
    assert count == trained.result.samples


def test_calibration_and_evaluation_share_no_sample(trained: Trained) -> None:
    source = load_source(f"{trained.result.source}:source")
    assert source.calibration is not None
    assert source.evaluation is not None
    dataset = find_recipe(trained.reduced.recipe).load(trained.data)
    assert len(dataset.train) + len(dataset.test) > sum(len(next(iter(b.values()))) for b in source.calibration)
    if trained.reduced.recipe == "bert-classifier":
        return  # its reviews are short, and some of them are alike
    calibration = {row.tobytes() for batch in source.calibration for row in next(iter(batch.values()))}
    assert not calibration & {
        row.tobytes() for inputs, _ in source.evaluation.batches for row in inputs[next(iter(inputs))]
    }


def test_built_recipe_scores_as_it_was_trained(trained: Trained, tmp_path: Path) -> None:
    source = load_source(f"{trained.result.source}:source")
    report = build(source, tmp_path / "artifact", BuildOptions((), max_loss=0.01, threads=1), silent())
    fp32 = report.trials[-1]
    assert report.chosen == fp32.name == "fp32"
    assert report.pytorch_score == pytest.approx(trained.result.score, rel=1e-6)
    assert fp32.gate is not None
    assert fp32.gate.score == pytest.approx(trained.result.score, rel=1e-4)
    assert fp32.gate.metric == trained.result.metric


@pytest.mark.parametrize("recipe", ["mlp-classifier", "binary-classifier"])
def test_classifiers_answer_with_probabilities(recipe: str, tables: Path, tmp_path: Path) -> None:
    result = train(recipe, tmp_path, tables, epochs=1)
    source = load_source(f"{result.source}:source")
    with torch.inference_mode():
        answers = source.module(*source.inputs.values()).numpy()
    assert ((answers > 0) & (answers < 1)).all()
    if answers.shape[1] > 1:
        assert np.allclose(answers.sum(1), 1)
