"""The document that describes the service: valid, complete, and true."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from openapi_spec_validator import OpenAPIV30SpecValidator
from starlette.routing import Route

from handlers.api.app import create_app
from handlers.api.routes import add_routes
from handlers.api.service import Service
from handlers.settings import Settings
from tests.artifacts import publish_graphs
from tests.graphs import affine, identity
from tests.handlers.api.conftest import make_service
from tests.handlers.api.gateway import Gateway, http_event, rest_event

Json = Any
WITHOUT_ANSWERS = {"/v1/embeddings"}
NOT_DESCRIBED = {"/docs/{file}", "/v2/"}  # files of the page; a second spelling


@pytest.fixture(scope="module")
def document(gateway: Gateway) -> Json:
    return gateway.send("GET", "/openapi.json").body


def examples(document: Json) -> list[tuple[str, str, Json, Json]]:
    """Return method, path, body and answer of each operation that has an example."""
    return [
        (
            method.upper(),
            path,
            content["example"],
            operation["responses"]["200"]["content"]["application/json"].get("example"),
        )
        for path, item in document["paths"].items()
        for method, operation in item.items()
        if method != "parameters"
        for content in operation.get("requestBody", {}).get("content", {}).values()
        if "example" in content
    ]


def test_it_is_valid(document: Json) -> None:
    OpenAPIV30SpecValidator(document).validate()


def test_it_describes_every_route(gateway: Gateway, document: Json) -> None:
    router = create_app(make_service(Settings(""))).router
    add_routes(router)
    routes = [route for route in router.routes if isinstance(route, Route)]
    served = {(re.sub(":[a-z]+}", "}", route.path), method) for route in routes for method in route.methods or ()}
    described = {
        (path, method.upper()) for path, item in document["paths"].items() for method in item if method != "parameters"
    }

    generic = {(path, method) for path, method in served if method != "HEAD" and path not in NOT_DESCRIBED}
    assert generic == {(path, method) for path, method in described if (path, method) in generic}
    concrete = [rest_event(method, path) for path, method in described if "{" not in path]
    assert {gateway.invoke(event)["statusCode"] for event in concrete} & {404, 405} == set()


def test_every_model_is_described_with_its_names_shapes_and_datatypes(document: Json) -> None:
    infer = document["paths"]["/v2/models/pair/infer"]["post"]

    tensors, _ = infer["requestBody"]["content"]["application/json"]["schema"]["anyOf"]
    inputs = tensors["properties"]["inputs"]
    assert (inputs["minItems"], inputs["maxItems"]) == (2, 2)
    first, second = inputs["items"]["anyOf"]
    assert [tensor["properties"]["name"]["enum"] for tensor in (first, second)] == [["a"], ["b"]]
    assert first["properties"]["datatype"]["enum"] == ["FP32"]
    assert (first["properties"]["shape"]["minItems"], first["properties"]["shape"]["maxItems"]) == (2, 2)
    assert first["description"] == "`a`: FP32 [any, 2]."
    predict = document["paths"]["/v1/models/pair:predict"]["post"]
    instance = predict["requestBody"]["content"]["application/json"]["schema"]["properties"]["instances"]["items"]
    numbers = {"type": "number", "nullable": True}
    assert instance["properties"]["a"] == {"type": "array", "items": numbers, "minItems": 2, "maxItems": 2}
    assert infer["tags"] == predict["tags"] == ["pair"]
    described = {tag["name"]: tag.get("description") for tag in document["tags"]}
    assert described["gather"] == (
        "Version 1, tensor, variant fp32. Takes `index` INT64 [-1]; returns `value` FP32 [-1]."
    )


def test_every_model_has_an_example_of_each_call_and_all_are_answered(gateway: Gateway, document: Json) -> None:
    found = examples(document)

    models = [model["name"] for model in document["tags"] if f"/v2/models/{model['name']}/infer" in document["paths"]]
    assert len(models) >= 18
    paths = {path for _, path, _, _ in found}
    assert {f"/v2/models/{name}/infer" for name in models} <= paths
    assert {f"/v1/models/{name}:predict" for name in models} <= paths
    for method, path, example, expected in found:
        answer = gateway.send(method, path, example)
        assert answer.status == 200, path
        if path not in WITHOUT_ANSWERS:
            assert answer.body == expected, path


def test_errors_are_described(document: Json) -> None:
    responses = document["paths"]["/v2/models/affine/infer"]["post"]["responses"]

    assert {"200", "400", "404", "413", "500", "503", "403", "429"} <= responses.keys()
    for status in ("400", "404", "413", "500", "503"):
        schema = responses[status]["content"]["application/json"]["schema"]
        assert schema == {"$ref": "#/components/schemas/Error"}
    assert document["components"]["securitySchemes"]["api_key"] == {
        "type": "apiKey", "name": "x-api-key", "in": "header"
    }  # fmt: skip
    assert document["paths"]["/v2/health/live"]["get"]["security"] == []


def custom_domain(event: Json, path: str) -> Json:
    event["requestContext"] |= {"domainName": "api.example.com", "path": path}
    return event


@pytest.mark.parametrize(
    ("event", "base_path", "root"),
    [
        (rest_event("GET", "/openapi.json"), "", "/prod"),
        (http_event("GET", "/openapi.json"), "", "/"),
        (http_event("GET", "/v1/openapi.json", stage="v1"), "", "/v1"),
        (http_event("GET", "/openapi.json", domain="a1b2c3d4e5.lambda-url.us-east-1.on.aws"), "", "/"),
        (custom_domain(rest_event("GET", "/ml/openapi.json"), "/ml/openapi.json"), "/ml", "/ml"),
        (http_event("GET", "/v1/openapi.json", stage="v1", domain="api.example.com"), "/ml", "/ml"),
        (http_event("GET", "/v1/openapi.json", stage="v1", domain="api.example.com"), "", "/"),
    ],
)
def test_its_server_is_where_the_client_found_it(service: Service, event: Json, base_path: str, root: str) -> None:
    own = Gateway(create_app(service, base_path=base_path))
    try:
        assert json.loads(own.invoke(event)["body"])["servers"] == [{"url": root}]
    finally:
        own.close()


def test_it_follows_the_models_that_are_loaded_and_is_built_once(empty_store: Settings) -> None:
    service = make_service(empty_store)
    app = create_app(service)
    gateway = Gateway(app)
    try:
        assert examples(gateway.send("GET", "/openapi.json").body) == []
        publish_graphs(empty_store.store_url, "affine", {"fp32": affine()}, [{"x": np.ones((1, 3), np.float32)}])

        first = gateway.send("GET", "/openapi.json")

        assert "/v2/models/affine/infer" in first.body["paths"]
        built = app.state.openapi
        assert gateway.send("GET", "/openapi.json").body == first.body
        assert app.state.openapi is built
    finally:
        gateway.close()


def test_an_input_that_is_too_large_to_be_shown_has_no_example(tmp_path: Path) -> None:
    settings = Settings(store_url=(tmp_path / "store").as_uri(), scratch_dir=tmp_path)
    image = np.zeros((1, 3, 224, 224), np.float32)
    publish_graphs(settings.store_url, "photo", {"fp32": identity("FP32", [1, 3, 224, 224])}, [{"x": image}])
    gateway = Gateway(create_app(make_service(settings)))
    try:
        answer = gateway.send("GET", "/openapi.json")
        assert answer.status == 200
        assert examples(answer.body) == []
        assert len(json.dumps(answer.body)) < 100_000  # the tensor alone would take 600,000
    finally:
        gateway.close()
