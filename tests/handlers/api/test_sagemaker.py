"""SageMaker's two paths: whatever body one of the other ways in takes, on the model that the header names."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from handlers.api.app import create_app
from handlers.settings import Settings
from handlers.tasks.definitions import CategoricalColumn, NumericColumn, TabularTask
from tests.artifacts import publish_graphs
from tests.graphs import affine
from tests.handlers.api.conftest import make_service
from tests.handlers.api.gateway import Gateway, infer_body, tensor

TARGET = "X-Amzn-SageMaker-Target-Model"
TENSORS = infer_body(tensor("x", "FP32", [1, 3], [1, 1, 0]))
ROWS = {"instances": [{"size": 1, "kind": "cat"}]}
CSV = b"size,kind\n1,cat\n"


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A service with a single model, which takes tables: y = 2 x + 1 of (size, cat, dog)."""
    url = (tmp_path_factory.mktemp("one") / "store").as_uri()
    columns = (
        NumericColumn(name="size", input="x"),
        CategoricalColumn(name="kind", input="x", categories=("cat", "dog")),
    )
    task = TabularTask(columns=columns, output="y")
    publish_graphs(url, "table", {"fp32": affine()}, [{"x": np.array([[0, 1, 2]], np.float32)}], task=task)
    service = make_service(Settings(store_url=url, scratch_dir=tmp_path_factory.mktemp("scratch")))
    service.models.await_all(60)
    gateway = Gateway(create_app(service))
    yield gateway
    gateway.close()


def test_ping_is_answered_when_every_model_is_ready(one: Gateway, empty_store: Settings) -> None:
    unready = Gateway(create_app(make_service(empty_store)))

    assert one.send("GET", "/ping").status == 200
    assert unready.send("GET", "/ping").status == 503
    unready.close()


@pytest.mark.parametrize("path", ["/invocations", "/v2/models/table/infer"])
def test_instances_and_tensors_are_told_apart(one: Gateway, path: str) -> None:
    rows = one.send("POST", path, ROWS)
    table = one.send("POST", path, CSV, headers={"Content-Type": "text/csv"})
    tensors = one.send("POST", path, TENSORS)

    assert rows.body == table.body == {"predictions": [[3, 3, 1]]}
    assert [output["data"] for output in tensors.body["outputs"]] == [[3, 3, 1]]


def test_a_tensor_request_that_mentions_instances_is_one_of_tensors(one: Gateway) -> None:
    answer = one.send("POST", "/invocations", TENSORS | {"id": '"instances"', "instances": []})

    assert answer.body["outputs"][0]["data"] == [3, 3, 1]


def test_predict_takes_instances_only(one: Gateway) -> None:
    answer = one.send("POST", "/v1/models/table:predict", TENSORS)

    assert (answer.status, answer.body["error"][:6]) == (400, "body: ")


def test_the_header_names_one_of_several_models(gateway: Gateway) -> None:
    answer = gateway.send("POST", "/invocations", {"instances": [[1, 2, 3]]}, headers={TARGET: "affine"})

    assert answer.body == {"predictions": [[3, 5, 7]]}


def test_without_the_header_several_models_are_refused(gateway: Gateway) -> None:
    answer = gateway.send("POST", "/invocations", {"instances": [[1, 2, 3]]})

    assert answer.status == 400
    assert answer.body["error"].startswith(f"header {TARGET}: nothing, expected one of the models 'affine', 'cube', ")


def test_a_model_that_is_not_there_is_not_found(gateway: Gateway) -> None:
    assert gateway.send("POST", "/invocations", {"instances": [1]}, headers={TARGET: "nobody"}).status == 404


@pytest.mark.parametrize(("media", "status"), [("image/png", 415), ("text/csv", 400), ("application/json", 400)])
def test_other_bodies_are_refused(one: Gateway, media: str, status: int) -> None:
    answer = one.send("POST", "/invocations", b"\xff\xfe", headers={"Content-Type": media})

    assert (answer.status, "expected" in answer.body["error"]) == (status, True)


@pytest.mark.parametrize("body", [b'{"instances": ' + b"[" * 10_000, b'{"instances": [}', b'["instances"]'])
def test_broken_json_is_bad_input(one: Gateway, body: bytes) -> None:
    assert one.send("POST", "/invocations", body).status == 400


def test_of_several_models_none_is_asked_by_chance_of_being_loaded(tmp_path: Path) -> None:
    settings = Settings(store_url=(tmp_path / "store").as_uri(), scratch_dir=tmp_path)
    for name in ("first", "second"):
        publish_graphs(settings.store_url, name, {"fp32": affine()}, [{"x": np.array([[0, 1, 2]], np.float32)}])
    gateway = Gateway(create_app(make_service(settings)))
    assert gateway.infer("first", TENSORS).status == 200

    answer = gateway.send("POST", "/invocations", TENSORS)

    assert answer.status == 400
    assert answer.body["error"] == f"header {TARGET}: nothing, expected one of the models 'first', 'second'"
    assert gateway.send("POST", "/invocations", TENSORS, headers={TARGET: "second"}).status == 200
    gateway.close()
