"""A bar that is missed is reported, and what is measured is what the files of an artifact do."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from benchmarks.real.__main__ import main
from benchmarks.real.bars import Bar, at_least, at_most, missed
from benchmarks.real.catalogue import MODELS
from benchmarks.real.figures import Figures, accuracy, agreement, mean_cosine, measure
from benchmarks.real.table import to_table
from benchmarks.results import print_tables
from export import Evaluation
from export.build import build
from tests.export.sources import OPTIONS, mlp, normal, silent, source_of

FIGURES = Figures(
    chosen="int8-static",
    cosine=0.995,
    top_1=0.96,
    score=0.9923,
    pytorch_score=0.9943,
    size_ratio=0.27,
    chosen_ms=2.0,
    fp32_ms=3.0,
    pytorch_ms=5.0,
)


@pytest.mark.parametrize(
    ("bar", "met"),
    [
        (at_most("points_lost", 0.2), True),  # 20 of 10,000: as many as may be
        (at_most("points_lost", 0.19), False),
        (at_least("cosine", 0.995), True),
        (at_least("cosine", 0.996), False),
        (at_least("top_1", 0.97), False),
        (at_most("size_ratio", 0.27), True),
        (at_most("size_ratio", 0.26), False),
        (at_least("times_pytorch", 2.5), True),
        (at_least("times_pytorch", 2.6), False),
        (at_least("times_fp32", 1.5), True),
        (at_least("times_fp32", 1.6), False),
    ],
    ids=str,
)
def test_a_bar_is_met_up_to_its_bound(bar: Bar, met: bool) -> None:  # noqa: FBT001
    assert bar.is_met(FIGURES) is met
    assert missed(FIGURES, [bar]) == ([] if met else [bar])


def test_what_was_not_measured_meets_no_bar() -> None:
    unknown = replace(FIGURES, cosine=float("nan"), score=None, top_1=None)
    bars = [at_least("cosine", 0), at_most("points_lost", 100), at_least("top_1", 0)]
    assert missed(unknown, bars) == bars


def test_each_model_has_bars_for_figures_that_it_has() -> None:
    assert len({model.name for model in MODELS}) == len(MODELS)
    for model in MODELS:
        figures = {bar.figure for bar in model.bars}
        assert len(figures) == len(model.bars)
        assert model.classifies or not figures & {"points_lost", "top_1"}


def test_the_table_shows_each_figure_beside_its_bar(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [("good", FIGURES, [at_least("cosine", 0.99)]), ("bad", FIGURES, [at_most("size_ratio", 0.1)])]
    print_tables([to_table(rows)])
    text = capsys.readouterr().out
    for words in ("99.23%", "PyTorch 99.43%", "0.20 points lost", "0.9950", "96.00%", "0.270 of fp32", "int8-static"):
        assert text.count(words) == 2
    assert text.count("at least 0.99: met") == 1
    assert text.count("at most 0.1: missed") == 1


def test_figures_of_answers() -> None:
    expected = np.array([[1.0, 0.0], [0.0, 2.0]], np.float32)
    found = np.array([[3.0, 0.0], [1.0, 1.0]], np.float32)
    assert mean_cosine(found, expected) == pytest.approx((1 + 0.5**0.5) / 2)
    assert agreement(found, expected) == 0.5  # of equal scores, the first class
    assert accuracy(found, np.array([0, 1])) == 0.5
    probabilities = np.array([[0.4], [0.6]], np.float32)
    assert agreement(probabilities, np.array([[0.1], [0.2]], np.float32)) == 0.5
    assert accuracy(probabilities, np.array([0, 1])) == 1.0


def test_an_artifact_is_measured_from_its_files_and_not_from_its_report(tmp_path: Path) -> None:
    inputs = normal(64, 4)
    module = mlp(4, 16, 3)
    with torch.inference_mode():
        labels = module(torch.from_numpy(inputs)).argmax(1).numpy()
    source = source_of(module, evaluation=Evaluation([({"x": inputs}, labels)]))
    build(source, tmp_path / "artifact", replace(OPTIONS, variants=()), silent())
    other = replace(source, module=nn.Sequential(module, nn.Linear(3, 3)))

    same, different = (measure(held, tmp_path / "artifact", 1, classifies=True, timing_s=0) for held in (source, other))

    assert (same.chosen, same.size_ratio) == ("fp32", 1.0)
    assert (same.top_1, same.score, same.pytorch_score) == (1.0, 1.0, 1.0)
    assert same.cosine == pytest.approx(1, abs=1e-6)
    assert min(same.chosen_ms, same.fp32_ms, same.pytorch_ms) > 0
    assert different.cosine < 0.9
    assert different.top_1 == different.pytorch_score
    assert different.score == 1.0


def test_names_that_are_none_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["no-such-model"])
    assert end.value.code == 2
    assert "no-such-model: expected some of mnist-cnn, minilm" in capsys.readouterr().err
