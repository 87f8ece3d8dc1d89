"""What the management API tells of models, versions, history and differences."""

import re
from typing import Any

import numpy as np
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from export.catalogue import list_models
from export.collection import plan_models
from handlers.registry.fetch import fetch_manifest
from handlers.registry.manifest import MANIFEST_FILE
from handlers.registry.names import aliases_key, file_key
from handlers.registry.served import ServedModels
from handlers.versions.changes import Operation
from handlers.versions.claims import claim, close
from handlers.versions.collection import Retention
from tests.aliases import point_alias
from tests.artifacts import publish_graphs
from tests.graphs import affine, identity
from tests.handlers.api.management.manager import Manager
from tests.interpreters import ROOT

EXAMPLE = {"x": np.array([[0, 1, 2]], np.float32)}


def test_an_empty_store_has_no_models(manager: Manager) -> None:
    assert manager.get("/models").body == {"models": [], "next": None}


def test_models_are_listed_by_name_a_page_at_a_time(manager: Manager) -> None:
    for name in ("b", "a-b", "c", "a"):
        point_alias(manager.store, name, "live", "1")

    first = manager.get("/models?limit=3").body
    last = manager.get(f"/models?limit=3&after={first['next']}").body

    assert [model["name"] for model in first["models"]] == ["a", "a-b", "b"]
    assert [model["name"] for model in last["models"]] == ["c"]
    assert last["next"] is None
    assert first["models"][0]["aliases"] == {"live": {"version": "1", "canary": None, "weight": 0, "pinned": False}}


def test_a_broken_model_does_not_hide_the_others(manager: Manager) -> None:
    point_alias(manager.store, "whole", "live", "1")
    manager.store.create(aliases_key("broken"), b"{}")

    broken, whole = manager.get("/models").body["models"]

    assert "models/broken/aliases.json" in broken["problem"]
    assert (broken["aliases"], whole["problem"]) == ({}, None)
    assert list(whole["aliases"]) == ["live"]


def test_a_model_is_shown_with_its_aliases_and_what_became_of_each_number(three_versions: Manager) -> None:
    store = three_versions.store
    claim(store, "m", Operation("tester", id="never-finished"))
    close(store, "m", claim(store, "m", Operation("tester", id="given-up")).version, Operation("gc"), "too late")

    answer = three_versions.get("/models/m")

    assert answer.status == 200
    assert answer.body["name"] == "m"
    assert answer.body["aliases"]["live"]["version"] == "1"
    states = {version["version"]: version["state"] for version in answer.body["versions"]}
    assert states == {"1": "complete", "2": "complete", "3": "complete", "4": "unfinished", "5": "closed"}
    assert answer.body["versions"][0]["aliases"] == ["live"]
    assert answer.body["versions"][4]["ended"]["reason"] == "too late"
    assert answer.headers["etag"] == answer.body["etag"]
    assert answer.headers["etag"].startswith('"')


def test_the_etag_changes_with_the_aliases(three_versions: Manager) -> None:
    before = three_versions.get("/models/m").headers["etag"]
    assert three_versions.get("/models/m").headers["etag"] == before

    point_alias(three_versions.store, "m", "stable", "2")

    assert three_versions.get("/models/m").headers["etag"] != before


def test_a_model_that_was_never_named_has_no_etag(manager: Manager, store_url: str) -> None:
    publish_graphs(store_url, "m", {"fp32": affine()}, [EXAMPLE], alias=None)

    answer = manager.get("/models/m")

    assert answer.body["etag"] is None
    assert "etag" not in answer.headers


@pytest.mark.parametrize("version", ["1", "live"])
def test_a_version_is_shown_by_number_or_alias_with_its_manifest(three_versions: Manager, version: str) -> None:
    answer = three_versions.get(f"/models/m/versions/{version}").body

    manifest = fetch_manifest(three_versions.store, "m", "1")
    assert (answer["model"], answer["version"], answer["aliases"]) == ("m", "1", ["live"])
    assert answer["manifest"]["files"]["fp32.onnx"]["sha256"] == manifest.files["fp32.onnx"].sha256
    assert answer["manifest"]["inputs"] == [{"name": "x", "datatype": "FP32", "shape": [-1, 3]}]


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/models/absent", 404, "model_not_found"),
        ("/models/absent/history", 404, "model_not_found"),
        ("/models/m/versions/99", 404, "version_not_found"),
        ("/models/m/versions/nobody", 404, "model_not_found"),
        ("/models/m/versions/4", 404, "version_not_found"),
        ("/models/m/versions/0", 400, "invalid_name"),
        ("/models/m/versions/01", 400, "invalid_name"),
        ("/models/Not%20a%20name", 400, "invalid_name"),
        ("/models/m/diff?from=1", 400, "invalid_input"),
        ("/models/m/diff?from=1&to=99", 404, "version_not_found"),
        ("/models/m/history?limit=0", 400, "invalid_input"),
        ("/models/m/history?limit=many", 400, "invalid_input"),
        ("/models/m/history?before=nothing", 400, "invalid_input"),
        ("/models?limit=1000000", 400, "invalid_input"),
    ],
)
def test_what_is_not_there_or_makes_no_sense_is_said(
    three_versions: Manager, path: str, status: int, code: str
) -> None:
    claim(three_versions.store, "m", Operation("tester"))  # 4, unfinished

    answer = three_versions.get(path)

    assert (answer.status, answer.body["code"]) == (status, code)
    assert set(answer.body) == {"error", "code", "request_id"}
    assert ", expected " in answer.body["error"]


