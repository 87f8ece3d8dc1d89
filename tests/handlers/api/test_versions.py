"""Which version answers, over every protocol: by path, by header, by key; and each answer says which it was."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from handlers.api.app import create_app
from handlers.registry.routing import share_of
from handlers.registry.stores import open_store
from handlers.settings import Settings
from handlers.tasks.definitions import EmbeddingTask, Tokenization
from handlers.versions.aliasing import canary, retire
from handlers.versions.changes import Operation
from tests.artifacts import publish_graphs
from tests.graphs import affine, mean_of_rows
from tests.handlers.api.conftest import make_service
from tests.handlers.api.gateway import Answer, Gateway, infer_body, tensor
from tests.words import word_tokenizer

EXAMPLE = {"x": np.array([[1, 2, 3]], np.float32)}
TENSORS = infer_body(tensor("x", "FP32", [1, 3], [1, 2, 3]))
INSTANCES = {"instances": [[1, 2, 3]]}
PATHS = {
    "/v2/models/m/infer": TENSORS,
    "/v1/models/m:predict": INSTANCES,
    "/invocations": INSTANCES,
}


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The URL of a store in which version 2 of `m` is live, 3 has half of it, 4 is next, and 5 is deleted.

    Version n multiplies by n.
    """
    url = (tmp_path_factory.mktemp("versions") / "store").as_uri()
    aliases = {2: "live", 4: "next"}
    for number in range(1, 6):
        publish_graphs(url, "m", {"fp32": affine(float(number), 0.0)}, [EXAMPLE], alias=aliases.get(number))
    canary(open_store(url), "m", "live", "3", 50, Operation("tester@host", "test"))
    retire(open_store(url), "m", "5", Operation("tester@host", "test"))
    return url


