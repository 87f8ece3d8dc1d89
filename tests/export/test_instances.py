"""Data of a source with a task, as its users have it: made into arrays by the task, for calibration and judging."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from export import Evaluation, ModelSource
from export.build import build
from export.errors import DataError, SourceError
from export.reference import Reference
from export.samples import Samples, sort_samples
from handlers.registry.manifest import TensorSpec
from handlers.tasks.definitions import ImageClassificationTask, Resize, TaskDefinition, TensorTask
from handlers.tasks.opening import open_task
from tests.export.sources import OPTIONS, mlp, read_manifest, silent, source_of
from tests.handlers.tasks.images.definitions import LABELS
from tests.handlers.tasks.images.files import encoded, noise

TASK = ImageClassificationTask(input="x", output="y", labels=LABELS, resize=Resize(height=8, width=8))


def image_source(task: TaskDefinition | None = TASK, **other: object) -> ModelSource:
    """Return a source that takes images of 8 x 8 and has three scores."""
    network = nn.Sequential(nn.Flatten(), mlp(192, 3))
    return source_of(network, torch.zeros(1, 3, 8, 8), task=task, **other)


def sort(source: ModelSource) -> Samples:
    return sort_samples(source, Reference(source))


def files(count: int, first: int = 0) -> list[bytes]:
    return [encoded(noise(20, 10, seed=seed), "PNG") for seed in range(first, first + count)]


def served(source: ModelSource, instances: Sequence[object]) -> np.ndarray:
    """Return what the service makes of instances."""
    assert source.task is not None
    inputs = TensorSpec(name="x", datatype="FP32", shape=(-1, 3, 8, 8))
    outputs = TensorSpec(name="y", datatype="FP32", shape=(-1, 3))
    task = open_task(source.task, [inputs], [outputs], None)
    return task.collate(task.prepare(instances))["x"]


def test_files_calibrate_and_judge_as_the_service_sees_them(tmp_path: Path) -> None:
    given = files(6)
    paths = [tmp_path / f"{number}.png" for number in range(2)]
    for path, content in zip(paths, given[4:], strict=True):
        path.write_bytes(content)
    source = image_source(calibration=[given[:2], given[2:4]], evaluation=Evaluation([(paths, np.array([0, 2]))]))

    samples = sort(source)

    expected = served(source, given)
    np.testing.assert_array_equal(np.concatenate([batch["x"] for batch in samples.calibration]), expected[:4])
    np.testing.assert_array_equal(samples.held_out.inputs[0]["x"], expected[4:])
    assert samples.held_out.targets is not None
    assert samples.held_out.targets[0].tolist() == [0, 2]
    assert samples.metric is not None
    assert samples.metric.name == "accuracy"


def test_arrays_are_still_taken() -> None:
    given = files(4)
    arrays = served(image_source(), given)

    samples = sort(image_source(calibration=[{"x": arrays[:2]}], evaluation=Evaluation([(given[2:], None)])))

    np.testing.assert_array_equal(samples.calibration[0]["x"], arrays[:2])
    np.testing.assert_array_equal(samples.held_out.inputs[0]["x"], arrays[2:])


def test_rows_of_the_task_tensor_are_instances_too() -> None:
    calibrating, judging = [[1, 2, 3, 4]], [[5, 6, 7, 8], [9, 10, 11, 12]]
    evaluation = Evaluation([(judging, np.array([0, 1]))])

    samples = sort(source_of(mlp(4, 3), task=TensorTask(), calibration=[calibrating], evaluation=evaluation))

    assert samples.calibration[0]["x"].tolist() == calibrating
    assert samples.held_out.inputs[0]["x"].tolist() == judging
    assert samples.held_out.inputs[0]["x"].dtype == np.float32


def test_the_artifact_has_the_task_and_goldens_of_such_instances(tmp_path: Path) -> None:
    source = image_source(evaluation=Evaluation([(files(8), np.arange(8) % 3)]))

    report = build(source, tmp_path / "artifact", replace(OPTIONS, variants=(), max_loss=0.5), silent())

    assert report.calibration.source == "evaluation"
    assert read_manifest(tmp_path / "artifact").task == TASK


@pytest.mark.parametrize(
    ("batch", "message"),
    [
        ([b"hello"], "a batch: instance 0: instances[0]: bytes that begin with 68 65 6c 6c 6f, expected a JPEG, PNG"),
        ([*files(1), Path("nowhere.png")], "a batch: instance 1: [Errno 2] No such file or directory"),
        ([*files(1), 7], "a batch: instance 1: instances[0]: int, expected an image file in base64"),
        ([], "a batch: no instances, expected at least one; leave empty batches out"),
        (7, "a batch with int, expected a dict of arrays named ['x'], or a list of instances"),
    ],
)
def test_instances_that_cannot_be_used_are_refused(batch: object, message: str) -> None:
    with pytest.raises(DataError, match=f"^calibration: {re.escape(message)}"):
        sort(image_source(calibration=[batch]))
    with pytest.raises(DataError, match=f"^evaluation: {re.escape(message)}"):
        sort(image_source(evaluation=Evaluation([(batch, None)])))


def test_images_that_make_no_batch_are_refused() -> None:
    source = source_of(
        nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()),
        torch.zeros(1, 3, 8, 8),
        dynamic={"x": {0: "batch", 2: "height", 3: "width"}},
        task=ImageClassificationTask(input="x", output="y", labels=LABELS),
        calibration=[[encoded(noise(10, 10)), encoded(noise(20, 10))]],
    )

    with pytest.raises(DataError, match=r"^calibration: a batch: instances: images of different sizes"):
        sort(source)


def test_without_a_task_a_list_is_no_batch() -> None:
    with pytest.raises(DataError, match=r"^calibration: a batch with list, expected a dict of arrays named \['x'\]$"):
        sort(image_source(None, calibration=[files(1)]))


class Unread:
    """Data that must not be asked for."""

    def __iter__(self) -> Iterator[object]:
        pytest.fail("read")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labels": ("cat",)}, "task: 1 labels for output 'y' of shape [-1, 3], expected [batch, 1]"),
        ({"input": "image"}, "task: input 'image', expected the model's only one: ['x']"),
        ({"color": "L", "mean": (0,), "std": (1,)}, "task: input 'x' has 3 channels, expected 1 for color 'L'"),
        ({"crop": (4, 4)}, "task: images of height 4 and width 4, expected 8 and 8"),
    ],
)
def test_a_task_that_does_not_fit_its_model_is_refused_before_any_data_is_read(
    change: dict[str, Any], message: str, tmp_path: Path
) -> None:
    fields = {name: getattr(TASK, name) for name in TASK.__struct_fields__} | change
    source = image_source(ImageClassificationTask(**fields), calibration=Unread())

    with pytest.raises(SourceError, match=f"^{re.escape(message)}$"):
        build(source, tmp_path / "artifact", OPTIONS, silent())
    assert not (tmp_path / "artifact").exists()
