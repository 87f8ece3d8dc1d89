import random
from pathlib import Path

import numpy as np
import pytest

from handlers.errors import ModelNotReady
from handlers.registry.models import Models
from handlers.settings import Settings
from handlers.snapstart import SnapshotHooks
from handlers.telemetry import Telemetry
from tests.artifacts import publish_graphs
from tests.graphs import affine

EXAMPLE = {"x": np.array([[0, 1, 2]], np.float32)}


def hooks_for(settings: Settings) -> SnapshotHooks:
    telemetry = Telemetry("ERROR", emit_metrics=False)
    return SnapshotHooks(Models(settings, telemetry), telemetry, resume_wait_s=60)


def test_copies_of_one_snapshot_draw_different_random_numbers(tmp_path: Path) -> None:
    settings = Settings(store_url=tmp_path.as_uri(), scratch_dir=tmp_path)
    publish_graphs(settings.store_url, "affine", {"fp32": affine()}, [EXAMPLE])
    hooks = hooks_for(settings)
    hooks.before_snapshot()
    state, numpy_state = random.getstate(), np.random.get_state()  # noqa: NPY002 - it is what models' code may draw from

    drawn = []
    for _ in range(2):
        random.setstate(state)  # each copy begins with the state of the snapshot
        np.random.set_state(numpy_state)  # noqa: NPY002
        hooks.after_restore()
        drawn.append((random.getrandbits(64), np.random.bytes(8)))  # noqa: NPY002

    assert drawn[0][0] != drawn[1][0]
    assert drawn[0][1] != drawn[1][1]


def test_a_store_without_models_is_refused_with_the_reason_and_the_next_step(tmp_path: Path) -> None:
    hooks = hooks_for(Settings(store_url=tmp_path.as_uri(), scratch_dir=tmp_path))

    with pytest.raises(ModelNotReady, match=r"snapshot: store: no model with the alias 'live'.*; publish the model"):
        hooks.before_snapshot()


def test_a_process_is_under_snapstart_where_lambda_says_so() -> None:
    name = "AWS_LAMBDA_INITIALIZATION_TYPE"
    assert Settings.from_environ({name: "snap-start"}).snap_start
    assert not Settings.from_environ({name: "on-demand"}).snap_start
    assert not Settings.from_environ({}).snap_start
