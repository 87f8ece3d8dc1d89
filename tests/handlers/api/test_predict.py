"""Predictions for instances, whatever the task: how many there may be, and what is looked at between the steps."""

from pathlib import Path

import numpy as np
import pytest

from handlers.api.call import Call
from handlers.api.predict import Instances, predict
from handlers.errors import InvalidInput
from handlers.registry.loading import LoadedModel
from handlers.registry.models import Models
from handlers.settings import Settings
from handlers.tasks.task import MOST_INSTANCES
from handlers.telemetry import Telemetry
from tests.artifacts import publish_graphs
from tests.graphs import affine


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    folder: Path = tmp_path_factory.mktemp("predict")
    settings = Settings(store_url=(folder / "store").as_uri(), scratch_dir=folder)
    row = {"x": np.array([[0, 1, 2]], np.float32)}
    publish_graphs(settings.store_url, "affine", {"fp32": affine()}, [row])
    return Models(settings, Telemetry("CRITICAL", emit_metrics=False)).await_model("affine", None, 60)


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
