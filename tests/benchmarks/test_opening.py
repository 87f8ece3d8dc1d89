"""Every way of opening a session answers as the goldens say, and a wrong answer is no figure."""

import dataclasses
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from benchmarks.opening.levers import LEVERS, WEIGHTS, Lever, prepare
from benchmarks.opening.trials import Subject, open_once, read_subject
from export import ModelSource
from export.build import BuildOptions, build
from tests.export.sources import silent

PACKAGE = Path(onnxruntime.__file__).parents[1]
WIDTH = 512  # wide enough for the artifact to keep weights in a file of their own


@pytest.fixture(scope="module")
def subject(tmp_path_factory: pytest.TempPathFactory) -> Subject:
    torch.manual_seed(0)
    module = torch.nn.Sequential(torch.nn.Linear(WIDTH, WIDTH), torch.nn.GELU(), torch.nn.Linear(WIDTH, 8))
    artifact = tmp_path_factory.mktemp("opening") / "artifact"
    options = BuildOptions(variants=(), max_loss=0.01, threads=1)
    build(ModelSource("small", module, {"x": torch.randn(1, WIDTH)}, ["y"]), artifact, options, silent())
    return read_subject(artifact)


@pytest.fixture(scope="module")
def files(subject: Subject, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("files")
    prepare(subject.artifact / subject.variant.file, folder)
    return folder


@pytest.mark.parametrize("lever", LEVERS, ids=lambda lever: lever.name)
def test_a_lever_opens_a_session_that_answers_rightly(lever: Lever, subject: Subject, files: Path) -> None:
    opening = open_once(lever, subject, files, Path(sys.executable), PACKAGE, cpus=1)
    assert min(dataclasses.astuple(opening)) > 0
    assert opening.peak_bytes > opening.anonymous_bytes


def test_the_weights_are_where_the_lever_says(subject: Subject, files: Path) -> None:
    weights_bytes = 4 * WIDTH * WIDTH
    assert subject.variant.data is not None
    assert (files / "whole.onnx").stat().st_size > weights_bytes
    for model, weights in WEIGHTS.items():
        assert (files / weights).stat().st_size > weights_bytes
        assert (files / model).stat().st_size < weights_bytes / 10


def test_a_wrong_answer_is_no_figure(subject: Subject, files: Path, tmp_path: Path) -> None:
    goldens = dict(np.load(subject.artifact / subject.manifest.goldens.file))
    goldens["0.output.0"] += 1
    np.savez(tmp_path / subject.manifest.goldens.file, allow_pickle=False, **goldens)
    other = dataclasses.replace(subject, artifact=tmp_path)
    with pytest.raises(RuntimeError, match=r"output 'y': 1 from its golden, expected at most"):
        open_once(LEVERS[0], other, files, Path(sys.executable), PACKAGE, cpus=1)
