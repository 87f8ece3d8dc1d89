"""A golden as a request, through the application itself, and its answer held against the golden."""

import io
from pathlib import Path

import msgspec
import numpy as np
import pytest
from onnx import ModelProto

from export.errors import ColdStartError
from export.golden_request import check_answer, to_event
from handlers.api.app import create_app
from handlers.api.service import Service
from handlers.registry.manifest import Datatype, Manifest
from handlers.registry.models import Models
from handlers.runtime.goldens import Golden, read_goldens
from handlers.settings import Settings
from handlers.telemetry import Telemetry
from tests.artifacts import make_artifact, publish_graphs
from tests.graphs import affine, identity
from tests.handlers.api.gateway import Gateway, Json

ROW = {"x": np.array([[0, 1, 2]], np.float32)}


def asked(folder: Path, graph: ModelProto, given: dict[str, np.ndarray]) -> tuple[Json, Manifest, Golden]:
    """Publish a model, ask it for its first golden, and return answer, manifest and golden."""
    made = make_artifact(folder / "artifact", "m", {"fp32": graph}, [given])
    url = (folder / "store").as_uri()
    publish_graphs(url, "m", {"fp32": graph}, [given])
    golden = read_goldens(folder / "artifact" / "goldens.npz", made)[0]
    telemetry = Telemetry("ERROR", log_stream=io.StringIO(), emit_metrics=False)
    models = Models(Settings(store_url=url, scratch_dir=folder), telemetry)
    gateway = Gateway(create_app(Service(models, telemetry, 1_000_000)))
    try:
        return gateway.invoke(to_event(made, golden)), made, golden
    finally:
        gateway.close()


@pytest.mark.parametrize(
    ("datatype", "value"),
    [
        ("FP32", np.array([[1.1, np.nan], [np.inf, -0.0]], np.float32)),
        ("BF16", np.array([[1.5, -2.0]], np.float32)),
        ("FP16", np.array([[0.1, 65504]], np.float16)),
        ("BOOL", np.array([[True, False]])),
        ("INT64", np.array([[2**62, -1]])),
        ("BYTES", np.array([["", "naïve"]], dtype=object)),
    ],
)
def test_every_datatype_comes_back_as_it_went(datatype: Datatype, value: np.ndarray, tmp_path: Path) -> None:
    answer, manifest, golden = asked(tmp_path, identity(datatype, ["rows", "columns"]), {"x": value})

    assert answer["statusCode"] == 200
    check_answer(answer, manifest, golden, manifest.variants[0])


def test_a_wrong_answer_is_refused_with_both_numbers(tmp_path: Path) -> None:
    answer, manifest, (given, expected) = asked(tmp_path, affine(), ROW)
    right = expected["y"].copy()
    expected["y"][1] = 3.25

    with pytest.raises(ColdStartError) as refusal:
        check_answer(answer, manifest, (given, expected), manifest.variants[0])

    assert right.tolist() == [1, 3, 5]
    assert str(refusal.value) == (
        "model 'm' version None: fp32 answers output 'y' with 3.0 at its golden element 1, expected 3.25 within 0"
    )
    tolerant = msgspec.structs.replace(manifest.variants[0], golden_tolerance={"y": 0.25})
    check_answer(answer, manifest, (given, expected), tolerant)


def test_an_answer_of_another_size_is_refused(tmp_path: Path) -> None:
    answer, manifest, (given, expected) = asked(tmp_path, affine(), ROW)
    longer = {"y": np.append(expected["y"], np.float32(0))}

    with pytest.raises(ColdStartError, match="output 'y' with 3 golden elements, expected 4"):
        check_answer(answer, manifest, (given, longer), manifest.variants[0])
