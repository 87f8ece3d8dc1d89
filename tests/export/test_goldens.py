"""Goldens are small, right, and notice a model that is not the one that was proven."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from torch import nn

from export.errors import OutputError
from export.goldens import MAX_GOLDEN_BYTES, make_goldens
from export.reference import Reference
from handlers.errors import GoldenMismatch
from handlers.registry.manifest import Manifest, TensorSpec
from handlers.runtime.goldens import check_goldens, read_goldens, replay
from handlers.runtime.session import Session
from handlers.tasks.arrays import Arrays
from tests.export.conftest import Built
from tests.export.sources import converted, normal, read_manifest, source_of

X = (TensorSpec(name="x", datatype="FP32", shape=(-1, -1)),)
Y = (TensorSpec(name="y", datatype="FP32", shape=(-1, -1)),)


def identity(inputs: Arrays) -> Arrays:
    return {"y": inputs["x"]}


def test_small_samples_are_kept_as_they_are(tmp_path: Path) -> None:
    singles = [{"x": normal(1, 100, seed=i)} for i in range(6)]
    described, goldens = make_goldens(tmp_path / "goldens.npz", singles, identity, X, Y)
    assert (described.file, described.count, described.output_stride) == ("goldens.npz", 4, 1)
    for (given, expected), single in zip(goldens, singles, strict=False):
        np.testing.assert_array_equal(given["x"], single["x"])
        np.testing.assert_array_equal(expected["y"], single["x"].reshape(-1))


def test_one_sample_is_kept_where_four_are_too_many(tmp_path: Path) -> None:
    singles = [{"x": normal(1, 25_000, seed=i)} for i in range(4)]  # 100 kB each, twice: input and output
    described, goldens = make_goldens(tmp_path / "goldens.npz", singles, identity, X, Y)
    assert (described.count, described.output_stride) == (1, 1)
    np.testing.assert_array_equal(goldens[0][0]["x"], singles[0]["x"])


def test_large_input_and_large_output_are_coarsened_until_they_fit_and_replay_right(tmp_path: Path) -> None:
    net = nn.Sequential(nn.Conv2d(3, 16, 7, 2), nn.ReLU())  # output [1, 16, 109, 109]
    source = source_of(net, torch.zeros(1, 3, 224, 224))
    session = converted(source, tmp_path / "m.onnx")
    path = tmp_path / "goldens.npz"
    single = {"x": normal(1, 3, 224, 224)}  # noise: nothing for the compression to find
    described, goldens = make_goldens(path, [single], Reference(source).run, session.inputs, session.outputs)
    assert path.stat().st_size <= MAX_GOLDEN_BYTES
    assert described.output_stride > 1
    assert goldens[0][0]["x"].shape == (1, 3, 224, 224)
    assert goldens[0][1]["y"].size == -(-16 * 109 * 109 // described.output_stride)
    assert replay(session, goldens, described.output_stride)["y"] <= 1e-4  # PyTorch's kernels sum in another order


def test_goldens_that_fit_in_no_form_are_refused(tmp_path: Path) -> None:
    names = [f"x{i}" for i in range(3000)]  # thousands of inputs: the names of the file's members alone are too many
    specs = tuple(TensorSpec(name=name, datatype="FP32", shape=(1,)) for name in names)
    single = {name: normal(1) for name in names}
    with pytest.raises(OutputError, match=rf"goldens: \d+ bytes at the smallest, expected at most {MAX_GOLDEN_BYTES}"):
        make_goldens(tmp_path / "goldens.npz", [single], lambda given: {"y": given["x0"]}, specs, Y)


def check(folder: Path, manifest: Manifest, model: Path) -> None:
    goldens = read_goldens(folder / manifest.goldens.file, manifest)
    check_goldens(Session(model, threads=1), goldens, manifest.goldens, manifest.variants[-1])


def scaled(weights: np.ndarray) -> np.ndarray:
    return weights * np.float32(1.01)


def one_changed(weights: np.ndarray) -> np.ndarray:
    changed = weights.copy()
    changed.flat[0] += 1
    return changed


@pytest.mark.parametrize("change", [scaled, one_changed])
def test_altered_weights_break_the_replay(
    change: Callable[[np.ndarray], np.ndarray], small: Built, tmp_path: Path
) -> None:
    manifest = read_manifest(small.folder)
    check(small.folder, manifest, small.folder / "fp32.onnx")
    model = onnx.load(small.folder / "fp32.onnx")
    weights = next(tensor for tensor in model.graph.initializer if len(tensor.dims) == 2)
    weights.CopyFrom(numpy_helper.from_array(change(numpy_helper.to_array(weights)), weights.name))
    onnx.save(model, tmp_path / "altered.onnx")
    with pytest.raises(GoldenMismatch, match=r"fp32: output 'y' is .* from its goldens, expected at most"):
        check(small.folder, manifest, tmp_path / "altered.onnx")