def test_a_version_that_was_altered_is_not_shown(three_versions: Manager) -> None:
    store, manifest = three_versions.store, file_key("m", "2", MANIFEST_FILE)
    found = store.read(manifest)
    store.replace(manifest, found.data.replace(b"accuracy", b"accurate"), found.etag)

    answer = three_versions.get("/models/m/versions/2")

    assert (answer.status, answer.body["code"]) == (503, "corrupt_file")


def test_the_history_goes_back_a_page_at_a_time(three_versions: Manager) -> None:
    for number in range(4):
        point_alias(three_versions.store, "m", "live", str(2 + number % 2), f"move {number}")

    pages: list[list[dict[str, Any]]] = []
    before = ""
    while before is not None:
        page = three_versions.get(f"/models/m/history?limit=2&before={before}").body
        pages.append(page["changes"])
        before = page["next"]

    assert [len(page) for page in pages] == [2, 2, 1]
    assert [change["reason"] for page in pages for change in page] == [
        *("move 3", "move 2", "move 1", "move 0", "test")
    ]
    assert pages[0][0]["before"]["version"] == "2"
    assert pages[0][0]["after"]["version"] == "3"
    assert pages[0][0]["by"] == "tester@host"


def test_versions_are_compared(three_versions: Manager, store_url: str) -> None:
    row = {"x": np.array([[0, 1]], np.float32)}
    publish_graphs(store_url, "m", {"fp32": identity("FP32", ["rows", "columns"])}, [row], alias=None)

    same = three_versions.get("/models/m/diff?from=live&to=2").body
    other = three_versions.get("/models/m/diff?from=live&to=4").body

    assert (same["before"], same["after"], same["compatible"], same["differences"]) == ("1", "2", True, [])
    assert (other["before"], other["after"]) == ("1", "4")
    assert other["differences"]


def test_openapi_describes_every_route_and_no_answer_that_is_never_given(manager: Manager) -> None:
    document = manager.get("/openapi.json").body

    OpenAPIV31SpecValidator(document).validate()
    routes = {f"{method.upper()} {path}" for path, methods in document["paths"].items() for method in methods}
    assert routes == {
        "GET /models",
        "GET /models/{model}",
        "GET /models/{model}/versions/{version}",
        "GET /models/{model}/history",
        "GET /models/{model}/diff",
        "POST /models/{model}/aliases/{alias}/promote",
        "POST /models/{model}/aliases/{alias}/canary",
        "POST /models/{model}/aliases/{alias}/rollback",
        "POST /models/{model}/versions",
        "POST /models/{model}/versions/{version}/finalise",
    }
    documented = re.findall(r"^\| `((?:GET|POST) /[^`?]*)", (ROOT / "docs" / "management.md").read_text(), re.MULTILINE)
    assert set(documented) == routes
    operations = [operation for methods in document["paths"].values() for operation in methods.values()]
    assert not [operation for operation in operations if "422" in operation["responses"]]
    assert all({"400", "403", "404", "503"} <= set(operation["responses"]) for operation in operations)
    assert all(operation["description"] for operation in operations)
    assert document["servers"] == [{"url": "/prod"}]


def test_folders_that_have_no_models_name_are_none(three_versions: Manager) -> None:
    three_versions.store.create("models/My_Model/note", b"somebody's")

    listed = three_versions.get("/models")

    assert listed.status == 200, listed.body
    assert [model["name"] for model in listed.body["models"]] == ["m"]
    assert [model.name for model in list_models(three_versions.store)] == ["m"]
    assert plan_models(three_versions.store, None, Retention()) == ([], [])
    served = ServedModels(three_versions.management.settings)
    served.read(three_versions.store)
    assert served.names == ["m"]
