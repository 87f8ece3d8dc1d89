"""The index of the repository, and loading and unloading: where the server is the caller's own, and nowhere else."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from handlers.api.app import create_app
from handlers.api.service import Service
from handlers.settings import Settings
from tests.artifacts import publish_graphs
from tests.graphs import affine
from tests.handlers.api.conftest import MAX_BODY_BYTES, make_service
from tests.handlers.api.gateway import Gateway, infer_body, tensor

EXAMPLE = [{"x": np.ones((1, 3), np.float32)}]
ROW = infer_body(tensor("x", "FP32", [1, 3], [0, 1, 2]))
LOAD, UNLOAD = "/v2/repository/models/affine/load", "/v2/repository/models/affine/unload"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings for a store with one model that can be served and one that cannot: its goldens are of another."""
    url = (tmp_path / "store").as_uri()
    publish_graphs(url, "affine", {"fp32": affine()}, EXAMPLE)
    publish_graphs(url, "broken", {"fp32": affine()}, EXAMPLE, proven=affine(scale=5))
    return Settings(store_url=url, scratch_dir=tmp_path)


@pytest.fixture
def managed(settings: Settings) -> Iterator[Gateway]:
    """The application as `lambdaserve serve` composes it."""
    service = make_service(settings)
    service.models.start()
    service.models.wait(60)
    gateway = Gateway(create_app(Service(service.models, service.telemetry, MAX_BODY_BYTES, managed=True)))
    assert gateway.infer("affine", ROW).status == 200
    yield gateway
    gateway.close()


def index(gateway: Gateway, body: object = b"") -> dict[str, str]:
    answer = gateway.send("POST", "/v2/repository/index", body)
    assert answer.status == 200
    return {entry["name"]: entry["state"] for entry in answer.body}


@pytest.mark.parametrize("body", [b"", {}, {"ready": False}])
def test_the_index_names_every_model_its_version_and_what_is_wrong_with_it(managed: Gateway, body: object) -> None:
    assert managed.infer("broken", ROW).status == 503

    answer = managed.send("POST", "/v2/repository/index", body)

    assert answer.status == 200
    ready, broken = answer.body
    assert ready == {"name": "affine", "version": "1", "state": "READY", "reason": ""}
    assert (broken["name"], broken["state"]) == ("broken", "UNAVAILABLE")
    assert broken["reason"].startswith("model 'broken' version 1: none of the variants fp32 answers its goldens")


def test_the_index_may_be_of_what_is_ready(managed: Gateway) -> None:
    assert index(managed, {"ready": True}) == {"affine": "READY"}


@pytest.mark.parametrize("body", [b"[]", b'{"ready": 1}', b"{", b"\xff", b'{"a":' + b"[" * 100_000])
@pytest.mark.parametrize("path", ["/v2/repository/index", LOAD, UNLOAD])
def test_a_body_that_is_no_such_request_is_refused(managed: Gateway, path: str, body: bytes) -> None:
    if body == b'{"ready": 1}' and path != "/v2/repository/index":
        body = b'{"parameters": 1}'

    answer = managed.send("POST", path, body)

    assert answer.status == 400
    assert answer.body["error"].startswith("body: ")
    assert index(managed)["affine"] == "READY"


def test_a_model_that_was_unloaded_is_not_served_until_it_is_loaded(managed: Gateway) -> None:
    assert managed.send("POST", UNLOAD, {"parameters": {"unload_dependents": False}}).status == 200
    assert index(managed)["affine"] == "UNAVAILABLE"
    assert managed.infer("affine", ROW).status == 503
    assert managed.send("POST", UNLOAD).status == 200

    assert managed.send("POST", LOAD).status == 200
    assert index(managed)["affine"] == "READY"
    assert managed.infer("affine", ROW).status == 200


def test_loading_again_takes_what_the_alias_names_now(managed: Gateway, settings: Settings) -> None:
    publish_graphs(settings.store_url, "affine", {"fp32": affine(scale=3)}, EXAMPLE)
    assert managed.infer("affine", ROW).body["model_version"] == "1"

    assert managed.send("POST", LOAD).status == 200

    answer = managed.infer("affine", ROW)
    assert (answer.body["model_version"], answer.body["outputs"][0]["data"]) == ("2", [1, 4, 7])


def test_a_version_that_cannot_be_served_does_not_take_the_old_ones_place(managed: Gateway, settings: Settings) -> None:
    publish_graphs(settings.store_url, "affine", {"fp32": affine()}, EXAMPLE, proven=affine(scale=5))

    answer = managed.send("POST", LOAD)

    assert answer.status == 503
    assert "none of the variants fp32 answers its goldens" in answer.body["error"]
    assert managed.infer("affine", ROW).body["model_version"] == "1"


@pytest.mark.parametrize("name", ["unknown", "..", "AFFINE", "n" * 1000])
@pytest.mark.parametrize("verb", ["load", "unload"])
def test_a_model_that_is_not_there_is_not_found(managed: Gateway, verb: str, name: str) -> None:
    answer = managed.send("POST", f"/v2/repository/models/{name}/{verb}")

    assert answer.status == 404
    assert answer.body["error"].startswith(f"model {name[:80]!r}: not ")
    assert len(answer.body["error"]) < 200


@pytest.mark.parametrize("parameter", ["config", "file:1/model.onnx"])
def test_a_model_cannot_be_loaded_as_another_than_was_published(managed: Gateway, parameter: str) -> None:
    answer = managed.send("POST", LOAD, {"parameters": {parameter: "{}"}})

    assert answer.status == 501
    assert (
        answer.body["error"] == f"load: parameter {parameter!r}, expected none: versions do not change; publish another"
    )


def test_on_lambda_nothing_is_loaded_by_hand_and_the_answer_says_why(gateway: Gateway) -> None:
    for path in (LOAD, UNLOAD):
        answer = gateway.send("POST", path)

        assert answer.status == 501
        assert "embedded server (`lambdaserve serve`)" in answer.body["error"]
    assert index(gateway)["affine"] == "READY"


def test_the_extension_is_named_where_it_works(managed: Gateway, gateway: Gateway) -> None:
    named = [server.send("GET", "/v2").body["extensions"] for server in (managed, gateway)]

    assert ["model_repository" in extensions for extensions in named] == [True, False]