@pytest.fixture(scope="module")
def gateway(url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    gateway = Gateway(create_app(make_service(Settings(url, scratch_dir=tmp_path_factory.mktemp("scratch")))))
    yield gateway
    gateway.close()


def send(gateway: Gateway, path: str, **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return gateway.send("POST", path, PATHS.get(path, TENSORS), headers=named)


def values(answer: Answer) -> list[float]:
    body: dict[str, Any] = answer.body
    found: list[float] = body["outputs"][0]["data"] if "outputs" in body else body["predictions"][0]
    return found


def version_of(answer: Answer) -> str:
    """Return the version that answered, after checking that it did."""
    assert answer.status == 200, answer.body
    version = answer.headers["x-model-version"]
    assert np.ravel(values(answer)).tolist() == [float(version) * value for value in (1, 2, 3)]
    if "outputs" in answer.body:
        assert answer.body["model_version"] == version
    return version


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(("named", "version"), [("1", "1"), ("next", "4"), ("4", "4")])
def test_a_header_names_a_version_or_an_alias(gateway: Gateway, path: str, named: str, version: str) -> None:
    assert version_of(send(gateway, path, x_model_version=named)) == version


@pytest.mark.parametrize("path", PATHS)
def test_without_it_the_alias_of_the_settings_answers(gateway: Gateway, path: str) -> None:
    found = {version_of(send(gateway, path)) for _ in range(40)}

    assert found == {"2", "3"}


@pytest.mark.parametrize(("named", "version"), [("1", "1"), ("next", "4"), ("3", "3")])
def test_a_path_names_a_version_or_an_alias_and_goes_before_the_header(
    gateway: Gateway, named: str, version: str
) -> None:
    assert version_of(send(gateway, f"/v2/models/m/versions/{named}/infer")) == version
    assert version_of(send(gateway, f"/v2/models/m/versions/{named}/infer", x_model_version="2")) == version


@pytest.mark.parametrize("path", PATHS)
def test_requests_with_a_key_get_one_version(gateway: Gateway, path: str) -> None:
    for key in ("ada", "grace", "alan", "edsger"):
        expected = "3" if share_of("m", key) < 50 else "2"
        assert {version_of(send(gateway, path, x_routing_key=key)) for _ in range(10)} == {expected}


@pytest.mark.parametrize(
    ("named", "error"),
    [
        ("9", "model 'm': no version '9' here, expected one of: live (2 and 50 % 3), next (4)"),
        ("5", "model 'm': version 5 was deleted, expected one of: live (2 and 50 % 3), next (4)"),
        ("draft", "model 'm': no alias 'draft' here, expected one of: live (2 and 50 % 3), next (4)"),
        ("A/..", "model 'm': no alias 'A/..' here, expected one of: live (2 and 50 % 3), next (4)"),
    ],
)
def test_what_is_not_there_is_not_found(gateway: Gateway, named: str, error: str) -> None:
    for path in PATHS:
        answer = send(gateway, path, x_model_version=named)
        assert (answer.status, answer.body["error"]) == (404, error)
        assert "x-model-version" not in answer.headers
    if "/" not in named:
        answer = send(gateway, f"/v2/models/m/versions/{named}/infer")
        assert (answer.status, answer.body["error"]) == (404, error)


def test_metadata_are_of_the_version_that_is_named(gateway: Gateway) -> None:
    for path, version in (("/versions/1", "1"), ("/versions/next", "4")):
        assert gateway.send("GET", f"/v2/models/m{path}").body["versions"] == [version]
        assert gateway.send("GET", f"/v2/models/m{path}/ready").body == {"name": "m", "ready": True}
    assert gateway.send("GET", "/v2/models/m", headers={"x-model-version": "4"}).body["versions"] == ["4"]


def test_the_index_has_a_row_for_each_version_that_is_loaded(gateway: Gateway) -> None:
    for named in ("1", "2", "3", "next"):
        assert send(gateway, "/v2/models/m/infer", x_model_version=named).status == 200

    rows = gateway.send("POST", "/v2/repository/index").body

    assert [(row["name"], row["version"], row["state"]) for row in rows] == [
        ("m", str(n), "READY") for n in range(1, 5)
    ]
    assert [model["id"] for model in gateway.send("GET", "/v1/models").body["data"]] == ["m"]
    assert "/v2/models/m/infer" in gateway.send("GET", "/openapi.json").body["paths"]


def test_statistics_are_of_each_version_and_by_alias(gateway: Gateway) -> None:
    send(gateway, "/v2/models/m/infer", x_model_version="next")

    by_alias = gateway.send("GET", "/v2/models/m/versions/next/stats").body["model_stats"]

    assert by_alias == gateway.send("GET", "/v2/models/m/versions/4/stats").body["model_stats"]
    assert by_alias[0]["version"] == "4"
    assert by_alias[0]["inference_count"] > 0


def test_a_refused_prediction_says_which_version_refused_it(gateway: Gateway) -> None:
    answer = gateway.send("POST", "/v2/models/m/infer", infer_body(), headers={"x-model-version": "next"})

    assert (answer.status, answer.headers["x-model-version"]) == (400, "4")


def test_embeddings_say_their_version_and_take_the_header(tmp_path: Path) -> None:
    url, tokenizer = (tmp_path / "store").as_uri(), tmp_path / "tokenizer.json"
    word_tokenizer(["good"]).save(str(tokenizer))
    task = EmbeddingTask(tokenization=Tokenization(inputs={"ids": "ids", "mask": "mask"}, max_tokens=8), output="mean")
    example = {"ids": np.array([[2, 5, 3]]), "mask": np.ones((1, 3), np.int64)}
    for number, alias in ((1, "live"), (2, None)):
        graph = mean_of_rows(np.full((6, 2), number, np.float32))
        publish_graphs(url, "embedder", {"fp32": graph}, [example], alias=alias, task=task, tokenizer=tokenizer)
    gateway = Gateway(create_app(make_service(Settings(url, scratch_dir=tmp_path))))
    body = {"input": "good", "model": "embedder"}

    for headers, version in (({}, "1"), ({"x-model-version": "2"}, "2")):
        answer = gateway.send("POST", "/v1/embeddings", body, headers=headers)
        assert answer.headers["x-model-version"] == version
        assert answer.body["data"][0]["embedding"] == [float(version)] * 2
    gateway.close()
