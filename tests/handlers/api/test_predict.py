"""Predictions for instances, whatever the task: how many there may be, and what is looked at between the steps."""

import resource
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest
from PIL import Image

from handlers.api.call import Call
from handlers.api.predict import Instances, predict
from handlers.clock import Deadline
from handlers.errors import DeadlineExceeded, InsufficientMemory, InvalidInput
from handlers.registry.loading import LoadedModel
from handlers.registry.models import Models
from handlers.settings import Settings
from handlers.tasks.arrays import Arrays
from handlers.tasks.rows import TensorRows
from handlers.tasks.task import MOST_INSTANCES, Prepared
from handlers.telemetry import Telemetry
from tests.artifacts import publish_graphs
from tests.graphs import affine
from tests.handlers.tasks.images.definitions import task
from tests.handlers.tasks.images.files import encoded

MB = 1024 * 1024


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    folder: Path = tmp_path_factory.mktemp("predict")
    settings = Settings(store_url=(folder / "store").as_uri(), scratch_dir=folder)
    row = {"x": np.array([[0, 1, 2]], np.float32)}
    publish_graphs(settings.store_url, "affine", {"fp32": affine()}, [row])
    return Models(settings, Telemetry("CRITICAL", emit_metrics=False)).await_model("affine", None, 60)


@pytest.fixture(scope="module")
def photographs(model: LoadedModel) -> LoadedModel:
    return replace(model, task=task())


@pytest.mark.parametrize(
    ("instances", "message"),
    [
        ([], r"^instances: none, expected at least one$"),
        ([{}] * (MOST_INSTANCES + 1), r"^instances: 100001, expected at most 100000; send them in several requests$"),
    ],
)
def test_there_are_some_instances_and_not_too_many(model: LoadedModel, instances: list[object], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        predict(Call(model), Instances(instances, {}))


class LateRows(TensorRows):
    """A task that prepares until the deadline has passed, and makes batches of nothing after that."""

    def prepare(self, instances: Sequence[object]) -> list[Prepared]:
        time.sleep(0.05)
        return super().prepare(instances)

    def collate(self, prepared: Sequence[Prepared]) -> Arrays:
        pytest.fail(f"{len(prepared)} instances were made a batch of after the deadline")


def test_time_is_looked_at_before_each_batch_is_made(model: LoadedModel) -> None:
    late = replace(model, task=LateRows(model.manifest.inputs, model.manifest.outputs))
    call = Call(late, deadline=Deadline(time.monotonic() + 0.02))

    with pytest.raises(
        DeadlineExceeded,
        match=r"^model 'affine': 0 s left, expected some for what is left to do; .* \(decode 0\.0\d+ s\); send ",
    ):
        predict(call, Instances([[0, 1, 2]], {}))


def test_an_image_that_memory_does_not_hold_is_refused_before_it_is_decoded(photographs: LoadedModel) -> None:
    tiny = encoded(Image.new("RGBA", (5_000, 5_000)), "WEBP", lossless=True)  # 1 KB that become 400 MB
    asked: list[int] = []

    def make_room(least_bytes: int) -> int:
        asked.append(least_bytes)
        return 100 * MB

    call = Call(photographs, make_room=make_room)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    with pytest.raises(
        InsufficientMemory,
        match=r"^instances: 381\.5 MB to decode them, expected at most 100\.0 MB, which models leave; ",
    ):
        predict(call, Instances([tiny], {}))

    assert asked == [photographs.task.memory_bytes([tiny]) - int(call.set_aside_bytes)]
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000  # KB


def test_an_image_that_memory_holds_beside_the_models_is_decoded(photographs: LoadedModel) -> None:
    file = encoded(Image.new("RGB", (500, 500)))
    needed = photographs.task.memory_bytes([file])

    for left in (needed - 1, needed):
        bare = replace(photographs, variant=msgspec.structs.replace(photographs.variant, sample_memory_bytes=None))
        call = Call(bare, make_room=lambda _, left=left: left, deadline=Deadline(0))  # type: ignore[misc]
        with pytest.raises(InsufficientMemory if left < needed else DeadlineExceeded):  # the latter once it is decoded
            predict(call, Instances([file], {}))
